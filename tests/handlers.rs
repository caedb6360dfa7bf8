//! Handlers: what they are given, what becomes of what they answer, and that no message ends the loop.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;

use apps::{Seen, every_backend, memory, read, soon, text, unique};
use bus::{
    Bytes, Delivery, ErrorKind, Headers, Message, Raw, Record, Retry, Topic, TopicSpec,
    event::{Envelope, EventExt},
    handler::{
        Acknowledge, Attempt, Coded, Correlation, Event, Extension, Failure, FailureExt, FromParts, FromRef,
        Incoming, Key, Origin, Parts, Payload, State, Verdict, consumer, consumer_with,
    },
};
use futures_util::future::join_all;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

const GRACE: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct App {
    seen: Seen<String>,
    name: &'static str,
}

impl FromRef<App> for &'static str {
    fn from_ref(app: &App) -> Self {
        app.name
    }
}

impl FromRef<App> for Seen<String> {
    fn from_ref(app: &App) -> Self {
        app.seen.clone()
    }
}

#[tokio::test]
async fn extractors_give_what_the_message_is() {
    #[allow(clippy::too_many_arguments)]
    async fn whole(
        State(app): State<App>,
        State(name): State<&'static str>,
        Payload(n): Payload<u32>,
        Key(key): Key,
        headers: Headers,
        Attempt { number, is_last }: Attempt,
        Correlation(correlation): Correlation,
        origin: Origin,
    ) {
        let key = String::from_utf8(key.unwrap().to_vec()).unwrap();
        let tenant = String::from_utf8(headers.get("tenant").unwrap().to_vec()).unwrap();
        let from = format!("{}[{}]@{}", origin.topic, origin.partition, origin.position);
        app.seen.push(format!(
            "{name} {n} {key} {tenant} {number} {is_last} {} {from}",
            correlation.unwrap()
        ));
    }
    async fn others(
        State(seen): State<Seen<String>>,
        bytes: Bytes,
        raw: Coded<String, Raw>,
        envelope: Envelope,
        record: Record,
        event: Event<u32>,
    ) {
        assert_eq!(raw.as_bytes(), &bytes[..]);
        assert_eq!(record.payload(), Some(&bytes[..]));
        assert_eq!(event.envelope, envelope);
        seen.push(format!("{} {}", event.name, event.data));
    }
    let bus = memory().await;
    let seen = Seen::default();
    let app = App {
        seen: seen.clone(),
        name: "app",
    };
    let topic = TopicSpec::new("t").partitions(3);
    bus.ensure_topics([topic]).await.unwrap();
    let message = Message::new("7").keyed("user-1").header("tenant", "blue");
    bus.publish_message("t", message.event("counted").event_id("id-1"))
        .await
        .unwrap();
    let first = consumer_with("t", "whole", whole, app.clone())
        .start(&bus)
        .await
        .unwrap();
    seen.reach(1).await;
    let second = consumer_with("t", "others", others, app)
        .start(&bus)
        .await
        .unwrap();
    // murmur2 of `user-1` is partition 2 of 3.
    assert_eq!(
        seen.reach(2).await,
        ["app 7 user-1 blue 1 false id-1 t[2]@0", "counted 7"]
    );
    first.drain(GRACE).await.unwrap();
    second.drain(GRACE).await.unwrap();
}

#[tokio::test]
async fn ones_own_extractor_may_refuse_and_the_handler_is_not_called() {
    struct Tenant(String);
    impl<S: Sync> FromParts<S> for Tenant {
        async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
            let tenant = parts.record.headers().text("tenant").map(str::to_owned);
            tenant
                .map(Self)
                .ok_or_else(|| Failure::permanent("header `tenant` is missing"))
        }
    }
    let (bus, seen) = (memory().await, Seen::default());
    let handler = {
        let seen = seen.clone();
        move |Tenant(tenant): Tenant| async move { seen.push(tenant) }
    };
    bus.publish("t", &1).await.unwrap();
    bus.publish("t", &2).header("tenant", "blue").await.unwrap();
    let running = consumer("t", "g", handler).start(&bus).await.unwrap();
    assert_eq!(seen.reach(1).await, ["blue"]);
    let dead = read(&bus, "t.g.dlq", 1).await.remove(0);
    assert_eq!(text(&dead, "bus-error"), Some("header `tenant` is missing"));
    assert_eq!(text(&dead, "bus-attempts"), Some("1"));
    running.drain(GRACE).await.unwrap();
}

