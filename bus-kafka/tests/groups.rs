//! Groups: sharing, handing over, fencing; and reading outside of any.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Bytes, Done, ErrorKind, Message, Scope, Source, Start};
use common::*;
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread")]
async fn two_members_share_and_hand_over() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 4).await;
    let group = unique("g");
    publish(&kafka, &topic, numbered(100, 4)).await;
    let mut first = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    first.until_owned(4).await;
    first.until_records(100).await;

    let mut second = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    first
        .until("losing two partitions", |m| m.losing.len() == 2)
        .await;
    // Settled while it leaves, with notes for what lies beyond.
    let notes = Bytes::from_static(b"beyond \x00\xff");
    let leaving = first.losing.clone();
    let dones = leaving
        .iter()
        .map(|shard| Done {
            shard: *shard,
            next: 20,
            notes: notes.clone(),
            outputs: Vec::new(),
        })
        .collect();
    for result in first.ack.commit(dones).await {
        result.unwrap();
    }
    for shard in &leaving {
        first.ack.release(*shard).await.unwrap();
    }
    first.until("losing them", |m| m.lost.len() == 2).await;

    second.until_owned(2).await;
    for (partition, (_, next, seen)) in &second.owned {
        assert!(leaving.iter().any(|s| s.partition == *partition));
        assert_eq!((*next, seen), (20, &notes));
    }
    second.until_records(10).await;
    assert_eq!(first.owned.len(), 2, "the others stayed");

    // What a former owner does changes nothing.
    let stale = first
        .ack
        .commit(vec![done(leaving[0], 25)])
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Fenced);
    let stale = first
        .ack
        .commit(vec![
            done(leaving[0], 25),
            done(first.owned.values().next().unwrap().0, 5),
        ])
        .await;
    assert_eq!(stale[0].as_ref().unwrap_err().kind(), ErrorKind::Fenced);
    assert!(stale[1].is_ok(), "its neighbour is not held up");

    second.leave().await;
    first.until_owned(4).await;
    let regained = first.owned[&leaving[0].partition].clone();
    assert_eq!(regained.1, 25, "what the second committed");
    assert!(regained.0.epoch > leaving[0].epoch);
    first.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_never_goes_back() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 1).await;
    publish(&kafka, &topic, numbered(10, 1)).await;
    let mut member = Member::join(&kafka, source(&topic, &unique("g"), Start::Earliest)).await;
    member.until_records(10).await;
    let shard = member.shard(0);
    assert!(member.ack.commit(vec![done(shard, 7)]).await[0].is_ok());
    assert!(
        member.ack.commit(vec![done(shard, 7)]).await[0].is_ok(),
        "again is harmless"
    );
    let error = member
        .ack
        .commit(vec![done(shard, 6)])
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let large = Done {
        notes: vec![0; kafka.limits().notes + 1].into(),
        ..done(shard, 8)
    };
    assert_eq!(
        member.ack.commit(vec![large]).await.remove(0).unwrap_err().kind(),
        ErrorKind::TooLarge
    );
    let full = Done {
        notes: vec![0xa5; kafka.limits().notes].into(),
        ..done(shard, 8)
    };
    assert!(
        member.ack.commit(vec![full]).await[0].is_ok(),
        "the broker takes notes as large as the limit says"
    );
    member.subscriber.close().await.unwrap();
    member.subscriber.close().await.unwrap();
    let error = kafka.admin().lag(&unique("no-such-group")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GroupMissing);
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_reads_all_and_commits_nothing() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 3).await;
    publish(&kafka, &topic, numbered(30, 3)).await;
    let mut latest = Member::join(&kafka, everyone(&topic, None, Start::Latest)).await;
    // Stored after subscribe returned: seen.
    publish(&kafka, &topic, vec![Message::new("after").to_partition(2)]).await;
    latest.until_records(1).await;
    assert_eq!(latest.payloads(), ["after"]);

    let mut all = Member::join(&kafka, everyone(&topic, None, Start::Earliest)).await;
    all.until("the end of all three", |m| m.caught_up.len() == 3)
        .await;
    assert_eq!(all.records.len(), 31);
    let mut listed = Member::join(&kafka, everyone(&topic, Some(vec![1]), Start::Earliest)).await;
    listed.until("the end", |m| m.caught_up.len() == 1).await;
    assert_eq!(listed.records.len(), 10);
    assert_eq!(listed.owned.keys().copied().collect::<Vec<_>>(), [1]);
    assert!(
        listed.ack.commit(vec![done(listed.shard(1), 5)]).await[0].is_ok(),
        "a no-op that succeeds"
    );
    listed.records.clear();
    listed
        .subscriber
        .seek(listed.shard(1), Start::Positions(BTreeMap::from([(1, 8)])))
        .await
        .unwrap();
    listed.until_records(2).await;
    assert_eq!(listed.owned[&1].1, 8);

    let bad = Source {
        scope: Scope::Everyone {
            partitions: Some(vec![3]),
        },
        ..everyone(&topic, None, Start::Latest)
    };
    assert_eq!(
        kafka.subscribe(bad).await.err().unwrap().kind(),
        ErrorKind::Invalid
    );
    let groups = kafka.admin().groups().await.unwrap();
    assert!(
        !groups.iter().any(|g| g.contains("everyone")),
        "a group was left behind: {groups:?}"
    );
    for mut member in [latest, all, listed] {
        member.subscriber.close().await.unwrap();
    }
}
