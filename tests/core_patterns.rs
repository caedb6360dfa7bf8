//! Which topics belong to a pattern, and which the bus keeps for itself.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bus::{Bus, Message, Raw, Topic, TopicSpec};
use std::{collections::BTreeSet, time::Duration};

/// The topics a subscription of every `in.*` reads from, when each of these has one message.
async fn read(letters: Option<&'static str>, topics: &[&'static str]) -> BTreeSet<String> {
    let bus = Bus::connect("memory://").await.unwrap();
    for topic in topics {
        bus.ensure_topics([TopicSpec::new(*topic)]).await.unwrap();
        bus.publish_message(topic, Message::new("m")).await.unwrap();
    }
    let pattern: Topic<String, Raw> = Topic::new("in.*");
    let subscribe = bus.subscribe_pattern(&pattern, "g");
    let subscribe = match letters {
        Some(letters) => subscribe.dead_letter(letters),
        None => subscribe,
    };
    let mut reader = subscribe.await.unwrap();
    let mut from = BTreeSet::new();
    while let Ok(next) = tokio::time::timeout(Duration::from_secs(1), reader.next()).await {
        let delivery = next.unwrap().unwrap();
        assert!(from.insert(delivery.topic().to_owned()), "{from:?}");
        delivery.ack();
    }
    reader.close().await.unwrap();
    from
}

#[tokio::test(start_paused = true)]
async fn names_that_only_end_like_derived_ones_are_read() {
    let all = [
        "in.a",
        "in.cars.parked",
        "in.parked",
        "in.a.g.dlq",
        "in.a.g.dlq.parked",
    ];
    assert_eq!(
        read(None, &all).await,
        BTreeSet::from(["in.a", "in.cars.parked", "in.parked"].map(str::to_owned))
    );
}

#[tokio::test(start_paused = true)]
async fn where_dead_letters_go_and_are_parked_is_left_out_whatever_its_name() {
    let all = ["in.a", "in.failed", "in.failed.parked", "in.cars.parked"];
    let read = read(Some("in.failed"), &all).await;
    assert_eq!(
        read,
        BTreeSet::from(["in.a", "in.cars.parked"].map(str::to_owned))
    );
}