/// When each call of a handler was, in seconds, and the dead letter.
async fn calls_of(answer: fn() -> Result<(), Failure>, retry: Retry) -> (Vec<u64>, Record) {
    let (bus, seen, begun) = (memory().await, Seen::default(), Instant::now());
    let handler = {
        let seen = seen.clone();
        move || async move {
            seen.push(begun.elapsed().as_secs());
            answer()
        }
    };
    bus.publish_bytes("t", "raw").await.unwrap();
    let running = consumer("t", "g", handler)
        .subscription(move |s| s.retry(retry))
        .start(&bus)
        .await
        .unwrap();
    let dead = read(&bus, "t.g.dlq", 1).await.remove(0);
    running.drain(GRACE).await.unwrap();
    (seen.all(), dead)
}

#[tokio::test(start_paused = true)]
async fn errors_are_tried_again_by_the_policy_and_marked_ones_are_not() {
    let second = Duration::from_secs(1);
    let fails = || Err(Failure::new(std::io::Error::other("disk full")));
    let (calls, dead) = calls_of(fails, Retry::exponential(second)).await;
    assert_eq!(calls, [0, 1, 3, 7]);
    assert_eq!(text(&dead, "bus-attempts"), Some("4"));
    assert_eq!(text(&dead, "bus-reason"), Some("max-attempts"));
    assert_eq!(text(&dead, "bus-error"), Some("disk full"));
    assert_eq!(dead.payload(), Some(&b"raw"[..]));
    let (calls, _) = calls_of(fails, Retry::linear(second)).await;
    assert_eq!(calls, [0, 1, 3, 6]);
    let later = || Err("busy").retry_after(Duration::from_secs(20));
    let (calls, dead) = calls_of(later, Retry::exponential(second).max_retries(2)).await;
    assert_eq!(calls, [0, 20, 40]);
    assert_eq!(text(&dead, "bus-error"), Some("busy"));
    let (calls, dead) = calls_of(|| Err("never").permanent(), Retry::exponential(second)).await;
    assert_eq!(calls, [0]);
    assert_eq!(text(&dead, "bus-reason"), Some("rejected"));
}

#[tokio::test(start_paused = true)]
async fn no_message_ends_the_loop() {
    async fn handler(State(seen): State<Seen<u32>>, Payload(n): Payload<u32>) -> Result<(), Failure> {
        seen.push(n);
        match n {
            1 => panic!("as told"),
            2 => Err(Failure::new("no")),
            _ => Ok(()),
        }
    }
    let (bus, seen) = (memory().await, Seen::default());
    for payload in ["1", "{broken", "2", "4"] {
        bus.publish_bytes("t", payload).await.unwrap();
    }
    let structured = Message::new("{}").header("content-type", "application/cloudevents+json");
    bus.publish_message("t", structured).await.unwrap();
    bus.publish_bytes("t", "5").await.unwrap();
    let running = consumer_with("t", "g", handler, seen.clone())
        .subscription(|s| s.retry(Retry::fixed(Duration::from_secs(1)).max_retries(1)))
        .start(&bus)
        .await
        .unwrap();
    let mut reasons = Vec::new();
    for dead in read(&bus, "t.g.dlq", 4).await {
        let payload = String::from_utf8(dead.payload().unwrap().to_vec()).unwrap();
        reasons.push((payload, text(&dead, "bus-reason").unwrap().to_owned()));
    }
    reasons.sort();
    let expected = [
        ("1", "max-attempts"),
        ("2", "max-attempts"),
        ("{broken", "undecodable"),
        ("{}", "undecodable"),
    ];
    assert_eq!(
        reasons,
        expected.map(|(payload, reason)| (payload.to_owned(), reason.to_owned()))
    );
    assert!(!running.is_finished());
    bus.publish("t", &6).await.unwrap();
    apps::until("the last one", || seen.all().contains(&6)).await;
    assert!(seen.all().contains(&4) && seen.all().contains(&5));
    running.drain(GRACE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_the_delivery_settles_it_itself() {
    async fn by_hand(
        State(seen): State<Seen<(u32, u32)>>,
        Payload(n): Payload<u32>,
        delivery: Delivery<Bytes>,
    ) -> Result<(), &'static str> {
        seen.push((n, delivery.attempt()));
        match n {
            // It is done, whatever is returned.
            1 => {
                delivery.ack();
                Err("too late")
            }
            // Later, and elsewhere.
            2 if delivery.attempt() == 1 => {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    delivery.nack_after(Duration::from_secs(2));
                });
                Ok(())
            }
            _ => {
                delivery.ack();
                Ok(())
            }
        }
    }
    let (bus, seen, begun) = (memory().await, Seen::default(), Instant::now());
    bus.publish("t", &1).await.unwrap();
    bus.publish("t", &2).await.unwrap();
    let running = consumer_with("t", "g", by_hand, seen.clone())
        .start(&bus)
        .await
        .unwrap();
    assert_eq!(seen.reach(3).await, [(1, 1), (2, 1), (2, 2)]);
    assert!(begun.elapsed() >= Duration::from_secs(7));
    running.drain(GRACE).await.unwrap();
    // Nothing is left to be delivered again.
    let again = Seen::default();
    let running = consumer_with("t", "g", by_hand, again.clone())
        .start(&bus)
        .await
        .unwrap();
    running.control().caught_up().await.unwrap();
    running.drain(GRACE).await.unwrap();
    assert_eq!(again.count(), 0);
}

