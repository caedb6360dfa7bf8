//! Topics and groups, from outside.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, ErrorKind, Message, Start, TopicSpec};
use common::{member::Member, *};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_listed_grown_and_deleted() {
    let backend = backend().await;
    let admin = backend.admin();
    let (one, many) = (unique("one"), unique("many"));
    let spec = TopicSpec::new(many.clone())
        .partitions(3)
        .retention(Duration::from_secs(60))
        .compact(true);
    admin
        .create(&[TopicSpec::new(one.clone()), spec.clone()])
        .await
        .unwrap();
    admin
        .create(&[TopicSpec::new(many.clone()).partitions(9)])
        .await
        .unwrap();
    let topics = admin.topics().await.unwrap();
    assert!(topics.is_sorted_by(|a, b| a.name < b.name));
    assert_eq!(
        topics.iter().find(|t| t.name == many),
        Some(&spec),
        "one that exists is left as it is"
    );
    admin.grow(&many, 5).await.unwrap();
    assert_eq!(admin.grow(&many, 4).await.unwrap_err(), ErrorKind::Invalid);
    assert_eq!(admin.positions(&many, Start::Latest).await.unwrap().len(), 5);
    admin.delete(&many).await.unwrap();
    assert_eq!(admin.grow(&many, 6).await.unwrap_err(), ErrorKind::TopicMissing);
    assert!(!admin.topics().await.unwrap().iter().any(|t| t.name == many));
    for bad in ["", "a b", "x/y", ".."] {
        assert_eq!(
            admin.create(&[TopicSpec::new(bad)]).await.unwrap_err(),
            ErrorKind::Invalid
        );
    }
    assert_eq!(
        admin
            .create(&[TopicSpec::new("x").partitions(0)])
            .await
            .unwrap_err(),
        ErrorKind::Invalid
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn derived_topics_live_where_their_origin_lives() {
    let (_, admin, topic) = with_topic(1).await;
    let dead = format!("{topic}.billing.dlq");
    admin.create(&[TopicSpec::new(&*dead)]).await.unwrap();
    let exists: bool = redis::cmd("EXISTS")
        .arg(format!("{{{topic}}}.billing.dlq"))
        .query(&mut foreign(&url()))
        .unwrap();
    assert!(exists);
    let backend = backend().await;
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &dead, vec![Message::new("x")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_and_groups_are_told() {
    let (backend, admin, topic) = with_topic(1).await;
    let publisher = backend.publisher().await.unwrap();
    let first = publish(&publisher, &topic, vec![Message::new("0")]).await[0]
        .position
        .unwrap();
    let millis = (first >> 64) as u64;
    let mut second = first;
    while second >> 64 == first >> 64 {
        second = publish(&publisher, &topic, vec![Message::new("1")]).await[0]
            .position
            .unwrap();
    }
    let at = |start| {
        let (admin, topic) = (admin.clone(), topic.clone());
        async move { admin.positions(&topic, start).await.unwrap()[0].1 }
    };
    assert_eq!(at(Start::Earliest).await, first);
    assert_eq!(at(Start::Latest).await, second + 1);
    let time = std::time::UNIX_EPOCH + Duration::from_millis(millis + 1);
    assert_eq!(at(Start::Time(time)).await, second);

    let name = unique("g");
    assert_eq!(admin.group(&name).await.unwrap_err(), ErrorKind::GroupMissing);
    assert_eq!(admin.lag(&name).await.unwrap_err(), ErrorKind::GroupMissing);
    let mut member = Member::join(&backend, group(&topic, &name)).await;
    member.until(|m| m.owned.len() == 1).await;
    let spec = admin.group(&name).await.unwrap();
    assert_eq!(
        (spec.members.len(), spec.members[0].partitions.clone()),
        (1, vec![(topic.clone(), 0)])
    );
    let lag = &admin.lag(&name).await.unwrap()[0];
    assert_eq!((lag.end, lag.behind > 1), (second + 1, true));
    assert!(admin.groups().await.unwrap().contains(&name));
    member
        .until(|m| m.records.last().is_some_and(|r| r.1.position() == second))
        .await;
    member.commit_all().await;
    let lag = &admin.lag(&name).await.unwrap()[0];
    assert_eq!((lag.position, lag.behind), (second + 1, 0));
    member.subscriber.close().await.unwrap();
    assert!(admin.group(&name).await.unwrap().members.is_empty());
    admin.delete_group(&name).await.unwrap();
    assert_eq!(admin.group(&name).await.unwrap_err(), ErrorKind::GroupMissing);
    let facts = admin.facts().await.unwrap();
    assert!(
        facts
            .iter()
            .any(|(name, value)| &**name == "version" && value.starts_with(|c: char| c.is_ascii_digit()))
    );
}
