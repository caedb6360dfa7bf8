//! Outputs without a transaction: the position waits for what the broker says of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{ErrorKind, Message, Start};
use common::*;

/// The broker finds what nobody could know before, and the record comes again.
#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_the_broker_refuses_keeps_the_position() {
    let kafka = kafka().await;
    let (input, output, group) = (topic(&kafka, 1).await, topic(&kafka, 1).await, unique("g"));
    publish(&kafka, &input, (0..2).map(|_| Message::new("x")).collect()).await;
    let mut member = Member::join(&kafka, source(&input, &group, Start::Earliest)).await;
    member.until_records(2).await;
    let shard = member.shard(0);
    // The producer knows the topic's limit from now on, and it is lowered behind its back.
    let results = member
        .ack
        .commit(vec![done_with(shard, 1, vec![(&output, Message::new("first"))])])
        .await;
    results[0].as_ref().unwrap();
    alter(&output, "max.message.bytes", "1000").await;
    let large = Message::new(vec![b'x'; 5_000]);
    let results = member
        .ack
        .commit(vec![done_with(shard, 2, vec![(&output, large)])])
        .await;
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(lag(&kafka, &group).await[0].position, 1, "what was stored before");
    member.subscriber.close().await.unwrap();
}