/// How often a message is handled whose handler runs while its consumer is killed.
async fn handled_around_a_kill(bus: &bus::Bus, when: Acknowledge) -> usize {
    let (topic, calls, hold) = (unique("kill"), Seen::default(), Arc::new(Semaphore::new(0)));
    let consumer = |hold: Arc<Semaphore>| {
        let calls = calls.clone();
        let handler = move |Payload(n): Payload<u32>| async move {
            calls.push(n);
            drop(hold.acquire().await);
        };
        consumer(&*topic, "g", handler).acknowledge(when)
    };
    bus.publish(&*topic, &1).await.unwrap();
    let killed = consumer(hold.clone()).start(bus).await.unwrap();
    calls.reach(1).await;
    killed.control().abort();
    hold.add_permits(100);
    soon("the end", killed.ended()).await.ok();
    // The next one says that everything before it was handled or passed.
    bus.publish(&*topic, &2).await.unwrap();
    let next = consumer(hold).start(bus).await.unwrap();
    apps::until("the second message", || calls.all().contains(&2)).await;
    next.drain(GRACE).await.unwrap();
    calls.all().iter().filter(|n| **n == 1).count()
}

#[tokio::test]
async fn before_means_at_most_once_and_after_at_least_once_on_every_backend() {
    // All at once: each waits for the session or lease of a member that was killed, and for nothing else.
    let buses = every_backend().await;
    let cases = buses
        .iter()
        .flat_map(|bus| [(bus, Acknowledge::Before, 1), (bus, Acknowledge::After, 2)]);
    join_all(cases.map(|(bus, when, times)| async move {
        assert_eq!(
            handled_around_a_kill(bus, when).await,
            times,
            "{when:?} on {bus:?}"
        );
    }))
    .await;
}

