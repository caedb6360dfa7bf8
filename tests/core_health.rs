//! What a bus knows of itself, and a group with more members than partitions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;
mod logs;

use bus::{Bus, Message, TopicSpec};
use doubles::{T, idle, soon};
use logs::Logs;
use std::time::Duration;

async fn bus(partitions: u32) -> Bus {
    let bus = Bus::connect("memory://").await.unwrap();
    bus.ensure_topics([TopicSpec::new("t").partitions(partitions)])
        .await
        .unwrap();
    bus
}

#[tokio::test(start_paused = true)]
async fn members_partitions_and_lag_are_known() {
    let bus = bus(2).await;
    assert!(bus.health().is_ok() && bus.health().subscriptions.is_empty());
    for i in 0..4 {
        bus.publish_message("t", Message::new("x").to_partition(i % 2))
            .await
            .unwrap();
    }
    let mut group = bus.subscribe(&T, "g").await.unwrap();
    soon("one", group.next()).await.unwrap().unwrap().ack();
    soon("a flush", group.flush()).await.unwrap();
    let observer = bus.observe(&T).await.unwrap();
    idle().await;
    let health = bus.health();
    assert_eq!(health.subscriptions.len(), 2);
    let member = &health.subscriptions[0];
    assert_eq!((member.group.as_deref(), &*member.topics[0]), (Some("g"), "t"));
    let assigned: Vec<_> = member
        .assigned
        .iter()
        .map(|owned| (&*owned.topic, owned.partition))
        .collect();
    assert_eq!(assigned, [("t", 0), ("t", 1)]);
    assert!(health.subscriptions[1].group.is_none() && health.subscriptions[1].seen.is_none());
    // It has waited for nobody; the question was asked behind its back.
    assert!(member.seen.is_none());
    idle().await;
    let seen = bus.health().subscriptions[0].seen.unwrap();
    assert_eq!((seen.members, seen.behind), (1, 3));
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(
        bus.health().subscriptions[0].seen.unwrap().age >= Duration::from_secs(4),
        "its age is told"
    );
    observer.close().await.unwrap();
    group.close().await.unwrap();
    assert!(bus.health().subscriptions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_with_more_members_than_partitions_says_so_once() {
    let logs = Logs::default();
    let _listening = logs.install();
    let bus = bus(2).await;
    let mut members = Vec::new();
    for _ in 0..2 {
        members.push(bus.subscribe(&T, "g").await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(
        logs.with("members for").is_empty(),
        "each has one: {:?}",
        logs.with("WARN")
    );
    members.push(bus.subscribe(&T, "g").await.unwrap());
    tokio::time::sleep(Duration::from_secs(300)).await;
    let lines = logs.with("group `g` has 3 members for 2 partitions");
    assert_eq!(lines.len(), 1, "{:?}", logs.with("WARN"));
    assert!(
        lines[0].starts_with("WARN")
            && lines[0].contains("1 of them")
            && lines[0].contains("run fewer members, or add partitions")
    );
    for member in members {
        member.close().await.unwrap();
    }
}
