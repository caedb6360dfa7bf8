//! State topics keep the newest entry of each key.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, ErrorKind, Event, Message, Scope, Start, TopicSpec};
use common::{member::Member, *};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_state_topic_keeps_the_newest_entry_of_each_key() {
    let backend = backend().await;
    let topic = unique("state");
    let spec = TopicSpec::new(topic.clone())
        .compact(true)
        .retention(Duration::from_secs(1));
    backend.admin().create(&[spec]).await.unwrap();
    let publisher = backend.publisher().await.unwrap();
    let unkeyed = in_time(publisher.publish_batch(&topic, vec![Message::new("x")]))
        .await
        .remove(0)
        .unwrap_err();
    assert!(
        unkeyed.error() == &ErrorKind::Invalid && unkeyed.to_string().contains("key"),
        "{unkeyed}"
    );

    let name = unique("g");
    let mut member = Member::join(&backend, group(&topic, &name)).await;
    let value = |i: usize| Message::new(format!("{i}")).keyed(format!("k{}", i % 10));
    let receipts = publish(&publisher, &topic, (0..5000).map(value).collect()).await;
    // A tombstone stays until the group has seen it, and its value goes at once.
    let tombstone = Message {
        payload: None,
        ..Message::new("").keyed("k3")
    };
    publish(&publisher, &topic, vec![tombstone]).await;
    // Another program's entry has no key.
    let () = redis::cmd("XADD")
        .arg(&[&*topic, "*", "a", "b"])
        .query(&mut foreign(&url()))
        .unwrap();
    let length = |wanted: usize| {
        let topic = topic.clone();
        let mut client = foreign(&url());
        in_time(async move {
            loop {
                let length: usize = redis::cmd("XLEN").arg(&*topic).query(&mut client).unwrap();
                if length == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    };
    member.during(length(11)).await;
    let mut late = Member::join(
        &backend,
        source(&topic, Scope::Everyone { partitions: None }, Start::Earliest),
    )
    .await;
    late.until(|m| m.saw(|e| matches!(e, Event::CaughtUp(_)))).await;
    let mut found: Vec<_> = late.messages().into_iter().map(|m| (m.key, m.payload)).collect();
    found.sort();
    let mut expected: Vec<_> = (4990..5000)
        .map(value)
        .filter(|m| m.key.as_deref() != Some(b"k3"))
        .map(|m| (m.key, m.payload))
        .collect();
    expected.push((Some("k3".into()), None));
    expected.push((None, Some(r#"{"a":"b"}"#.into())));
    expected.sort();
    assert_eq!(found, expected);
    let positions: Vec<_> = late.records.iter().map(|r| r.1.position()).collect();
    assert!(
        receipts
            .iter()
            .filter(|r| positions.contains(&r.position.unwrap()))
            .count()
            == 9,
        "places stay"
    );

    // What was compacted away is no loss; and with the tombstone seen by all, it goes too.
    member
        .until(|m| m.records.last().is_some_and(|r| r.1.key().is_none()))
        .await;
    member.commit_all().await;
    publish(
        &publisher,
        &topic,
        (0..20).filter(|i| i % 10 != 3).map(value).collect(),
    )
    .await;
    member.during(length(10)).await;
    assert!(
        !member.saw(|e| matches!(e, Event::DataLoss { .. }))
            && !late.saw(|e| matches!(e, Event::DataLoss { .. }))
    );
    member.subscriber.close().await.unwrap();
}