#[tokio::test]
async fn at_most_once_tries_nothing_again() {
    let (bus, seen) = (memory().await, Seen::default());
    let handler = {
        let seen = seen.clone();
        move |Payload(n): Payload<u32>| async move {
            seen.push(n);
            Err::<(), _>("no")
        }
    };
    for n in 0..100 {
        bus.publish("t", &n).await.unwrap();
    }
    let running = consumer("t", "g", handler)
        .acknowledge(Acknowledge::Before)
        .concurrency(16)
        .start(&bus)
        .await
        .unwrap();
    soon("all", running.control().caught_up()).await.unwrap();
    running.drain(GRACE).await.unwrap();
    let mut all = seen.all();
    all.sort();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
    // The topic of dead letters is there, and nothing in it.
    let dead: Topic<Bytes, Raw> = Topic::new("t.g.dlq");
    let mut dead = bus.observe(&dead).until(bus::Start::Latest).await.unwrap();
    assert!(soon("the end", dead.next()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn layers_apply_and_their_errors_are_failures_of_the_message() {
    let (bus, seen) = (memory().await, Seen::default());
    let handler = {
        let seen = seen.clone();
        move |Extension(limit): Extension<Duration>, attempt: Attempt| async move {
            seen.push(attempt.number);
            if attempt.number == 1 {
                tokio::time::sleep(2 * limit).await;
            }
        }
    };
    let limit = Duration::from_secs(30);
    bus.publish("t", &1).await.unwrap();
    let begun = Instant::now();
    let running = consumer("t", "g", handler)
        .layer(tower::timeout::TimeoutLayer::new(limit))
        .layer(tower::util::MapRequestLayer::new(move |mut message: Incoming| {
            message.parts_mut().extensions.insert(limit);
            message
        }))
        .start(&bus)
        .await
        .unwrap();
    assert_eq!(seen.reach(2).await, [1, 2]);
    assert_eq!(
        begun.elapsed().as_secs(),
        31,
        "the limit, and the first wait of the policy"
    );
    running.drain(GRACE).await.unwrap();
}

#[tokio::test]
async fn as_many_run_at_once_as_is_said_and_a_layer_may_allow_fewer() {
    for (concurrency, limit, expected) in [(4, 100, 4), (8, 3, 3), (1, 100, 1)] {
        let bus = memory().await;
        let (now, most, left) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(0)),
            Seen::default(),
        );
        let handler = {
            let (now, most, left) = (now.clone(), most.clone(), left.clone());
            move || async move {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                now.fetch_sub(1, SeqCst);
                left.push(());
            }
        };
        for n in 0..32 {
            bus.publish("t", &n).key(format!("k{}", n % 8)).await.unwrap();
        }
        let running = consumer("t", "g", handler)
            .concurrency(concurrency)
            .layer(tower::limit::ConcurrencyLimitLayer::new(limit))
            .start(&bus)
            .await
            .unwrap();
        left.reach(32).await;
        assert_eq!(most.load(SeqCst), expected, "{concurrency} and {limit}");
        running.drain(GRACE).await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_is_said_with_the_place_before_anything_starts() {
    let bus = memory().await;
    let line = line!() + 1;
    let none = consumer("t", "g", || async {}).concurrency(0);
    let error = none.start(&bus).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().contains(&format!("{}:{line}:", file!())),
        "{error}"
    );
    async fn by_hand(delivery: Delivery<Bytes>) {
        delivery.ack();
    }
    let both = consumer("t", "g", by_hand).acknowledge(Acknowledge::Before);
    let error = both.start(&bus).await.unwrap_err();
    assert!(error.to_string().contains("`Delivery`"), "{error}");
    let routes = bus::router::Router::new("r").route("x", by_hand).build().unwrap();
    let both = consumer("t", "g", routes).acknowledge(Acknowledge::Before);
    assert_eq!(both.start(&bus).await.unwrap_err().kind(), ErrorKind::Invalid);
    let missing = consumer("missing", "g", || async {})
        .start(&bus)
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::TopicMissing);
}

#[tokio::test]
async fn outputs_over_a_limit_are_a_failure_of_the_message() {
    async fn too_large() -> Verdict {
        Verdict::AckWith(vec![("out".into(), Message::new(vec![0; 64 << 20]))])
    }
    let bus = memory().await;
    bus.publish("t", &1).await.unwrap();
    let retry = Retry::fixed(Duration::from_millis(1)).max_retries(1);
    let running = consumer("t", "g", too_large)
        .subscription(move |s| s.retry(retry))
        .start(&bus)
        .await
        .unwrap();
    let dead = read(&bus, "t.g.dlq", 1).await.remove(0);
    assert!(
        text(&dead, "bus-error").unwrap().contains("limit"),
        "{:?}",
        text(&dead, "bus-error")
    );
    assert_eq!(text(&dead, "bus-attempts"), Some("2"));
    running.drain(GRACE).await.unwrap();
}
