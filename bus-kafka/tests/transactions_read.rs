//! Topics that transactions write to, as readers see them: aborted messages and markers take offsets and are nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{ErrorKind, Message, Start};
use bus_kafka::{Kafka, KafkaConfig};
use common::*;
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
    util::Timeout,
};
use std::time::{Duration, Instant};

/// Another program's transactional producer.
fn writer() -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("transactional.id", unique("writer"))
        .create()
        .unwrap();
    producer.init_transactions(Timeout::After(SOON)).unwrap();
    producer
}

fn write(producer: &BaseProducer, topic: &str, texts: &[&str]) {
    for text in texts {
        let record: BaseRecord<'_, (), str> = BaseRecord::to(topic).partition(0).payload(text);
        producer.send(record).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(SOON).unwrap();
}

/// One transaction as a whole.
fn transact(producer: &BaseProducer, topic: &str, texts: &[&str], commit: bool) {
    producer.begin_transaction().unwrap();
    write(producer, topic, texts);
    if commit {
        producer.commit_transaction(SOON).unwrap();
    } else {
        producer.abort_transaction(SOON).unwrap();
    }
}

async fn until_lag(kafka: &Kafka, group: &str, expected: u64) {
    let deadline = Instant::now() + SOON;
    while stored(kafka, group).await.1 != expected {
        assert!(Instant::now() < deadline, "lag {:?}", lag(kafka, group).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_or_aborted_is_never_delivered() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 1).await;
    let producer = writer();
    producer.begin_transaction().unwrap();
    write(&producer, &topic, &["open"]);
    publish(&kafka, &topic, vec![Message::new("behind it")]).await;
    let mut reader = Member::join(&kafka, everyone(&topic, None, Start::Earliest)).await;
    reader.until("the end", |m| m.caught_up.len() == 1).await;
    assert!(
        reader.records.is_empty(),
        "an open transaction ends what can be read"
    );
    producer.abort_transaction(SOON).unwrap();
    reader.until_records(1).await;
    transact(&producer, &topic, &["one", "two"], true);
    reader.until_records(3).await;
    assert_eq!(reader.payloads(), ["behind it", "one", "two"]);
    reader.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_level_of_isolation_is_ours() {
    let config = KafkaConfig::new(brokers()).set("isolation.level", "read_uncommitted");
    let error = Kafka::connect(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("isolation.level"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_ends_in_markers_is_read_to_its_end() {
    for committed in [true, false] {
        let kafka = kafka().await;
        let (topic, group) = (topic(&kafka, 1).await, unique("g"));
        let producer = writer();
        transact(&producer, &topic, &["one", "two"], true);
        transact(&producer, &topic, &["three"], committed);
        let expected = if committed { 3 } else { 2 };
        let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
        member.until_records(expected).await;
        member.until("the end", |m| m.caught_up.len() == 1).await;
        assert_eq!(stored(&kafka, &group).await, (0, 5));
        member.commit_all().await;
        until_lag(&kafka, &group, 0).await;
        // Nothing comes but an end: still there is nothing to read.
        transact(&producer, &topic, &["gone"], false);
        until_lag(&kafka, &group, 0).await;
        // What was committed may be committed again, although what is stored is beyond it.
        member.commit_all().await;
        let data_loss = member.others.is_empty();
        assert!(data_loss, "{:?}", member.others);
        let begun = stored(&kafka, &group).await.0;
        member.subscriber.close().await.unwrap();
        let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
        member.until("the end again", |m| m.caught_up.len() == 1).await;
        assert_eq!(member.owned[&0].1, begun);
        transact(&producer, &topic, &["last"], true);
        member.until_records(1).await;
        assert_eq!(member.payloads(), ["last"]);
        member.subscriber.close().await.unwrap();
    }
}

/// What is not settled holds the position, whatever was read behind it.
#[tokio::test(flavor = "multi_thread")]
async fn markers_never_pass_what_is_not_settled() {
    let kafka = kafka().await;
    let (topic, group) = (topic(&kafka, 1).await, unique("g"));
    let producer = writer();
    transact(&producer, &topic, &["one"], true);
    transact(&producer, &topic, &["two"], true);
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_records(2).await;
    let shard = member.shard(0);
    member.ack.commit(vec![done(shard, 1)]).await.remove(0).unwrap();
    // Two rounds of what stores positions behind markers, told by another group that has settled everything.
    for _ in 0..2 {
        let other = unique("g");
        let mut witness = Member::join(&kafka, source(&topic, &other, Start::Earliest)).await;
        witness.until_records(2).await;
        witness.commit_all().await;
        until_lag(&kafka, &other, 0).await;
        witness.subscriber.close().await.unwrap();
    }
    assert_eq!(stored(&kafka, &group).await.0, 1);
    let noted = bus_core::Done {
        notes: bus_core::Bytes::from_static(b"settled beyond"),
        ..done(shard, 2)
    };
    member.ack.commit(vec![noted]).await.remove(0).unwrap();
    member.subscriber.close().await.unwrap();
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_owned(1).await;
    let (_, next, notes) = &member.owned[&0];
    assert_eq!((*next, &notes[..]), (2, &b"settled beyond"[..]));
    member.subscriber.close().await.unwrap();
}
