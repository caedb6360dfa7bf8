//! Outputs without a transaction: the position waits for what the broker says of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Done, ErrorKind, Message, Name, Start};
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

#[tokio::test(flavor = "multi_thread")]
async fn outputs_are_stored_before_the_position() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 2).await;
    let dead = common::topic(&kafka, 2).await;
    publish(&kafka, &topic, numbered(4, 2)).await;
    let mut member = Member::join(&kafka, source(&topic, &unique("g"), Start::Earliest)).await;
    member.until_records(4).await;
    let with = |shard, topic: &str, text: &str| Done {
        outputs: vec![(
            Name::from(topic),
            Message::new(text.to_owned()).keyed("k").to_partition(1),
        )],
        ..done(shard, 2)
    };
    let missing = unique("missing");
    let (zero, one) = (member.shard(0), member.shard(1));
    let results = member
        .ack
        .commit(vec![with(zero, &missing, "x"), with(one, &dead, "poison")])
        .await;
    let error = results[0].as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TopicMissing);
    assert!(error.to_string().contains(&missing));
    results[1].as_ref().unwrap();
    let mut fenced = zero;
    fenced.epoch += 1_000;
    let results = member
        .ack
        .commit(vec![with(fenced, &dead, "of a fenced shard")])
        .await;
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::Fenced);
    member.subscriber.close().await.unwrap();

    let mut reader = Member::join(&kafka, everyone(&dead, None, Start::Earliest)).await;
    reader
        .until("reading the dead letters", |m| m.caught_up.len() == 2)
        .await;
    assert_eq!(reader.payloads(), ["poison"]);
    reader.subscriber.close().await.unwrap();
}
