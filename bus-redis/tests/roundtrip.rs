//! What is published arrives, unaltered and in order.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Bytes, Event, Message, Scope, Start};
use common::{member::Member, *};

#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_message_is_published_consumed_and_committed() {
    let (backend, _, topic) = with_topic(4).await;
    let publisher = backend.publisher().await.unwrap();
    let receipts = publish(
        &publisher,
        &topic,
        vec![Message::new("hello").keyed("customer-1")],
    )
    .await;
    let partition = bus_core::partition::Partitioner::Murmur2.partition(b"customer-1", 4);
    assert_eq!(receipts[0].partition, partition);

    let billing = unique("billing");
    let mut member = Member::join(&backend, group(&topic, &billing)).await;
    member.until(|m| m.owned.len() == 4 && m.records.len() == 1).await;
    let (shard, record) = &member.records[0];
    assert_eq!(
        (shard.partition, record.payload(), record.key()),
        (partition, Some(&b"hello"[..]), Some(&b"customer-1"[..]))
    );
    assert_eq!(Some(record.position()), receipts[0].position);
    member.commit_all().await;
    member.subscriber.close().await.unwrap();

    let stream = format!("{topic}:{{{partition}}}");
    let groups = native_groups(&url(), &stream);
    assert_eq!(groups.len(), 1);
    assert_eq!((&*groups[0].0, groups[0].2), (&*billing, Some(0)));
    let position = bus_core::position::format(receipts[0].position.unwrap());
    assert_eq!(
        groups[0].1, position,
        "last-delivered-id is the last settled entry"
    );

    let mut again = Member::join(&backend, group(&topic, &billing)).await;
    again
        .until(|m| {
            m.owned.len() == 4
                && m.events
                    .iter()
                    .filter(|e| matches!(e, Event::CaughtUp(_)))
                    .count()
                    == 4
        })
        .await;
    assert!(again.records.is_empty(), "what was settled does not come back");
    again.subscriber.close().await.unwrap();
    publisher.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_altered() {
    let (backend, _, topic) = with_topic(1).await;
    let publisher = backend.publisher().await.unwrap();
    let mut odd = Message::new(&b"\x00\xff\r\n$3\r\n"[..]).keyed("").timestamp(-1);
    odd.headers.push("dup", "1");
    odd.headers.push("other", &b"\x00\xff"[..]);
    odd.headers.push("dup", "");
    odd.headers.push_null("dup");
    odd.headers.push("", "no name");
    odd.headers.push(&b"\xfe quote\" path/ \r\n"[..], "x");
    let mut many = Message::new("300 headers").timestamp(1_700_000_000_123);
    for i in 0..300 {
        many.headers.push(format!("h{i}"), vec![i as u8; i]);
    }
    let sent = vec![
        Message::new(""),
        Message::tombstone().keyed("k"),
        Message::tombstone(),
        odd,
        many,
        Message::new(vec![7u8; 1024 * 1024]).keyed(Bytes::from(vec![b'k'; 100_000])),
        Message::new("last").header("a", "b"),
    ];
    publish(&publisher, &topic, sent.clone()).await;
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    member.until(|m| m.records.len() == sent.len()).await;
    for (i, (mut sent, got)) in sent.into_iter().zip(member.messages()).enumerate() {
        sent.timestamp = sent
            .timestamp
            .or(Some((member.records[i].1.position() >> 64) as i64));
        assert_eq!(sent, got, "message {i}");
    }
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_keep_their_order_over_calls_without_waiting() {
    let (backend, _, topic) = with_topic(4).await;
    let publisher = backend.publisher().await.unwrap();
    let mut pending = Vec::new();
    for call in 0..200 {
        let batch = (0..25)
            .map(|i| Message::new(format!("{call}:{i}")).keyed(format!("key-{}", i % 7)))
            .collect();
        pending.push(publisher.publish_batch(&topic, batch));
    }
    // Dropping the future cancels nothing.
    drop(pending.drain(..50));
    for call in pending {
        assert!(in_time(call).await.iter().all(Result::is_ok));
    }
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    member.until(|m| m.records.len() == 5000).await;
    let mut last = std::collections::HashMap::new();
    for (_, record) in &member.records {
        let text = std::str::from_utf8(record.payload().unwrap()).unwrap();
        let (call, i) = text.split_once(':').unwrap();
        let now: (u32, u32) = (call.parse().unwrap(), i.parse().unwrap());
        let before = last.insert(record.key().unwrap().to_vec(), now);
        assert!(before < Some(now), "{before:?} before {now:?}");
    }
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explicit_partition_wins_and_keyless_messages_spread() {
    let (backend, _, topic) = with_topic(4).await;
    let publisher = backend.publisher().await.unwrap();
    let batch = (0..4)
        .map(|p| Message::new("x").keyed("same").to_partition(p))
        .collect();
    let receipts = publish(&publisher, &topic, batch).await;
    assert_eq!(
        receipts.iter().map(|r| r.partition).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    let mut used = std::collections::BTreeSet::new();
    for _ in 0..8 {
        used.insert(publish(&publisher, &topic, vec![Message::new("x")]).await[0].partition);
    }
    assert_eq!(used.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_at_latest_sees_what_comes_after_the_call() {
    let (backend, _, topic) = with_topic(2).await;
    let publisher = backend.publisher().await.unwrap();
    publish(
        &publisher,
        &topic,
        vec![
            Message::new("before").to_partition(0),
            Message::new("before").to_partition(1),
        ],
    )
    .await;
    let everyone = |partitions| source(&topic, Scope::Everyone { partitions }, Start::Latest);
    let mut all = Member::join(&backend, everyone(None)).await;
    let mut one = Member::join(&backend, everyone(Some(vec![1]))).await;
    publish(
        &publisher,
        &topic,
        vec![
            Message::new("zero").to_partition(0),
            Message::new("one").to_partition(1),
        ],
    )
    .await;
    all.until(|m| m.records.len() == 2).await;
    one.until(|m| m.records.len() == 1).await;
    assert_eq!(one.payloads(), ["one"]);
    assert!(one.saw(|e| matches!(e, Event::CaughtUp(s) if s.partition == 1)));
    all.commit_all().await;
    assert!(
        native_groups(&url(), &format!("{topic}:{{0}}")).is_empty(),
        "no group is left behind"
    );
    let mut past = Member::join(
        &backend,
        source(&topic, Scope::Everyone { partitions: None }, Start::Earliest),
    )
    .await;
    past.until(|m| {
        m.records.len() == 4
            && m.events
                .iter()
                .filter(|e| matches!(e, Event::CaughtUp(_)))
                .count()
                == 2
    })
    .await;
    for mut member in [all, one, past] {
        member.subscriber.close().await.unwrap();
    }
}
