//! The bus keeps its promises under every fault that the layer for faults can inject.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use bus::{
    Bus, ErrorKind, Message, Outcome, Raw, Retry, Start, Topic, TopicSpec,
    backend::Memory,
    layer::{Fault, Faults, Plan},
};
use doubles::soon;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

const T: Topic<String, Raw> = Topic::new("t");
const SECOND: Duration = Duration::from_secs(1);

async fn bus(plan: Plan) -> (Bus, Faults) {
    let faults = Faults::new(Arc::new(Memory::new()), plan);
    let bus = Bus::new(Arc::new(faults.clone())).await.unwrap();
    let topics = ["t", "out"].map(|name| TopicSpec::new(name).partitions(2));
    bus.ensure_topics(topics).await.unwrap();
    (bus, faults)
}

async fn publish(bus: &Bus, payload: &str) -> Result<Outcome, bus::Unsent> {
    bus.publish_message("t", Message::new(payload.to_owned()).keyed("k"))
        .await
}

/// Everything that is in a topic.
async fn stored(bus: &Bus, topic: &str) -> Vec<String> {
    let ends = bus.admin().positions(topic, Start::Latest).await.unwrap();
    let count: u128 = ends.iter().map(|(_, end)| end).sum();
    let topic = Topic::<String, Raw>::named(topic.to_owned());
    let mut reading = bus.observe(&topic).start(Start::Earliest).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..count {
        let record = soon("a record", reading.next()).await.unwrap().unwrap();
        all.push(record.value().clone());
        record.ack();
    }
    reading.close().await.unwrap();
    all
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_unknown_and_the_message_is_there() {
    let (bus, faults) = bus(Plan::none()).await;
    faults.next(Fault::LostReply);
    let unsent = publish(&bus, "a").await.unwrap_err();
    assert!(unsent.is_unknown());
    assert_eq!(*unsent.error(), ErrorKind::Timeout);
    publish(&bus, "b").await.unwrap();
    assert_eq!(stored(&bus, "t").await, ["a", "b"]);
    assert_eq!(faults.struck(Fault::LostReply), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_stored_is_not_there() {
    let (bus, faults) = bus(Plan::none()).await;
    faults.next(Fault::NotStored);
    let unsent = publish(&bus, "a").await.unwrap_err();
    assert!(!unsent.is_unknown() && unsent.error().is_transient());
    publish(&bus, "b").await.unwrap();
    assert_eq!(stored(&bus, "t").await, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_changes_no_order() {
    let (bus, faults) = bus(Plan::none()).await;
    faults.next(Fault::Slow(3 * SECOND));
    let begun = Instant::now();
    let first = bus.publish_batch("t", vec![Message::new("a").keyed("k")]);
    publish(&bus, "b").await.unwrap();
    assert!(begun.elapsed() < SECOND);
    first.await.pop().unwrap().unwrap();
    assert!(begun.elapsed() >= 3 * SECOND);
    assert_eq!(stored(&bus, "t").await, ["a", "b"]);
    faults.next(Fault::Slow(3 * SECOND));
    let begun = Instant::now();
    bus.admin().topics().await.unwrap();
    assert!(begun.elapsed() >= 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_reported_everywhere_and_waited_out() {
    let (bus, faults) = bus(Plan::none()).await;
    publish(&bus, "a").await.unwrap();
    publish(&bus, "b").await.unwrap();
    let mut subscription = bus.subscribe(&T, "g").in_flight(1).await.unwrap();
    let first = soon("a delivery", subscription.next()).await.unwrap().unwrap();
    faults.down(10 * SECOND);
    assert_eq!(bus.health().connection.unwrap_err(), ErrorKind::Unavailable);
    assert!(bus.admin().topics().await.unwrap_err().is_transient());
    let unsent = publish(&bus, "c").await.unwrap_err();
    assert!(!unsent.is_unknown() && unsent.error().is_transient());
    first.ack();
    let early = timeout(9 * SECOND, subscription.next()).await;
    assert!(
        early.is_err(),
        "nothing comes while the broker is gone: {early:?}"
    );
    let second = soon("the next", subscription.next()).await.unwrap().unwrap();
    assert_eq!(second.value(), "b");
    second.ack();
    soon("the flush", subscription.flush()).await.unwrap();
    assert!(bus.health().is_ok() && !faults.is_down());
    subscription.close().await.unwrap();
    assert_eq!(lag(&bus).await, 0);

    faults.down(1_000 * SECOND);
    faults.up();
    publish(&bus, "d").await.unwrap();
    faults.next(Fault::Outage(SECOND));
    assert!(publish(&bus, "e").await.is_err());
    assert!(faults.is_down());
}

#[tokio::test(start_paused = true)]
async fn subscribing_and_closing_outlive_an_outage() {
    let (bus, faults) = bus(Plan::none()).await;
    publish(&bus, "a").await.unwrap();
    faults.down(5 * SECOND);
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    let delivery = soon("a delivery", subscription.next()).await.unwrap().unwrap();
    faults.down(1_000 * SECOND);
    delivery.ack();
    let begun = Instant::now();
    subscription.drain(Duration::ZERO).await.unwrap();
    assert!(begun.elapsed() < 60 * SECOND, "{:?}", begun.elapsed());
    bus.close().await.unwrap();
}

async fn lag(bus: &Bus) -> u64 {
    let lag = bus.admin().lag("g").await.unwrap();
    lag.iter().map(|l| l.behind).sum()
}

/// Settles everything with an output, until so many different ones are stored.
async fn copy(bus: &Bus, faults: &Faults, fault: Fault, messages: usize) -> bus::Stats {
    for n in 0..messages {
        publish(bus, &n.to_string()).await.unwrap();
    }
    faults.next(fault);
    let subscription = bus.subscribe(&T, "g").in_flight(4).await.unwrap();
    let control = subscription.control();
    let running = tokio::spawn(subscription.for_each(2, |delivery| async move {
        let output = Message::new(delivery.value().clone());
        delivery.ack_with([("out", output)]).unwrap();
    }));
    let deadline = Instant::now() + 60 * SECOND;
    while lag(bus).await > 0 || faults.struck(fault) == 0 {
        assert!(Instant::now() < deadline, "{fault:?}: {:?}", control.stats());
        sleep(Duration::from_millis(50)).await;
    }
    control.drain(SECOND).await.unwrap();
    running.await.unwrap().unwrap();
    let mut outputs = stored(bus, "out").await;
    outputs.sort_by_key(|n| n.parse::<usize>().unwrap());
    let expected: Vec<_> = (0..messages).map(|n| n.to_string()).collect();
    assert_eq!(outputs, expected, "after {fault:?}, each output once");
    control.stats()
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_reply_was_lost_is_stored_once() {
    let (bus, faults) = bus(Plan::none()).await;
    let stats = copy(&bus, &faults, Fault::LostCommit, 9).await;
    assert_eq!((stats.delivered, stats.acked), (9, 9), "nothing comes again");
}

#[tokio::test(start_paused = true)]
async fn the_outputs_of_a_fenced_commit_are_refused_with_it() {
    let (bus, faults) = bus(Plan::none()).await;
    let stats = copy(&bus, &faults, Fault::FencedCommit, 9).await;
    assert!(stats.delivered > 9, "what was refused comes again: {stats:?}");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_was_taken_away_comes_again() {
    let (bus, faults) = bus(Plan::none()).await;
    copy(&bus, &faults, Fault::TakenAway, 9).await;

    let mut subscription = bus.subscribe(&T, "h").await.unwrap();
    let out = soon("a delivery", subscription.next()).await.unwrap().unwrap();
    faults.next(Fault::TakenAway);
    publish(&bus, "the next").await.unwrap();
    let (value, position) = (out.value().clone(), out.position());
    soon("the loss", async {
        while !out.is_lost() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    out.ack();
    let again = soon("the same", subscription.next()).await.unwrap().unwrap();
    assert_eq!(
        (again.value(), again.position(), again.attempt()),
        (&value, position, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn an_observer_loses_nothing_to_faults_of_groups() {
    let (bus, faults) = bus(Plan::none()).await;
    publish(&bus, "a").await.unwrap();
    faults.next(Fault::TakenAway);
    assert_eq!(stored(&bus, "t").await, ["a"]);
}

/// What two members made of it.
type Seen = Arc<Mutex<BTreeMap<String, Vec<usize>>>>;

const KEYS: usize = 8;
const ROUNDS: usize = 30;

/// Publishes to a few keys what two members handle; both may lose anything but a message.
async fn chaos(plan: Plan) -> (Faults, Seen) {
    let (bus, faults) = bus(plan).await;
    let seen = Seen::default();
    let mut members = Vec::new();
    for _ in 0..2 {
        let retry = Retry::fixed(Duration::from_millis(20)).forever();
        let subscription = bus.subscribe(&T, "g").in_flight(16).retry(retry).await.unwrap();
        let (control, seen) = (subscription.control(), seen.clone());
        let running = subscription.for_each(4, move |delivery| {
            let seen = seen.clone();
            async move {
                sleep(Duration::from_millis(3)).await;
                if delivery.attempt() == 1 && delivery.value().ends_with('7') {
                    return delivery.nack();
                }
                let (key, n) = delivery.value().split_once(':').unwrap();
                let (key, n) = (key.to_owned(), n.parse().unwrap());
                seen.lock().unwrap().entry(key).or_default().push(n);
                delivery.ack();
            }
        });
        members.push((control, tokio::spawn(running)));
    }
    for n in 0..ROUNDS {
        for key in 0..KEYS {
            let message = || Message::new(format!("{key}:{n}")).keyed(key.to_string());
            // What is unknown is stored here, and must not be sent again.
            while let Err(unsent) = bus.publish_message("t", message()).await {
                if unsent.is_unknown() {
                    break;
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    let deadline = Instant::now() + 600 * SECOND;
    let all = |seen: &Seen| {
        let seen = seen.lock().unwrap();
        let different = |numbers: &Vec<usize>| (0..ROUNDS).all(|n| numbers.contains(&n));
        seen.len() == KEYS && seen.values().all(different)
    };
    while !all(&seen) {
        assert!(
            Instant::now() < deadline,
            "{faults:?}: {:?}",
            seen.lock().unwrap()
        );
        sleep(Duration::from_millis(100)).await;
    }
    for (control, running) in members {
        control.drain(10 * SECOND).await.unwrap();
        running.await.unwrap().expect("no fault ends a subscription");
    }
    (faults, seen)
}

/// First deliveries of a key are in publish order; true: something came again.
fn check(seed: u64, seen: &Seen) -> bool {
    let mut again = false;
    for (key, numbers) in seen.lock().unwrap().iter() {
        let mut next = 0;
        for n in numbers {
            assert!(*n <= next, "seed {seed}: key {key} skipped to {n} of {numbers:?}");
            again |= *n < next;
            next = next.max(n + 1);
        }
    }
    again
}

#[tokio::test(start_paused = true)]
async fn everything_at_once_loses_and_reorders_nothing() {
    for seed in 0..15 {
        let plan = Plan::seeded(seed)
            .one_in(12, Fault::NotStored)
            .one_in(10, Fault::LostReply)
            .one_in(9, Fault::Slow(Duration::from_millis(40)))
            .one_in(150, Fault::Outage(2 * SECOND))
            .one_in(5, Fault::LostCommit)
            .one_in(9, Fault::FencedCommit)
            .one_in(11, Fault::TakenAway);
        let (faults, seen) = chaos(plan).await;
        check(seed, &seen);
        let kinds = [
            Fault::NotStored,
            Fault::LostReply,
            Fault::LostCommit,
            Fault::Slow(SECOND),
        ];
        assert!(
            kinds.iter().all(|fault| faults.struck(*fault) > 0),
            "seed {seed}: {faults:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_loss_of_ownership_nothing_comes_twice() {
    for seed in 0..15 {
        let plan = Plan::seeded(seed)
            .one_in(7, Fault::NotStored)
            .one_in(6, Fault::LostReply)
            .one_in(8, Fault::Slow(Duration::from_millis(40)))
            .one_in(90, Fault::Outage(SECOND))
            .one_in(3, Fault::LostCommit);
        let (faults, seen) = chaos(plan).await;
        assert!(!check(seed, &seen), "seed {seed}: something came twice");
        assert!(faults.struck(Fault::LostCommit) > 0 && faults.struck(Fault::LostReply) > 0);
    }
}
