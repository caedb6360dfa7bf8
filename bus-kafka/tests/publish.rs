//! Publishing, and that nothing is altered on the way.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{
    Backend, Bytes, ErrorKind, Headers, Message, Outcome, Publisher, Receipt, Start, TopicSpec,
    partition::Partitioner,
};
use bus_kafka::Kafka;
use common::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_message_comes_back_and_is_committed() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 4).await;
    let group = unique("g");
    let outcomes = publish(&kafka, &topic, vec![Message::new("hello").keyed("k")]).await;
    let partition = Partitioner::Murmur2.partition(b"k", 4);
    let stored = Outcome::Stored(Receipt {
        partition,
        position: Some(0),
    });
    assert_eq!(outcomes, [stored]);

    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_records(1).await;
    let (shard, record) = &member.records[0];
    assert_eq!(shard.partition, partition);
    assert_eq!(record.payload(), Some(&b"hello"[..]));
    assert_eq!(record.key(), Some(&b"k"[..]));
    member.until_owned(4).await;
    member.leave().await;

    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_owned(4).await;
    assert_eq!(member.owned[&partition].1, 1);
    member.until("caught up", |m| m.caught_up.len() == 4).await;
    assert!(member.records.is_empty(), "an acknowledged message came again");
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_altered() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 1).await;
    let now = 1_700_000_000_123;
    let mut headers = Headers::new();
    headers.push("a", "1");
    headers.push(&b"\xff\xfe \"/\n"[..], &b"\x00\xff"[..]);
    headers.push("a", "2");
    headers.push("empty", "");
    headers.push_null("null");
    headers.push("ünï", "çödé");
    let mut many = Headers::new();
    for i in 0..300 {
        many.push(format!("h{}", i % 7), vec![i as u8; i % 50]);
    }
    let with = |headers: &Headers| Message {
        headers: headers.clone(),
        ..Message::new("h")
    };
    let sent = vec![
        Message::new("plain").keyed("key"),
        Message::new("").keyed(""),
        Message::tombstone().keyed("key"),
        Message::tombstone(),
        Message::new("no key"),
        Message::new(Bytes::from((0..=255).collect::<Vec<u8>>())).keyed(&b"\x00\xff\xfe"[..]),
        with(&headers).keyed("key").timestamp(now),
        with(&headers),
        with(&many).timestamp(1),
        Message::new("at").timestamp(now + 1),
        Message::new(vec![7; 1_000_000]).keyed("large"),
    ];
    publish(&kafka, &topic, sent.clone()).await;
    let mut member = Member::join(&kafka, source(&topic, &unique("g"), Start::Earliest)).await;
    member.until_records(sent.len()).await;
    for (sent, (_, record)) in sent.iter().zip(&member.records) {
        let got = record.to_message();
        assert_eq!(got.key, sent.key);
        assert_eq!(got.payload, sent.payload);
        assert_eq!(got.headers, sent.headers);
        if let Some(timestamp) = sent.timestamp {
            assert_eq!(record.timestamp(), timestamp);
        } else {
            assert!(record.timestamp() > now);
        }
    }
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_per_key_survives_batches_and_single_calls() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 4).await;
    let publisher = kafka.publisher().await.unwrap();
    let message = |i: usize| Message::new(format!("{i}")).keyed(format!("key-{}", i % 13));
    // Not awaited one by one, and the first ones before anything is known about the topic.
    let mut pending = Vec::new();
    for i in 0..200 {
        pending.push(publisher.publish_batch(&topic, vec![message(i)]));
    }
    pending.push(publisher.publish_batch(&topic, (200..1_200).map(message).collect()));
    for i in 1_200..1_300 {
        pending.push(publisher.publish_batch(&topic, vec![message(i)]));
    }
    let mut partitions = BTreeSet::new();
    for pending in pending {
        for outcome in pending.await {
            let Outcome::Stored(receipt) = outcome.unwrap() else {
                panic!("not stored")
            };
            assert!(receipt.position.is_some());
            partitions.insert(receipt.partition);
        }
    }
    assert_eq!(partitions.len(), 4);
    publisher.close().await.unwrap();

    let mut member = Member::join(&kafka, source(&topic, &unique("g"), Start::Earliest)).await;
    member.until_records(1_300).await;
    let mut last: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for (shard, record) in &member.records {
        let key = record.key().unwrap();
        assert_eq!(shard.partition, Partitioner::Murmur2.partition(key, 4));
        let i: usize = std::str::from_utf8(record.payload().unwrap())
            .unwrap()
            .parse()
            .unwrap();
        if let Some(before) = last.insert(key.to_vec(), i) {
            assert!(before < i, "{before} before {i}");
        }
    }
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_explicit_or_spread() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 4).await;
    let receipts = |outcomes: Vec<Outcome>| -> Vec<u32> {
        outcomes
            .into_iter()
            .map(|o| match o {
                Outcome::Stored(r) => r.partition,
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let explicit = (0..8)
        .map(|i| Message::new("x").keyed("same").to_partition(i % 4))
        .collect();
    assert_eq!(
        receipts(publish(&kafka, &topic, explicit).await),
        [0, 1, 2, 3, 0, 1, 2, 3]
    );
    let spread = receipts(publish(&kafka, &topic, (0..200).map(|_| Message::new("x")).collect()).await);
    assert_eq!(spread.into_iter().collect::<BTreeSet<_>>().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_said_and_holds_nobody_up() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 2).await;
    let publisher = kafka.publisher().await.unwrap();

    let missing = unique("missing");
    let outcomes = publisher
        .publish_batch(&missing, vec![Message::new("x"), Message::new("y")])
        .await;
    assert_eq!(outcomes.len(), 2);
    for outcome in outcomes {
        let unsent = outcome.unwrap_err();
        assert!(!unsent.is_unknown());
        assert_eq!(unsent.error().kind(), ErrorKind::TopicMissing);
        assert!(unsent.error().to_string().contains(&missing));
    }

    let mut bad_header = Message::new("x");
    bad_header.headers.push("nul\0", "x");
    let limit = kafka.limits().message;
    let batch = vec![
        Message::new("x").timestamp(0),
        Message::new("first").keyed("k"),
        Message::new(vec![0; limit + 1_000]).keyed("k"),
        Message::new("x").to_partition(2),
        bad_header,
        Message::new(vec![0; limit - 1]).keyed("k"),
    ];
    let outcomes = publisher.publish_batch(&topic, batch).await;
    let kinds: Vec<Option<ErrorKind>> = outcomes
        .iter()
        .map(|o| o.as_ref().err().map(|e| e.error().kind()))
        .collect();
    assert_eq!(
        kinds,
        [
            Some(ErrorKind::Invalid),
            None,
            Some(ErrorKind::TooLarge),
            Some(ErrorKind::Invalid),
            Some(ErrorKind::Invalid),
            None
        ],
        "{outcomes:?}"
    );
    assert!(
        outcomes
            .into_iter()
            .filter_map(Result::err)
            .all(|e| !e.is_unknown())
    );
    publisher.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_topic_does_not_take_is_known_before_it_is_sent() {
    let kafka = kafka().await;
    let name = unique("t");
    kafka
        .admin()
        .create(&[TopicSpec::new(name.as_str()).compact(true)])
        .await
        .unwrap();
    let publisher = kafka.publisher().await.unwrap();
    let batch = vec![
        Message::new("no key"),
        Message::new("x").keyed("k").timestamp(i64::MAX),
        Message::new("good").keyed("k"),
    ];
    let outcomes = publisher.publish_batch(&name, batch).await;
    assert_eq!(
        outcomes[0].as_ref().unwrap_err().error().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(
        outcomes[1].as_ref().unwrap_err().error().kind(),
        ErrorKind::Invalid
    );
    assert!(outcomes[2].is_ok(), "its neighbours are not held up");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_confirmed_to_a_fresh_topic_is_stored() {
    // A fresh partition's leader may refuse the first request and take the second: many at once make that likely.
    let mut tasks = Vec::new();
    for _ in 0..6 {
        tasks.push(tokio::spawn(async {
            let kafka = kafka().await;
            for _ in 0..12 {
                let topic = topic(&kafka, 4).await;
                let batch = (0..40)
                    .map(|i| Message::new(format!("{i}")).to_partition(i % 4))
                    .collect();
                let outcomes = publish(&kafka, &topic, batch).await;
                let ends = kafka.admin().positions(&topic, Start::Latest).await.unwrap();
                assert!(
                    ends.iter().all(|(_, end)| *end == 10),
                    "{topic}: {ends:?} of {outcomes:?}"
                );
                assert!(outcomes.iter().all(|o| matches!(
                    o,
                    Outcome::Stored(Receipt {
                        position: Some(_),
                        ..
                    })
                )));
                kafka.admin().delete(&topic).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_appears_or_grows_is_noticed() {
    let config = config().metadata_refresh(Duration::from_millis(200));
    let kafka = Kafka::connect(config).await.unwrap();
    let publisher = kafka.publisher().await.unwrap();
    let name = unique("t");
    let outcome = publisher
        .publish_batch(&name, vec![Message::new("x")])
        .await
        .remove(0);
    assert_eq!(outcome.unwrap_err().error().kind(), ErrorKind::TopicMissing);
    kafka
        .admin()
        .create(&[TopicSpec::new(name.as_str()).partitions(2)])
        .await
        .unwrap();
    assert!(
        publisher
            .publish_batch(&name, vec![Message::new("x")])
            .await
            .remove(0)
            .is_ok()
    );
    kafka.admin().grow(&name, 5).await.unwrap();
    let deadline = Instant::now() + SOON;
    loop {
        let outcome = publisher
            .publish_batch(&name, vec![Message::new("x").to_partition(4)])
            .await
            .remove(0);
        match outcome {
            Ok(_) => break,
            Err(unsent) => {
                assert_eq!(unsent.error().kind(), ErrorKind::Invalid, "{unsent}");
                assert!(Instant::now() < deadline, "the new partitions were not noticed");
                tokio::task::yield_now().await;
            }
        }
    }
    kafka.admin().delete(&name).await.unwrap();
    let deadline = Instant::now() + SOON;
    loop {
        match publisher
            .publish_batch(&name, vec![Message::new("x")])
            .await
            .remove(0)
        {
            Err(unsent) if unsent.error().kind() == ErrorKind::TopicMissing => break,
            other => assert!(
                Instant::now() < deadline,
                "the deletion was not noticed: {other:?}"
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn close_waits_and_then_refuses() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 1).await;
    let publisher: Arc<dyn Publisher> = kafka.publisher().await.unwrap();
    let pending = publisher.publish_batch(&topic, (0..500).map(|_| Message::new("x")).collect());
    publisher.close().await.unwrap();
    // Everything that was taken has its outcome when close returns.
    let outcomes = tokio::time::timeout(Duration::from_millis(1), pending)
        .await
        .expect("answered by now");
    assert!(outcomes.iter().all(Result::is_ok));
    publisher.close().await.unwrap();
    let refused = publisher
        .publish_batch(&topic, vec![Message::new("late")])
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(refused.error().kind(), ErrorKind::Closed);
    assert!(!refused.is_unknown());
    // Another one works.
    assert!(
        kafka
            .publisher()
            .await
            .unwrap()
            .publish_batch(&topic, vec![Message::new("x")])
            .await[0]
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_future_cancels_nothing() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 1).await;
    let publisher = kafka.publisher().await.unwrap();
    drop(publisher.publish_batch(&topic, (0..100).map(|i| Message::new(format!("{i}"))).collect()));
    publisher.close().await.unwrap();
    let mut member = Member::join(&kafka, source(&topic, &unique("g"), Start::Earliest)).await;
    member.until_records(100).await;
    assert_eq!(
        member.payloads(),
        (0..100).map(|i| i.to_string()).collect::<Vec<_>>()
    );
    member.leave().await;
}
