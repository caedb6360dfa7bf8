//! Helpers for tests of applications: on memory, and on whatever broker `BUS_TEST_URL` names.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod guide;
#[cfg(any(feature = "kafka", feature = "redis"))]
mod rerun;

use bus::{
    ErrorKind, Message, Raw, Result, Retry, Start, Topic, TopicSpec,
    handler::{Acknowledge, Failure, Payload, State, consumer, consumer_with},
    layer::{Fault, Plan},
    partition::Partitioner,
    router::Router,
    testing::{assert_no_unrouted, bus, faulty_bus, published, settle},
};
use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

static NUMBERS: Topic<u32> = Topic::new("numbers").partitions(4);
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn everything_published_is_there_in_order() {
    let bus = bus().await.unwrap();
    bus.ensure_topics([NUMBERS.spec(), TopicSpec::new("test-topic")])
        .await
        .unwrap();
    assert!(published(&bus, &NUMBERS).await.unwrap().is_empty());
    for n in 0..40u32 {
        bus.publish(&NUMBERS, &n)
            .key(format!("k{}", n % 8))
            .header("n", n.to_string())
            .await
            .unwrap();
    }
    let all = published(&bus, &NUMBERS).await.unwrap();
    assert_eq!(all.len(), 40);
    assert!(all.is_sorted_by_key(bus::testing::Stored::timestamp));
    let mut by_key: HashMap<_, Vec<u32>> = HashMap::new();
    for stored in &all {
        assert_eq!(stored.headers().text("n"), Some(&*stored.to_string()));
        assert_eq!(
            Partitioner::Murmur2.partition(stored.key().unwrap(), 4),
            stored.partition()
        );
        by_key
            .entry(stored.key_text().unwrap())
            .or_default()
            .push(**stored);
    }
    assert!(
        by_key.len() == 8
            && by_key
                .values()
                .all(|numbers| numbers.len() == 5 && numbers.is_sorted())
    );

    // By its name, as it is: what is no JSON, a tombstone, and what is expired by now.
    let tested = serde_json::json!({"type": "test", "data": "value"});
    bus.publish("test-topic", &tested).key("user-123").await.unwrap();
    bus.publish_bytes("test-topic", "{broken")
        .expires(Duration::from_millis(1))
        .await
        .unwrap();
    let tombstone = Message {
        payload: None,
        ..Message::new("").keyed("gone")
    };
    bus.publish_message("test-topic", tombstone).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let raw = published(&bus, "test-topic").await.unwrap();
    assert_eq!((raw.len(), raw[0].key_text()), (3, Some("user-123")));
    assert_eq!(raw[0].json::<serde_json::Value>().unwrap(), tested);
    assert_eq!(
        (&raw[1][..], raw[1].payload(), raw[2].payload()),
        (&b"{broken"[..], Some(&b"{broken"[..]), None)
    );

    let typed: Topic<serde_json::Value> = Topic::new("test-topic");
    let error = published(&bus, &typed).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Undecodable);
    assert!(error.to_string().starts_with("test-topic[0] at "), "{error}");
    assert_eq!(
        published(&bus, "nothing").await.unwrap_err().kind(),
        ErrorKind::TopicMissing
    );
}

