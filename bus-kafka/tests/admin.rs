//! Topics, groups, positions, lag, reset.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Bytes, Done, ErrorKind, Message, Name, Start, TopicSpec};
use common::*;
use std::{collections::BTreeMap, time::Duration};

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_listed_grown_deleted() {
    let kafka = kafka().await;
    let admin = kafka.admin();
    let name = unique("t");
    let spec = TopicSpec::new(name.as_str())
        .partitions(3)
        .replication(1)
        .retention(Duration::from_secs(3_600))
        .compact(true);
    admin.create(std::slice::from_ref(&spec)).await.unwrap();
    admin
        .create(std::slice::from_ref(&spec))
        .await
        .expect("one that exists is left as it is");
    let listed = admin.topics().await.unwrap();
    assert_eq!(listed.iter().find(|t| *t.name == *name), Some(&spec));
    assert!(!listed.iter().any(|t| t.name.starts_with("__")));
    assert!(listed.is_sorted_by(|a, b| a.name <= b.name));

    admin.grow(&name, 5).await.unwrap();
    admin.grow(&name, 5).await.unwrap();
    assert_eq!(admin.grow(&name, 4).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(admin.positions(&name, Start::Latest).await.unwrap().len(), 5);

    admin.delete(&name).await.unwrap();
    assert_eq!(
        admin.delete(&name).await.unwrap_err().kind(),
        ErrorKind::TopicMissing
    );
    assert_eq!(
        admin.grow(&name, 9).await.unwrap_err().kind(),
        ErrorKind::TopicMissing
    );
    assert_eq!(
        admin.positions(&name, Start::Latest).await.unwrap_err().kind(),
        ErrorKind::TopicMissing
    );
    for bad in [
        TopicSpec::new("a b"),
        TopicSpec::new("ok").partitions(0),
        TopicSpec::new("ok").replication(99),
    ] {
        assert_eq!(admin.create(&[bad]).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_lie_where_a_start_says() {
    let kafka = kafka().await;
    let admin = kafka.admin();
    let topic = topic(&kafka, 2).await;
    let at = 1_700_000_000_000;
    publish(
        &kafka,
        &topic,
        vec![
            Message::new("a").to_partition(0).timestamp(at),
            Message::new("b").to_partition(0).timestamp(at + 10),
            Message::new("c").to_partition(1).timestamp(at),
        ],
    )
    .await;
    let time = |ms: i64| Start::Time(std::time::UNIX_EPOCH + Duration::from_millis(ms as u64));
    assert_eq!(
        admin.positions(&topic, Start::Earliest).await.unwrap(),
        [(0, 0), (1, 0)]
    );
    assert_eq!(
        admin.positions(&topic, Start::Latest).await.unwrap(),
        [(0, 2), (1, 1)]
    );
    assert_eq!(
        admin.positions(&topic, time(at + 5)).await.unwrap(),
        [(0, 1), (1, 1)]
    );
    let positions = Start::Positions(BTreeMap::from([(0, 2)]));
    assert_eq!(
        admin.positions(&topic, positions).await.unwrap(),
        [(0, 2), (1, 0)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_tell_members_lag_and_move() {
    let kafka = kafka().await;
    let admin = kafka.admin();
    let topic = topic(&kafka, 2).await;
    let group = unique("g");
    for error in [
        admin.group(&group).await.err(),
        admin.lag(&group).await.err(),
        admin.delete_group(&group).await.err(),
    ] {
        assert_eq!(error.map(|e| e.kind()), Some(ErrorKind::GroupMissing));
    }
    publish(
        &kafka,
        &topic,
        (0..10).map(|i| Message::new("x").to_partition(i % 2)).collect(),
    )
    .await;
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_records(10).await;
    let dones = vec![
        Done {
            notes: Bytes::from_static(b"notes"),
            ..done(member.shard(0), 3)
        },
        done(member.shard(1), 5),
    ];
    for result in member.ack.commit(dones).await {
        result.unwrap();
    }

    let spec = admin.group(&group).await.unwrap();
    assert_eq!(spec.members.len(), 1);
    let name = Name::from(topic.as_str());
    assert_eq!(spec.members[0].partitions, [(name.clone(), 0), (name, 1)]);
    assert!(!spec.members[0].host.is_empty());
    let lag = admin.lag(&group).await.unwrap();
    assert_eq!(spec.positions, lag);
    let seen: Vec<_> = lag
        .iter()
        .map(|l| (l.partition, l.position, l.end, l.behind))
        .collect();
    assert_eq!(seen, [(0, 3, 5, 2), (1, 5, 5, 0)]);
    assert!(admin.groups().await.unwrap().iter().any(|g| **g == *group));

    for error in [
        admin.reset(&group, &topic, Start::Earliest).await.unwrap_err(),
        admin.delete_group(&group).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    }
    member.subscriber.close().await.unwrap();
    admin
        .reset(&group, &topic, Start::Positions(BTreeMap::from([(0, 1), (1, 4)])))
        .await
        .unwrap();
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_owned(2).await;
    assert_eq!(member.owned[&0].1, 1);
    assert_eq!(member.owned[&1].1, 4);
    assert!(member.owned[&0].2.is_empty(), "notes of another position");
    member.subscriber.close().await.unwrap();

    // A group that nobody was ever in can be moved, and so exists.
    let fresh = unique("g");
    admin.reset(&fresh, &topic, Start::Latest).await.unwrap();
    assert_eq!(admin.lag(&fresh).await.unwrap().len(), 2);
    admin.delete_group(&fresh).await.unwrap();
    admin.delete_group(&group).await.unwrap();
    assert_eq!(
        admin.group(&group).await.unwrap_err().kind(),
        ErrorKind::GroupMissing
    );
    let error = admin
        .reset(&group, &unique("missing"), Start::Latest)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TopicMissing);
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_say_what_durability_rests_on() {
    let kafka = kafka().await;
    let facts: BTreeMap<Name, String> = kafka.admin().facts().await.unwrap().into_iter().collect();
    for fact in [
        "cluster",
        "brokers",
        "message.max.bytes",
        "min.insync.replicas",
        "unclean.leader.election",
        "client",
    ] {
        assert!(facts.contains_key(fact), "{fact} of {facts:?}");
    }
    kafka.health().unwrap();
    assert_eq!(kafka.name(), "kafka");
}
