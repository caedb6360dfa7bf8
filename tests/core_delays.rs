//! Delays and expiry on a paused clock, and what surrounds them: closing, dropping, spreading.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use bus::{Bus, Message, Raw, Subscription, TopicSpec, backend::Memory};
use doubles::T;
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, timeout};

const HOUR: Duration = Duration::from_secs(3600);

async fn memory(partitions: u32) -> Bus {
    let bus = Bus::new(Arc::new(Memory::default())).await.unwrap();
    let topic = TopicSpec::new("t").partitions(partitions);
    bus.ensure_topics([topic]).await.unwrap();
    bus
}

async fn next(subscription: &mut Subscription<String, Raw>, limit: Duration) -> bus::Delivery<String> {
    let next = timeout(limit, subscription.next()).await.expect("in time");
    next.expect("not the end").expect("a delivery")
}

#[tokio::test(start_paused = true)]
async fn a_day_passes_on_a_paused_clock() {
    let bus = memory(2).await;
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    let began = Instant::now();
    for (n, hours) in [24u32, 1, 5].into_iter().enumerate() {
        let message = Message::new(format!("{hours}")).keyed(format!("k{n}"));
        bus.publish_message("t", message)
            .delay(hours * HOUR)
            .await
            .unwrap();
    }
    for hours in [1u32, 5, 24] {
        let delivery = next(&mut subscription, 25 * HOUR).await;
        assert_eq!(delivery.value(), &hours.to_string());
        let passed = began.elapsed();
        let due = hours * HOUR;
        assert!(
            passed >= due && passed < due + Duration::from_secs(2),
            "{hours} h: {passed:?}"
        );
        delivery.ack();
    }
    subscription.close().await.unwrap();
    bus.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_time_that_has_come_delays_nothing() {
    let bus = memory(1).await;
    let past = SystemTime::now() - HOUR;
    bus.publish_message("t", Message::new("now"))
        .at(past)
        .await
        .unwrap();
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    let delivery = next(&mut subscription, Duration::from_secs(5)).await;
    assert!(
        delivery.headers().iter().next().is_none(),
        "nothing is left of it"
    );
    let topics = bus.admin().topics().await.unwrap();
    assert!(
        topics.iter().all(|t| !t.name.ends_with(".delay")),
        "nothing had to wait"
    );
}

#[tokio::test(start_paused = true)]
async fn what_expires_is_counted_and_skipped() {
    let bus = memory(1).await;
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    for (text, life) in [("short", HOUR), ("long", 3 * HOUR)] {
        let message = Message::new(text).keyed("k");
        bus.publish_message("t", message).expires(life).await.unwrap();
    }
    let first = next(&mut subscription, HOUR).await;
    assert_eq!(first.value(), "short");
    first.nack_after(2 * HOUR);
    let second = next(&mut subscription, 3 * HOUR).await;
    assert_eq!((second.value().as_str(), second.attempt()), ("long", 1));
    second.ack();
    assert_eq!(subscription.control().stats().expired, 1);
    subscription.close().await.unwrap();
}

#[tokio::test]
async fn delayed_messages_without_a_key_are_spread() {
    let bus = memory(4).await;
    let wait = Duration::from_millis(50);
    for n in 0..40 {
        bus.publish_message("t", Message::new(n.to_string()))
            .delay(wait)
            .await
            .unwrap();
    }
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    let mut partitions = HashSet::new();
    for _ in 0..40 {
        let delivery = next(&mut subscription, Duration::from_secs(20)).await;
        partitions.insert(delivery.partition());
        delivery.ack();
    }
    assert_eq!(partitions.len(), 4);
}

/// Members of the group that moves the delays of `t`.
async fn movers(memory: &Memory) -> usize {
    let admin = bus::Backend::admin(memory);
    admin
        .group("t.delay")
        .await
        .map_or(0, |group| group.members.len())
}

async fn until_movers(memory: &Memory, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while movers(memory).await != count {
        assert!(
            Instant::now() < deadline,
            "{} movers, not {count}",
            movers(memory).await
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn movers_end_with_their_bus_closed_or_dropped() {
    let memory = Memory::default();
    let connect = async || Bus::new(Arc::new(memory.clone())).await.unwrap();
    let bus = connect().await;
    bus.ensure_topics([TopicSpec::new("t")]).await.unwrap();
    bus.publish_message("t", Message::new("x"))
        .delay(HOUR)
        .await
        .unwrap();
    until_movers(&memory, 1).await;
    bus.close().await.unwrap();
    assert_eq!(movers(&memory).await, 0, "a closed bus moves nothing");
    // Who subscribes moves what others left behind, for as long as the bus lives.
    let bus = connect().await;
    let subscription = bus.subscribe(&T, "g").await.unwrap();
    until_movers(&memory, 1).await;
    drop(subscription);
    drop(bus);
    until_movers(&memory, 0).await;
}

/// Each on its own worker: a task that is waited for wakes only the last who asked for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_may_close_at_once() {
    for _ in 0..200 {
        let bus = memory(1).await;
        // A mover is under way.
        let message = Message::new("later");
        bus.publish_message("t", message).delay(HOUR).await.unwrap();
        let subscription = bus.subscribe(&T, "g").await.unwrap();
        let closing: Vec<_> = (0..4)
            .map(|_| {
                let bus = bus.clone();
                tokio::spawn(async move { bus.close().await })
            })
            .collect();
        for closed in closing {
            let closed = timeout(Duration::from_secs(20), closed).await;
            closed.expect("every close ends").unwrap().unwrap();
        }
        drop(subscription);
    }
}
