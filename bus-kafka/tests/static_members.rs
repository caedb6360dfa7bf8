//! Members with names of their own (`group.instance.id`), and what a rebalance does to those who stay.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{ErrorKind, Event, Message, Room, Start};
use bus_kafka::Kafka;
use common::*;
use std::time::{Duration, Instant};

/// The second fences the first for good, and the queues of the first would go on delivering.
#[tokio::test(flavor = "multi_thread")]
async fn who_lost_its_name_loses_everything_and_ends() {
    log();
    let named = || config().set("group.instance.id", "one");
    let (one, two) = (
        Kafka::connect(named()).await.unwrap(),
        Kafka::connect(named()).await.unwrap(),
    );
    let (topic, group) = (topic(&one, 2).await, unique("g"));
    let mut first = Member::join(&one, source(&topic, &group, Start::Earliest)).await;
    first.until_owned(2).await;
    let mut second = Member::join(&two, source(&topic, &group, Start::Earliest)).await;
    second.until_owned(2).await;
    let room = Room {
        messages: 1_000,
        bytes: 1 << 24,
    };
    let mut lost = 0;
    let error = loop {
        let mut events = Vec::new();
        match tokio::time::timeout(SOON, first.subscriber.receive(room, &mut events)).await {
            Err(_) => panic!("the first does not end; {lost} lost"),
            Ok(Err(error)) => break error,
            Ok(Ok(())) => {}
        }
        for event in events {
            match event {
                Event::Lost(_) => lost += 1,
                Event::Records { .. } => panic!("records of a partition that is another's"),
                _ => {}
            }
        }
    };
    assert_eq!((error.kind(), lost), (ErrorKind::Fenced, 2), "{error}");
    publish(&one, &topic, vec![Message::new("x").to_partition(0)]).await;
    second.until_records(1).await;
    second.leave().await;
    first.subscriber.close().await.unwrap();
}

/// Every rebalance pauses all partitions, and librdkafka's threads notice its end only after a second by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_stay_hardly_notice_a_rebalance() {
    let kafka = std::sync::Arc::new(kafka().await);
    let (topic, group) = (topic(&kafka, 2).await, unique("g"));
    let mut first = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    first.until_owned(2).await;
    let feed = {
        let (kafka, topic) = (kafka.clone(), topic.clone());
        tokio::spawn(async move {
            loop {
                let batch = (0..2).map(|p| Message::new("x").to_partition(p)).collect();
                publish(&kafka, &topic, batch).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    };
    first.until_records(20).await;
    let mut shortest = Duration::MAX;
    // The best of several, because a busy machine makes pauses of its own.
    for _ in 0..5 {
        let mut second = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
        let (mut longest, mut seen, mut at) = (Duration::ZERO, first.records.len(), Instant::now());
        let deadline = Instant::now() + SOON;
        while second.owned.is_empty() {
            assert!(Instant::now() < deadline, "the second owns nothing");
            for shard in std::mem::take(&mut first.losing) {
                first.ack.release(shard).await.unwrap();
            }
            first.step(Duration::from_millis(5)).await;
            second.step(Duration::from_millis(5)).await;
            if first.records.len() > seen {
                seen = first.records.len();
                longest = longest.max(at.elapsed());
                at = Instant::now();
            }
        }
        shortest = shortest.min(longest.max(at.elapsed()));
        second.leave().await;
        first.until_owned(2).await;
    }
    feed.abort();
    first.subscriber.close().await.unwrap();
    assert!(shortest < Duration::from_millis(700), "{shortest:?}");
}
