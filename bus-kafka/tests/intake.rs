//! What is handed out, when, and from where.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, ErrorKind, Room, Start};
use common::*;
use std::{collections::BTreeMap, time::Duration};

#[tokio::test(flavor = "multi_thread")]
async fn room_and_pause_are_kept() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 2).await;
    publish(&kafka, &topic, numbered(3_000, 2)).await;
    let mut member = Member::join(&kafka, source(&topic, &unique("g"), Start::Earliest)).await;
    member.room = Room {
        messages: 0,
        bytes: 0,
    };
    member.until_owned(2).await;
    assert!(!member.step(Duration::from_millis(700)).await || member.records.is_empty());
    assert!(member.records.is_empty(), "records without room");
    member.room = Room {
        messages: 7,
        bytes: 1 << 20,
    };
    member.until_records(7).await;
    assert_eq!(member.records.len(), 7);
    member.room = Room {
        messages: 100,
        bytes: 1,
    };
    let before = member.records.len();
    assert!(member.step(SOON).await);
    assert_eq!(member.records.len(), before + 1, "one record may pass the bytes");

    member.room = Room {
        messages: 500,
        bytes: 1 << 20,
    };
    let paused = member.shard(0);
    member.subscriber.pause(paused, true);
    let seen = |m: &Member, partition| m.records.iter().filter(|(s, _)| s.partition == partition).count();
    let of_paused = seen(&member, 0);
    member
        .until("everything of the other partition", |m| seen(m, 1) == 1_500)
        .await;
    assert_eq!(seen(&member, 0), of_paused);
    member.subscriber.pause(paused, false);
    member.until_records(3_000).await;
    let positions: Vec<u128> = member
        .records
        .iter()
        .filter(|(s, _)| s.partition == 0)
        .map(|(_, r)| r.position())
        .collect();
    assert_eq!(positions, (0..1_500).collect::<Vec<u128>>());
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_overtakes_records_that_wait() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 2).await;
    let group = unique("g");
    publish(&kafka, &topic, numbered(2_000, 2)).await;
    let mut first = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    first.room = Room {
        messages: 1,
        bytes: 1 << 20,
    };
    first.until_owned(2).await;
    first.until_records(2).await;
    first.room.messages = 0;
    let mut second = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    first.until("losing one", |m| m.losing.len() == 1).await;
    let leaving = first.losing[0];
    first.room.messages = 1_000;
    first.ack.release(leaving).await.unwrap();
    second.until_owned(1).await;
    second.until_records(1_000).await;
    first
        .until("everything of what stayed", |m| {
            m.records
                .iter()
                .filter(|(s, _)| s.partition != leaving.partition)
                .count()
                == 1_000
        })
        .await;
    second.leave().await;
    first.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn seek_voids_and_gains_again() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 1).await;
    let group = unique("g");
    publish(&kafka, &topic, numbered(2_500, 1)).await;
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_records(2_500).await;
    let old = member.shard(0);
    assert!(member.ack.commit(vec![done(old, 2_000)]).await[0].is_ok());
    member.records.clear();
    member
        .subscriber
        .seek(old, Start::Positions(BTreeMap::from([(0, 5)])))
        .await
        .unwrap();
    member
        .until("losing and gaining", |m| m.lost == [old] && m.owned.len() == 1)
        .await;
    assert_eq!(member.owned[&0].1, 5);
    assert!(member.shard(0).epoch > old.epoch);
    member.until_records(2_495).await;
    assert_eq!(member.records[0].1.position(), 5);
    assert_eq!(
        member
            .ack
            .commit(vec![done(old, 2_100)])
            .await
            .remove(0)
            .unwrap_err()
            .kind(),
        ErrorKind::Fenced
    );
    member
        .subscriber
        .seek(member.shard(0), Start::Latest)
        .await
        .unwrap();
    member
        .until("gaining at the end", |m| {
            m.owned.get(&0).is_some_and(|o| o.1 == 2_500)
        })
        .await;
    let error = member.subscriber.seek(old, Start::Earliest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    member.subscriber.close().await.unwrap();
    let lag = kafka.admin().lag(&group).await.unwrap();
    assert_eq!(lag[0].position, 2_500, "the new position is stored");
}
