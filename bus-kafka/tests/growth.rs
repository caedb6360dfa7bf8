//! Topics that get partitions while they are read.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Event, Message, Start};
use bus_kafka::Kafka;
use common::*;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn added_partitions_start_at_their_beginning() {
    let kafka = Kafka::connect(config().metadata_refresh(Duration::from_millis(300)))
        .await
        .unwrap();
    let topic = topic(&kafka, 2).await;
    let group = unique("g");
    publish(&kafka, &topic, numbered(10, 2)).await;
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Latest)).await;
    member.until_owned(2).await;
    kafka.admin().grow(&topic, 3).await.unwrap();
    // Stored before anybody owns the new partition.
    let other = common::kafka().await;
    publish(
        &other,
        &topic,
        vec![Message::new("first of its partition").to_partition(2)],
    )
    .await;
    member.until_records(1).await;
    assert_eq!(member.payloads(), ["first of its partition"]);
    assert_eq!(member.owned[&2].1, 0);
    member
        .until("being told of the new partitions", |m| {
            m.others
                .iter()
                .any(|e| matches!(e, Event::PartitionsChanged { partitions: 3, .. }))
        })
        .await;
    member.leave().await;
}

/// The group's leader sees added partitions first, and the others own them before they have looked.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_assigned_what_it_does_not_know_is_told() {
    log();
    let leads = Kafka::connect(config().metadata_refresh(Duration::from_millis(300)))
        .await
        .unwrap();
    let follows = Kafka::connect(config().metadata_refresh(Duration::from_secs(3_600)))
        .await
        .unwrap();
    let topic = topic(&leads, 2).await;
    let group = unique("g");
    let mut leader = Member::join(&leads, source(&topic, &group, Start::Earliest)).await;
    leader.until_owned(2).await;
    let mut member = Member::join(&follows, source(&topic, &group, Start::Earliest)).await;
    let deadline = Instant::now() + SOON;
    while leader.owned.len() != 1 || member.owned.len() != 1 {
        assert!(Instant::now() < deadline, "one each");
        for shard in std::mem::take(&mut leader.losing) {
            leader.ack.release(shard).await.unwrap();
        }
        leader.step(Duration::from_millis(50)).await;
        member.step(Duration::from_millis(50)).await;
    }
    leads.admin().grow(&topic, 4).await.unwrap();
    let told = |m: &Member| {
        m.others
            .iter()
            .any(|e| matches!(e, Event::PartitionsChanged { partitions: 4, .. }))
    };
    member.until("being told of the new partitions", told).await;
    leader.until("being told of the new partitions", told).await;
    member.until_owned(2).await;
    member.leave().await;
    leader.leave().await;
}