#[tokio::test]
async fn tests_do_not_meet() {
    let (one, other) = (bus().await.unwrap(), bus().await.unwrap());
    one.ensure_topics([NUMBERS.spec()]).await.unwrap();
    let error = other.publish(&NUMBERS, &1).await.unwrap_err();
    assert_eq!(error.error().kind(), ErrorKind::TopicMissing);
    one.publish(&NUMBERS, &1).await.unwrap();
    other.ensure_topics([NUMBERS.spec()]).await.unwrap();
    assert!(published(&other, &NUMBERS).await.unwrap().is_empty());
    let running = consumer(&NUMBERS, "readers", |Payload(_): Payload<u32>| async {})
        .start(&one)
        .await
        .unwrap();
    settle(&one).within(PATIENCE).await.unwrap();
    running.drain(PATIENCE).await.unwrap();
    // A name is seen as the test gave it, wherever it is seen.
    let names = |topics: Vec<TopicSpec>| {
        topics
            .iter()
            .map(|topic| topic.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(one.admin().topics().await.unwrap()),
        ["numbers", "numbers.readers.dlq"]
    );
    assert_eq!(one.admin().groups().await.unwrap(), ["readers".into()]);
    assert!(other.admin().groups().await.unwrap().is_empty());
    let group = one.admin().group("readers").await.unwrap();
    assert_eq!(
        (&*group.name, group.members.len(), group.positions.len()),
        ("readers", 0, 4)
    );
    assert!(
        group
            .positions
            .iter()
            .all(|at| &*at.topic == "numbers" && at.behind == 0)
    );
    one.admin().grow("numbers", 5).await.unwrap();
    assert_eq!(
        one.admin()
            .positions("numbers", Start::Latest)
            .await
            .unwrap()
            .len(),
        5
    );
    one.admin()
        .reset("readers", "numbers", Start::Earliest)
        .await
        .unwrap();
    assert_eq!(
        one.admin()
            .lag("readers")
            .await
            .unwrap()
            .iter()
            .map(|at| at.behind)
            .sum::<u64>(),
        1
    );
    one.admin().delete_group("readers").await.unwrap();
    one.admin().delete("numbers").await.unwrap();
    assert_eq!(
        other
            .admin()
            .positions("numbers", Start::Latest)
            .await
            .unwrap()
            .len(),
        4
    );
}

/// Numbers go down a chain of three groups, each of which takes its time: outputs of acks, publishes, and one delayed.
async fn cascade(exactly_once: bool) -> Result<()> {
    let bus = bus().await?;
    let steps = ["one", "two", "three"].map(|name| Topic::<u32>::new(name).partitions(2));
    bus.ensure_topics(steps.iter().map(Topic::spec)).await?;
    let done: Arc<AtomicU32> = Arc::default();
    let mut running = Vec::new();
    for (at, topic) in steps.iter().enumerate() {
        let next = steps.get(at + 1).cloned();
        let (publisher, done) = (bus.clone(), done.clone());
        let handler = move |Payload(n): Payload<u32>| {
            let (next, publisher, done) = (next.clone(), publisher.clone(), done.clone());
            async move {
                tokio::time::sleep(Duration::from_millis(30)).await;
                match &next {
                    Some(next) if exactly_once => {
                        let output = next.message(&n)?.keyed(n.to_string());
                        return Ok(bus::handler::Verdict::AckWith(vec![(next.name().into(), output)]));
                    }
                    Some(next) if at == 0 => publisher.enqueue(next.name(), next.message(&n)?).await?,
                    Some(next) => {
                        publisher
                            .publish(next, &n)
                            .delay(Duration::from_millis(1200))
                            .await?;
                    }
                    None => {
                        done.fetch_add(1, Relaxed);
                    }
                }
                Ok::<_, Failure>(bus::handler::Verdict::Ack)
            }
        };
        let group = format!("group-{at}");
        let made = consumer(topic, group, handler).concurrency(4);
        let made = made.subscription(move |s| if exactly_once { s.exactly_once() } else { s });
        running.push(made.start(&bus).await?);
    }
    let all = async {
        for n in 0..10 {
            bus.publish(&steps[0], &n).key(n.to_string()).await?;
        }
        Ok::<_, bus::Error>("published")
    };
    assert_eq!(settle(&bus).within(PATIENCE).after(all).await?, "published");
    assert_eq!(
        (done.load(Relaxed), published(&bus, &steps[2]).await?.len()),
        (10, 10)
    );
    // Nothing to do is settled too.
    settle(&bus).within(PATIENCE).await?;
    for running in running {
        running.drain(PATIENCE).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_cascade_settles() {
    cascade(false).await.unwrap();
}

#[tokio::test]
async fn a_cascade_settles_exactly_once() {
    cascade(true).await.unwrap();
}

#[tokio::test]
async fn failures_of_handlers_are_errors() {
    let bus = bus().await.unwrap();
    bus.ensure_topics([NUMBERS.spec()]).await.unwrap();
    let calls: Arc<AtomicU32> = Arc::default();
    let handler = |State(calls): State<Arc<AtomicU32>>, Payload(n): Payload<u32>| async move {
        match (n, calls.fetch_add(1, Relaxed)) {
            (0, 0) => Err(Failure::new("the first time")),
            (1, _) => Err(Failure::permanent("never")),
            _ => Ok(()),
        }
    };
    let running = consumer_with(&NUMBERS, "strict", handler, calls.clone())
        .subscription(|s| s.retry(Retry::fixed(Duration::from_millis(10))))
        .start(&bus)
        .await
        .unwrap();
    // Said once, also where a retry has helped.
    let error = settle(&bus)
        .within(PATIENCE)
        .after(bus.publish(&NUMBERS, &0).key("k"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("group `strict` failed: numbers["),
        "{error}"
    );
    assert!(
        error.to_string().ends_with("attempt 1: the first time"),
        "{error}"
    );
    assert_eq!(calls.load(Relaxed), 2);
    settle(&bus).within(PATIENCE).await.unwrap();
    let error = settle(&bus)
        .within(PATIENCE)
        .after(bus.publish(&NUMBERS, &1))
        .await
        .unwrap_err();
    assert!(error.to_string().ends_with("never"), "{error}");
    settle(&bus)
        .within(PATIENCE)
        .may_fail()
        .after(bus.publish_bytes("numbers", "{broken"))
        .await
        .unwrap();
    let dead = published(&bus, "numbers.strict.dlq").await.unwrap();
    let mut reasons: Vec<_> = dead
        .iter()
        .filter_map(|dead| dead.headers().text("bus-reason"))
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["rejected", "undecodable"]);
    running.drain(PATIENCE).await.unwrap();
}

/// What was acknowledged before it is handled is work of nobody's position.
#[tokio::test]
async fn handlers_of_what_was_acknowledged_before_are_waited_for() {
    let bus = bus().await.unwrap();
    bus.ensure_topics([NUMBERS.spec()]).await.unwrap();
    let (begun, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let handler = {
        let (begun, go_on) = (begun.clone(), go_on.clone());
        move |Payload(_): Payload<u32>| async move {
            begun.add_permits(1);
            go_on.acquire().await.unwrap().forget();
            Err::<(), _>(Failure::new("lost for good"))
        }
    };
    let before = consumer(&NUMBERS, "once", handler).acknowledge(Acknowledge::Before);
    let running = before.start(&bus).await.unwrap();
    bus.publish(&NUMBERS, &1).await.unwrap();
    begun.acquire().await.unwrap().forget();
    // As long as what was acknowledged may take to be stored.
    let short = settle(&bus).within(Duration::from_secs(5));
    let error = short.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(
        error
            .to_string()
            .ends_with("group `once` is at work on 1 messages that it acknowledged before"),
        "{error}"
    );
    go_on.add_permits(1);
    let error = settle(&bus).within(PATIENCE).await.unwrap_err();
    assert!(error.to_string().ends_with("attempt 1: lost for good"), "{error}");
    settle(&bus).within(PATIENCE).await.unwrap();
    running.drain(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn what_ended_a_subscription_is_an_error() {
    let bus = bus().await.unwrap();
    bus.ensure_topics([NUMBERS.spec()]).await.unwrap();
    let handler = |Payload(n): Payload<u32>| async move {
        let outputs = vec![("nowhere".into(), Message::new(n.to_string()))];
        bus::handler::Verdict::AckWith(outputs)
    };
    let _running = consumer(&NUMBERS, "ends", handler).start(&bus).await.unwrap();
    let error = settle(&bus)
        .within(PATIENCE)
        .after(bus.publish(&NUMBERS, &1))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("a subscription of group `ends` ended: "),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::TopicMissing, "{error}");
}

#[tokio::test]
async fn what_is_left_to_do_is_named() {
    let bus = bus().await.unwrap();
    bus.ensure_topics([NUMBERS.spec()]).await.unwrap();
    let handler = |Payload(_): Payload<u32>| std::future::pending::<()>();
    let running = consumer(&NUMBERS, "stuck", handler).start(&bus).await.unwrap();
    settle(&bus).within(PATIENCE).await.unwrap();
    let one = bus.publish(&NUMBERS, &1).partition(2);
    let error = settle(&bus)
        .within(Duration::from_secs(5))
        .after(one)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(
        error
            .to_string()
            .ends_with("group `stuck` is 1 behind in numbers[2]"),
        "{error}"
    );
    let _ = running.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn two_buses_settle_together() {
    let (here, there) = (bus().await.unwrap(), bus().await.unwrap());
    for bus in [&here, &there] {
        bus.ensure_topics([NUMBERS.spec()]).await.unwrap();
    }
    let send = |to: bus::Bus| {
        move |Payload(n): Payload<u32>| {
            let to = to.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if n > 0 {
                    to.publish(&NUMBERS, &(n - 1)).await?;
                }
                Ok::<_, Failure>(())
            }
        }
    };
    let ping = consumer(&NUMBERS, "ping", send(there.clone()))
        .start(&here)
        .await
        .unwrap();
    let pong = consumer(&NUMBERS, "pong", send(here.clone()))
        .start(&there)
        .await
        .unwrap();
    settle(&here)
        .and(&there)
        .within(PATIENCE)
        .after(here.publish(&NUMBERS, &9))
        .await
        .unwrap();
    let counts = (
        published(&here, &NUMBERS).await.unwrap().len(),
        published(&there, &NUMBERS).await.unwrap().len(),
    );
    assert_eq!(counts, (5, 5));
    ping.drain(PATIENCE).await.unwrap();
    pong.drain(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn faults_are_survived() {
    let (bus, faults) = faulty_bus(Plan::seeded(3).one_in(4, Fault::LostCommit))
        .await
        .unwrap();
    bus.ensure_topics([NUMBERS.spec()]).await.unwrap();
    let seen: Arc<AtomicU32> = Arc::default();
    let handler = |State(seen): State<Arc<AtomicU32>>, Payload(_): Payload<u32>| async move {
        seen.fetch_add(1, Relaxed);
    };
    let running = consumer_with(&NUMBERS, "hardy", handler, seen.clone())
        .start(&bus)
        .await
        .unwrap();
    settle(&bus).within(PATIENCE).await.unwrap();

    faults.next(Fault::LostReply);
    assert!(bus.publish(&NUMBERS, &1).await.unwrap_err().is_unknown());
    faults.down(Duration::from_secs(3600));
    assert!(bus.health().is_err() && !bus.publish(&NUMBERS, &2).await.unwrap_err().is_unknown());
    let error = settle(&bus).within(Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    faults.up();
    let begun = Instant::now();
    faults.next(Fault::Slow(Duration::from_millis(200)));
    settle(&bus)
        .within(PATIENCE)
        .after(bus.publish(&NUMBERS, &3))
        .await
        .unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert!(faults.struck(Fault::LostCommit) > 0, "the seed makes it strike");
    assert_eq!(
        (seen.load(Relaxed), published(&bus, &NUMBERS).await.unwrap().len()),
        (2, 2)
    );
    running.drain(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn events_without_a_route_are_told() {
    let bus = bus().await.unwrap();
    bus.ensure_topics([TopicSpec::new("events")]).await.unwrap();
    let routes = Router::new("shop")
        .route("user.created", || async {})
        .build()
        .unwrap();
    let running = consumer("events", "shop", routes.clone())
        .start(&bus)
        .await
        .unwrap();
    use bus::event::EventExt;
    let publish = |event: &'static str| bus.publish("events", &1).event(event);
    settle(&bus)
        .within(PATIENCE)
        .after(publish("user.created"))
        .await
        .unwrap();
    assert_no_unrouted(&routes);
    settle(&bus)
        .within(PATIENCE)
        .after(publish("user.creatd"))
        .await
        .unwrap();
    let panic = std::panic::catch_unwind(AssertUnwindSafe(|| assert_no_unrouted(&routes))).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert_eq!(
        text,
        "no route of router `shop` matches `user.creatd` (1); it has `user.created`"
    );
    running.drain(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn patterns_and_observers_see_the_tests_own_topics() {
    let bus = bus().await.unwrap();
    bus.ensure_topics(["orders.eu", "orders.us", "other"].map(TopicSpec::new))
        .await
        .unwrap();
    for topic in ["orders.eu", "orders.us", "other"] {
        bus.publish_bytes(topic, topic).await.unwrap();
    }
    let mut orders = bus
        .subscribe_pattern(&Topic::<String, Raw>::new("orders.*"), "all")
        .await
        .unwrap();
    let mut found = Vec::new();
    for _ in 0..2 {
        let order = tokio::time::timeout(PATIENCE, orders.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(order.topic(), &**order);
        found.push(order.topic().to_owned());
        order.ack();
    }
    found.sort();
    assert_eq!(found, ["orders.eu", "orders.us"]);
    orders.close().await.unwrap();
}

#[tokio::test]
async fn memory_is_shared_by_name_alone() {
    let connect = async |url| bus::Bus::connect(url).await.unwrap();
    let (own, other) = (connect("memory://").await, connect("memory://").await);
    let (here, there) = (
        connect("memory://shared-by-name").await,
        connect("memory://shared-by-name").await,
    );
    for bus in [&own, &here] {
        bus.ensure_topics([NUMBERS.spec()]).await.unwrap();
        bus.publish(&NUMBERS, &7).await.unwrap();
    }
    let missing = published(&other, &NUMBERS).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::TopicMissing);
    assert_eq!(*published(&there, &NUMBERS).await.unwrap()[0], 7);
    drop((here, there));
    // With its last handle it is gone, and with what still runs for that.
    let begun = Instant::now();
    while !connect("memory://shared-by-name")
        .await
        .admin()
        .topics()
        .await
        .unwrap()
        .is_empty()
    {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Retries and delays of an hour pass at once, in wall time too.
#[tokio::test(start_paused = true)]
async fn paused_clocks_wait_for_nothing() {
    let really = std::time::Instant::now();
    let bus = bus::Bus::connect("memory://").await.unwrap();
    bus.ensure_topics([NUMBERS.spec()]).await.unwrap();
    let calls: Arc<AtomicU32> = Arc::default();
    let handler = |State(calls): State<Arc<AtomicU32>>| async move {
        let text = "busy";
        if calls.fetch_add(1, Relaxed) < 3 {
            Err(Failure::new(text))
        } else {
            Ok(())
        }
    };
    let retry = Retry::exponential(Duration::from_secs(600)).cap(Duration::from_secs(3600));
    let running = consumer_with(&NUMBERS, "slow", handler, calls.clone())
        .subscription(move |s| s.retry(retry))
        .start(&bus)
        .await
        .unwrap();
    let begun = Instant::now();
    let hour = Duration::from_secs(3600);
    let day = settle(&bus).within(24 * hour).may_fail();
    day.after(bus.publish(&NUMBERS, &1).delay(hour)).await.unwrap();
    assert_eq!(calls.load(Relaxed), 4);
    let waited = begun.elapsed();
    assert!(
        waited >= hour + Duration::from_secs(600 + 1200 + 2400) && waited < 4 * hour,
        "{waited:?}"
    );
    let stored = published(&bus, &NUMBERS).await.unwrap();
    bus.publish(&NUMBERS, &2).await.unwrap();
    let later = published(&bus, &NUMBERS).await.unwrap()[1].timestamp() - stored[0].timestamp();
    assert!(later >= 4_200_000, "{later} ms by the messages' timestamps");
    assert!(really.elapsed() < PATIENCE);
    running.drain(PATIENCE).await.unwrap();
}

/// What docs/testing.md shows is what runs here.
#[test]
fn the_guide_is_this_test() {
    let (_, shown) = include_str!("guide/mod.rs").split_once("guide shows.\n").unwrap();
    assert!(include_str!("../docs/testing.md").contains(shown.trim()));
}

#[cfg(feature = "kafka")]
#[test]
fn on_kafka() {
    rerun::on(&format!("kafka://{}", rerun::server("BUS_TEST_KAFKA")), 15);
}

#[cfg(feature = "redis")]
#[test]
fn on_redis() {
    rerun::on(&rerun::server("BUS_TEST_REDIS"), 15);
}
