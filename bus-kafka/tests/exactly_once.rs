//! Outputs and positions take effect together or not at all.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{ErrorKind, Message};
use common::*;
use std::time::{Duration, Instant};

fn texts(range: std::ops::Range<usize>) -> Vec<Message> {
    range
        .map(|i| Message::new(format!("{i}")).to_partition(0))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_and_positions_are_stored_together() {
    let kafka = kafka().await;
    let (input, output, group) = (topic(&kafka, 1).await, topic(&kafka, 3).await, unique("g"));
    publish(&kafka, &input, texts(0..10)).await;
    let mut member = Member::join(&kafka, exactly_once(&input, &group)).await;
    member.until_records(10).await;
    let shard = member.shard(0);
    for next in [4, 10] {
        let outputs = (next..next + 3)
            .map(|i| (&*output, Message::new(format!("o{i}")).keyed("k")))
            .collect();
        let result = member.ack.commit(vec![done_with(shard, next, outputs)]).await;
        result.into_iter().for_each(|r| r.unwrap());
        assert_eq!(stored(&kafka, &group).await.0, next);
    }
    until_contents(&kafka, &output, &["o4", "o5", "o6", "o10", "o11", "o12"]).await;
    member.subscriber.close().await.unwrap();
    let mut member = Member::join(&kafka, exactly_once(&input, &group)).await;
    member.until_owned(1).await;
    assert_eq!(member.owned[&0].1, 10);
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_shard_takes_its_outputs_down_and_leaves_its_neighbours() {
    let kafka = kafka().await;
    let (input, output, group) = (topic(&kafka, 2).await, topic(&kafka, 1).await, unique("g"));
    publish(&kafka, &input, texts(0..5)).await;
    publish(
        &kafka,
        &input,
        (0..5)
            .map(|i| Message::new(format!("{i}")).to_partition(1))
            .collect(),
    )
    .await;
    let mut member = Member::join(&kafka, exactly_once(&input, &group)).await;
    member.until_records(10).await;
    let (zero, one) = (member.shard(0), member.shard(1));
    member.ack.release(zero).await.unwrap();
    let results = member
        .ack
        .commit(vec![
            done_with(zero, 5, vec![(&output, Message::new("fenced"))]),
            done_with(one, 5, vec![(&output, Message::new("ours"))]),
        ])
        .await;
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::Fenced);
    results[1].as_ref().unwrap();
    until_contents(&kafka, &output, &["ours"]).await;
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_cannot_be_stored_holds_nobody_up() {
    let kafka = kafka().await;
    let (input, output, group) = (topic(&kafka, 5).await, topic(&kafka, 1).await, unique("g"));
    let one_each = (0..5).map(|i| Message::new("x").to_partition(i)).collect();
    publish(&kafka, &input, one_each).await;
    let mut member = Member::join(&kafka, exactly_once(&input, &group)).await;
    member.until_records(5).await;
    let missing = unique("missing");
    let done = vec![
        done_with(member.shard(0), 1, vec![(&output, Message::new("0"))]),
        done_with(
            member.shard(1),
            1,
            vec![(&output, Message::new("1")), (&missing, Message::new("1"))],
        ),
        done_with(
            member.shard(2),
            1,
            vec![
                (&output, Message::new("2")),
                (&output, Message::new(vec![0; 2_000_000])),
            ],
        ),
        done_with(
            member.shard(3),
            1,
            vec![(&output, Message::new("3").to_partition(7))],
        ),
        done_with(member.shard(4), 1, vec![(&output, Message::new("4"))]),
    ];
    let results = member.ack.commit(done).await;
    let kinds: Vec<Option<ErrorKind>> = results
        .iter()
        .map(|r| r.as_ref().err().map(|e| e.kind()))
        .collect();
    assert_eq!(
        kinds,
        [
            None,
            Some(ErrorKind::TopicMissing),
            Some(ErrorKind::TooLarge),
            Some(ErrorKind::Invalid),
            None
        ]
    );
    until_contents(&kafka, &output, &["0", "4"]).await;
    let positions: Vec<u128> = lag(&kafka, &group).await.iter().map(|l| l.position).collect();
    assert_eq!(positions, [1, 0, 0, 0, 1]);
    member.subscriber.close().await.unwrap();
}

/// The broker finds what nobody could know before: whose output it is, is found out by sending each alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_the_broker_refuses_fails_alone() {
    let kafka = kafka().await;
    let (input, output, group) = (topic(&kafka, 3).await, topic(&kafka, 1).await, unique("g"));
    publish(
        &kafka,
        &input,
        (0..3).map(|i| Message::new("x").to_partition(i)).collect(),
    )
    .await;
    let mut member = Member::join(&kafka, exactly_once(&input, &group)).await;
    member.until_records(3).await;
    let (zero, one, two) = (member.shard(0), member.shard(1), member.shard(2));
    // The writer knows the topic's limit from now on, and it is lowered behind its back.
    member
        .ack
        .commit(vec![done_with(zero, 0, vec![(&output, Message::new("first"))])])
        .await
        .remove(0)
        .unwrap();
    alter(&output, "max.message.bytes", "1000").await;
    let results = member
        .ack
        .commit(vec![
            done_with(zero, 1, vec![(&output, Message::new("0"))]),
            done_with(one, 1, vec![(&output, Message::new(vec![b'x'; 5_000]))]),
            done_with(two, 1, vec![(&output, Message::new("2"))]),
        ])
        .await;
    results[0].as_ref().unwrap();
    assert_eq!(results[1].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    results[2].as_ref().unwrap();
    until_contents(&kafka, &output, &["first", "0", "2"]).await;
    member.subscriber.close().await.unwrap();
}

/// librdkafka rounds a commit up to 100 ms where messages have no report yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_takes_no_longer_than_it_must() {
    let kafka = kafka().await;
    let (input, output, group) = (topic(&kafka, 1).await, topic(&kafka, 1).await, unique("g"));
    publish(&kafka, &input, texts(0..1)).await;
    let mut member = Member::join(&kafka, exactly_once(&input, &group)).await;
    member.until_records(1).await;
    let mut shortest = Duration::MAX;
    for _ in 0..100 {
        let done = done_with(member.shard(0), 1, vec![(&output, Message::new("x"))]);
        let begun = Instant::now();
        member.ack.commit(vec![done]).await.remove(0).unwrap();
        shortest = shortest.min(begun.elapsed());
        // One is proof: a busy machine makes pauses of its own.
        if shortest < Duration::from_millis(95) {
            break;
        }
    }
    assert!(shortest < Duration::from_millis(95), "{shortest:?}");
    member.subscriber.close().await.unwrap();
}
