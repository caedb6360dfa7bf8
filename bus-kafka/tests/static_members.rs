//! Members with names of their own (`group.instance.id`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{ErrorKind, Event, Message, Room, Start};
use bus_kafka::Kafka;
use common::*;

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
