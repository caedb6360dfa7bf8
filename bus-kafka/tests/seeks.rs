//! A seek whose partition leaves before the new position is stored.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Event, Start};
use bus_kafka::Kafka;
use bus_proxy::{Filter, Late, Rule};
use common::{lab::Lab, *};
use std::time::{Duration, Instant};

/// ListOffsets: where the beginning is.
const LOOK_UP: [i16; 1] = [2];
const STORED: u128 = 7;

fn has_failed(member: &Member, partition: u32) -> bool {
    let mut failed = member.others.iter().filter_map(|event| match event {
        Event::SeekFailed(shard) => Some(shard.partition),
        _ => None,
    });
    failed.any(|of| of == partition)
}

/// It comes back where it stood. That is not where the seek led, so whoever sought is told first.
#[tokio::test(flavor = "multi_thread")]
async fn a_seek_whose_partition_leaves_is_told_to_have_failed() {
    let lab = Lab::start().await;
    let (topic, group) = (topic(&lab.kafka, 2).await, unique("g"));
    publish(&lab.kafka, &topic, numbered(20, 2)).await;
    let config = lab.config().client_id("first");
    let kafka = Kafka::connect(config).await.unwrap();
    let mut first = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    first.until_owned(2).await;
    first.until_records(20).await;
    let before = [first.shard(0), first.shard(1)];
    for result in first.ack.commit(before.map(|s| done(s, STORED)).to_vec()).await {
        result.unwrap();
    }

    // The seeks cannot be stored before the rebalance is over.
    let slow = Rule::hold_request(
        Filter::kafka(LOOK_UP).containing("first"),
        1.0,
        2 * SOON,
        Late::Waiting,
    );
    lab.proxy.change(|faults| faults.rules.push(slow));
    for shard in before {
        first.subscriber.seek(shard, Start::Earliest).await.unwrap();
    }
    first.until("losing both", |m| m.lost.len() == 2).await;
    let mut second = Member::join(&lab.kafka, source(&topic, &group, Start::Earliest)).await;
    let deadline = Instant::now() + SOON;
    while second.owned.is_empty() {
        assert!(Instant::now() < deadline, "the second gets nothing");
        first.step(Duration::from_millis(50)).await;
        second.step(Duration::from_millis(50)).await;
    }
    let (moved, position) = second.owned.iter().map(|(p, of)| (*p, of.1)).next().unwrap();
    assert_eq!(position, STORED, "nothing was stored by the seek");
    first.until("being told", |m| has_failed(m, moved)).await;
    // It leaves on a connection that lives: else it would be in the group until its session is over.
    second.subscriber.close().await.unwrap();
    lab.proxy.change(|faults| faults.rules.clear());
    lab.proxy.reset();

    first.until_owned(2).await;
    assert_eq!(first.owned[&moved].1, STORED);
    let stayed = 1 - moved;
    assert_eq!(first.owned[&stayed].1, 0, "the other seek had its effect");
    assert!(!has_failed(&first, stayed));
    first.subscriber.close().await.unwrap();
}
