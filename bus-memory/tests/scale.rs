//! A thousand partitions, a hundred groups, many members: slow would show as a test that does not end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use bus_core::Message;
use common::*;

#[tokio::test(start_paused = true)]
async fn a_thousand_partitions_among_fifty_members() {
    let memory = bus(1000).await;
    let mut members = Vec::new();
    for _ in 0..50 {
        members.push(join(&memory, "g").await);
    }
    let mut keyed = Vec::new();
    for n in 0..10_000u32 {
        keyed.push(Message::new(n.to_string()).keyed(n.to_string()));
    }
    publish(&memory, keyed).await;
    let mut seen = 0;
    for member in &mut members {
        let events = member.drain(ALL).await;
        assert_eq!(shards(&events).len(), 20);
        seen += records(&events).len();
    }
    assert_eq!(seen, 10_000);
    // All but one leave: it gets everything, and gives it back when they return.
    for member in &mut members[1..] {
        member.subscriber.close().await.unwrap();
    }
    assert_eq!(shards(&members[0].drain(ALL).await).len(), 980);
    let mut back = join(&memory, "g").await;
    let leaving = losing(&members[0].drain(NONE).await);
    assert_eq!(leaving.len(), 500);
    for (shard, _) in leaving {
        members[0].ack.release(shard).await.unwrap();
    }
    assert_eq!(shards(&back.drain(NONE).await).len(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_groups_see_everything() {
    let memory = bus(4).await;
    let mut groups = Vec::new();
    for n in 0..100 {
        groups.push(join(&memory, &format!("g{n}")).await);
    }
    for n in 0..100 {
        publish(&memory, numbered(n % 4, 0..10)).await;
        for group in &mut groups {
            assert_eq!(records(&group.drain(ALL).await).len(), 10);
        }
    }
}
