//! Positions of a topic that was deleted and made again are not taken for positions of the new one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Bytes, Done, Start, TopicSpec};
use bus_kafka::Kafka;
use bus_proxy::{Filter, Late, Rule};
use common::{lab::Lab, *};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
};
use std::time::{Duration, Instant};

const ASK: Duration = Duration::from_secs(60);
/// OffsetFetch.
const STORED: [i16; 1] = [9];
/// Metadata: what topics there are.
const TOPICS: [i16; 1] = [3];

fn consumer(group: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers()).set("group.id", group);
    config.create().unwrap()
}

/// Offset and metadata that a group has stored in partition 0.
fn read(group: &str, topic: &str) -> (Offset, String) {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    let stored = tokio::task::block_in_place(|| consumer(group).committed_offsets(list, ASK)).unwrap();
    let part = &stored.elements()[0];
    (part.offset(), part.metadata().to_owned())
}

/// Stores that for a group without members, until it is there: a broker may still be forgetting the old topic's.
fn write(group: &str, topic: &str, offset: i64, metadata: &str) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset))
        .unwrap();
    list.elements()[0].set_metadata(metadata);
    let deadline = Instant::now() + SOON;
    let stored = tokio::task::block_in_place(|| consumer(group).commit(&list, CommitMode::Sync));
    let mut stored = stored.is_ok();
    while !stored || read(group, topic) != (Offset::Offset(offset), metadata.to_owned()) {
        assert!(Instant::now() < deadline, "position {offset} is not stored");
        stored = tokio::task::block_in_place(|| consumer(group).commit(&list, CommitMode::Sync)).is_ok();
    }
}

/// Deletes the topic and makes it again, with so many messages.
async fn remake(kafka: &Kafka, topic: &str, messages: usize) {
    kafka.admin().delete(topic).await.unwrap();
    let deadline = Instant::now() + SOON;
    while kafka
        .admin()
        .create(&[TopicSpec::new(topic).partitions(1)])
        .await
        .is_err()
    {
        assert!(Instant::now() < deadline, "the topic cannot be made again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A publisher of its own knows nothing of the old one.
    publish(&common::kafka().await, topic, numbered(messages, 1)).await;
}

/// Where a member begins that joins now.
async fn begins(group: &str, topic: &str, exactly_once: bool) -> (Member, u128, Bytes) {
    let kafka = kafka().await;
    let source = bus_core::Source {
        exactly_once,
        ..source(topic, group, Start::Earliest)
    };
    let mut member = Member::join(&kafka, source).await;
    member.until_owned(1).await;
    let (_, next, notes) = member.owned[&0].clone();
    (member, next, notes)
}

fn noted(member: &Member, next: u128) -> Done {
    Done {
        notes: Bytes::from_static(b"beyond"),
        ..done(member.shard(0), next)
    }
}

async fn anew(exactly_once: bool) {
    let kafka = kafka().await;
    let (topic, group) = (topic(&kafka, 1).await, unique("g"));
    publish(&kafka, &topic, numbered(10, 1)).await;
    let (mut member, next, _) = begins(&group, &topic, exactly_once).await;
    assert_eq!(next, 0);
    let started = read(&group, &topic);
    member.until_records(10).await;
    member
        .ack
        .commit(vec![noted(&member, 8)])
        .await
        .remove(0)
        .unwrap();
    member.leave().await;
    let (offset, metadata) = read(&group, &topic);
    assert_eq!(offset, Offset::Offset(10));

    // In the same topic it goes on from there.
    let (mut member, next, _) = begins(&group, &topic, exactly_once).await;
    assert_eq!(next, 10);
    member.subscriber.close().await.unwrap();

    // What a member that has not noticed stores in the new topic; and the start of a group that got no further.
    for (offset, metadata) in [(10, &metadata), (6, &started.1)] {
        remake(&kafka, &topic, 20).await;
        write(&group, &topic, offset, metadata);
        let (mut member, next, notes) = begins(&group, &topic, exactly_once).await;
        assert_eq!((next, notes.len()), (0, 0), "a position of the old topic");
        member.until_records(20).await;
        member
            .ack
            .commit(vec![noted(&member, 3)])
            .await
            .remove(0)
            .unwrap();
        member.subscriber.close().await.unwrap();
        let (mut member, next, notes) = begins(&group, &topic, exactly_once).await;
        assert_eq!((next, &notes[..]), (3, &b"beyond"[..]), "its own of the new one");
        member.subscriber.close().await.unwrap();
    }

    // Metadata without an id: another library's, and what was stored before there were ids.
    for (metadata, expected) in [("", &b""[..]), ("{\"v\":1}", b""), ("bus1.YmV5b25k", b"beyond")] {
        write(&group, &topic, 12, metadata);
        let (mut member, next, notes) = begins(&group, &topic, exactly_once).await;
        assert_eq!((next, &notes[..]), (12, expected), "{metadata}");
        member.subscriber.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_begins_anew_in_a_topic_that_was_made_again() {
    anew(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_exactly_once_too() {
    anew(true).await;
}

/// Whoever waits because a topic cannot be looked at is told so.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_cannot_be_looked_at_is_told() {
    let lab = Lab::start().await;
    let (topic, group) = (topic(&lab.kafka, 1).await, unique("g"));
    publish(&lab.kafka, &topic, numbered(10, 1)).await;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", lab.proxy.address())
        .set("group.id", &group);
    let other: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(6)).unwrap();
    list.elements()[0].set_metadata("bus1.AAAAAAAAAAAAAAAAAAAAAQ.");
    let deadline = Instant::now() + SOON;
    while let Err(error) = tokio::task::block_in_place(|| other.commit(&list, CommitMode::Sync)) {
        assert!(Instant::now() < deadline, "{error}");
    }

    let config = lab.config().client_id("blind");
    let kafka = Kafka::connect(config).await.unwrap();
    let from = |keys: [i16; 1]| Filter::kafka(keys).containing("blind");
    let asked = lab.proxy.delay_next_request(from(STORED), Duration::from_secs(5));
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    assert!(asked.begun().await);
    let hold = Rule::hold_request(from(TOPICS), 1.0, 2 * SOON, Late::Waiting);
    lab.proxy.change(|faults| faults.rules.push(hold));
    let told = || kafka.health().err().map(|error| error.to_string());
    let deadline = Instant::now() + SOON;
    while !told().is_some_and(|why| why.contains("can be described")) {
        assert!(Instant::now() < deadline, "nobody is told: {:?}", told());
        member.step(Duration::from_millis(100)).await;
    }
    assert!(member.owned.is_empty());
    lab.proxy.change(|faults| faults.rules.clear());
    lab.proxy.reset();
    member.until_owned(1).await;
    assert_eq!(member.owned[&0].1, 0, "a position of another topic");
    let deadline = Instant::now() + SOON;
    while let Some(why) = told() {
        assert!(Instant::now() < deadline, "it is still told: {why}");
        member.step(Duration::from_millis(50)).await;
    }
    member.subscriber.close().await.unwrap();
}
