//! What a real broker does not do on demand: error codes and outages, on librdkafka's mock cluster.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_brokers::Awake;
use bus_core::{Backend, ErrorKind, Message, Outcome, Start, Unsent};
use bus_kafka::{Kafka, KafkaConfig};
use common::*;
use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr as Code},
};
use std::time::{Duration, Instant};

type Mock = MockCluster<'static, DefaultProducerContext>;

fn cluster(topic: &str, partitions: i32) -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(topic, partitions, 1).unwrap();
    cluster
}

fn config_of(cluster: &Mock) -> KafkaConfig {
    KafkaConfig::new(cluster.bootstrap_servers())
}

fn texts(range: std::ops::Range<usize>) -> Vec<Message> {
    range.map(|i| Message::new(format!("{i}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_positions_are_asked_for_until_they_come() {
    let mock = cluster("t", 1);
    let kafka = Kafka::connect(config_of(&mock)).await.unwrap();
    publish(&kafka, "t", texts(0..10)).await;
    let mut member = Member::join(&kafka, source("t", "g", Start::Earliest)).await;
    member.until_records(10).await;
    member
        .ack
        .commit(vec![done(member.shard(0), 6)])
        .await
        .remove(0)
        .unwrap();
    member.subscriber.close().await.unwrap();
    mock.request_errors(
        RDKafkaApiKey::OffsetFetch,
        &[
            Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            Code::RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT,
            Code::RD_KAFKA_RESP_ERR_UNKNOWN,
        ],
    );
    let mut member = Member::join(&kafka, source("t", "g", Start::Latest)).await;
    member.until_owned(1).await;
    assert_eq!(
        member.owned[&0].1, 6,
        "a failed fetch must not look like a new group"
    );
    member.until_records(4).await;
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_in_a_rebalance_is_transient_and_one_outside_the_group_is_final() {
    let mock = cluster("t", 2);
    let kafka = Kafka::connect(config_of(&mock)).await.unwrap();
    publish(
        &kafka,
        "t",
        (0..10).map(|i| Message::new("x").to_partition(i % 2)).collect(),
    )
    .await;
    let mut member = Member::join(&kafka, source("t", "g", Start::Earliest)).await;
    member.until_records(10).await;
    let (zero, one) = (member.shard(0), member.shard(1));
    mock.request_errors(
        RDKafkaApiKey::OffsetCommit,
        &[Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS],
    );
    let error = member
        .ack
        .commit(vec![done(zero, 3)])
        .await
        .remove(0)
        .unwrap_err();
    assert!(error.is_transient(), "{error}");
    let deadline = Instant::now() + SOON;
    while let Err(error) = member.ack.commit(vec![done(zero, 3)]).await.remove(0) {
        assert!(
            error.is_transient() && Instant::now() < deadline,
            "the same again: {error}"
        );
    }
    mock.request_errors(
        RDKafkaApiKey::OffsetCommit,
        &[Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID],
    );
    let error = member
        .ack
        .commit(vec![done(zero, 4)])
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    member
        .until("losing everything", |m| {
            m.lost.contains(&zero) && m.lost.contains(&one)
        })
        .await;
    // It joins again and goes on where the stored position is.
    member.until("owning them again", |m| m.owned.len() == 2).await;
    assert_eq!(member.owned[&0].1, 3);
    assert!(member.shard(0).epoch > zero.epoch);
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn close_is_bounded_with_the_broker_down() {
    let mock = cluster("t", 2);
    let kafka = Kafka::connect(config_of(&mock)).await.unwrap();
    publish(&kafka, "t", texts(0..10)).await;
    let mut member = Member::join(&kafka, source("t", "g", Start::Earliest)).await;
    member.until_records(10).await;
    let mut reader = Member::join(&kafka, everyone("t", None, Start::Earliest)).await;
    reader.until_records(10).await;
    mock.broker_down(1).unwrap();
    let begun = Instant::now();
    member.subscriber.close().await.unwrap();
    reader.subscriber.close().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_comes_back_is_used_again() {
    let mock = cluster("t", 1);
    let kafka = Kafka::connect(config_of(&mock)).await.unwrap();
    let publisher = kafka.publisher().await.unwrap();
    let mut member = Member::join(&kafka, source("t", "g", Start::Earliest)).await;
    assert!(publisher.publish_batch("t", texts(0..1)).await[0].is_ok());
    member.until_records(1).await;
    mock.broker_down(1).unwrap();
    let pending = publisher.publish_batch("t", texts(1..3));
    let deadline = Instant::now() + SOON;
    while kafka.health().is_ok() {
        assert!(Instant::now() < deadline, "health does not tell");
        tokio::task::yield_now().await;
    }
    assert_eq!(kafka.health().unwrap_err().kind(), ErrorKind::Unavailable);
    mock.broker_up(1).unwrap();
    assert!(pending.await.iter().all(Result::is_ok));
    member.until_records(3).await;
    assert_eq!(member.payloads(), ["0", "1", "2"]);
    let deadline = Instant::now() + SOON;
    while let Err(error) = kafka.health() {
        assert!(Instant::now() < deadline, "{error}");
        tokio::task::yield_now().await;
    }
    member.subscriber.close().await.unwrap();
}

fn is_stored(outcome: &Result<Outcome, Unsent>) -> bool {
    matches!(outcome, Ok(Outcome::Stored(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passes_is_not_ok_and_what_follows_is() {
    let mock = cluster("t", 1);
    let config = config_of(&mock).publish_deadline(Duration::from_secs(2));
    let kafka = Kafka::connect(config).await.unwrap();
    let publisher = kafka.publisher().await.unwrap();
    assert!(is_stored(&publisher.publish_batch("t", texts(0..1)).await[0]));
    mock.broker_down(1).unwrap();
    let failed = publisher.publish_batch("t", texts(1..5));
    let behind = publisher.publish_batch("t", texts(5..9));
    for outcome in failed.await.into_iter().chain(behind.await) {
        let unsent = outcome.unwrap_err();
        assert!(unsent.error().is_transient(), "{unsent}");
    }
    mock.broker_up(1).unwrap();
    let deadline = Instant::now() + SOON;
    while !is_stored(&publisher.publish_batch("t", texts(9..10)).await[0]) {
        assert!(Instant::now() < deadline, "publishing does not recover");
    }
    // Nothing is known about the topic, and nobody answers: the same deadline.
    mock.broker_down(1).unwrap();
    let begun = Awake::begin();
    let unsent = publisher
        .publish_batch("other", texts(0..1))
        .await
        .remove(0)
        .unwrap_err();
    assert!(!unsent.is_unknown());
    assert_eq!(unsent.error().kind(), ErrorKind::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_behind_a_failed_message_is_stopped() {
    let mock = cluster("t", 1);
    // One message a request: the next one may be on its way when the failure is seen, and no more.
    let config = config_of(&mock)
        .set("max.in.flight.requests.per.connection", "1")
        .set("batch.num.messages", "1");
    let kafka = Kafka::connect(config).await.unwrap();
    let publisher = kafka.publisher().await.unwrap();
    assert!(is_stored(&publisher.publish_batch("t", texts(0..1)).await[0]));
    mock.broker_round_trip_time(1, Duration::from_secs(2)).unwrap();
    mock.request_errors(RDKafkaApiKey::Produce, &[Code::RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    let mut pending = vec![publisher.publish_batch("t", texts(1..2))];
    for i in 2..20 {
        pending.push(publisher.publish_batch("t", texts(i..i + 1)));
    }
    let mut outcomes = Vec::new();
    for pending in pending {
        outcomes.extend(pending.await);
    }
    let first = outcomes[0].as_ref().unwrap_err();
    assert_eq!(first.error().kind(), ErrorKind::Invalid);
    let stored: Vec<usize> = (1..20).filter(|i| is_stored(&outcomes[i - 1])).collect();
    assert!(stored.len() <= 2, "sent on behind the failed one: {stored:?}");
    let unknown = |o: &Result<Outcome, Unsent>| o.as_ref().is_err_and(Unsent::is_unknown);
    assert!(!outcomes.iter().any(unknown), "{outcomes:?}");
    mock.broker_round_trip_time(1, Duration::ZERO).unwrap();
    assert!(is_stored(&publisher.publish_batch("t", texts(99..100)).await[0]));
    let mut reader = Member::join(&kafka, everyone("t", None, Start::Earliest)).await;
    reader.until("the end", |m| m.caught_up.len() == 1).await;
    let mut expected = vec!["0".to_owned()];
    expected.extend(stored.iter().map(usize::to_string));
    expected.push("99".to_owned());
    assert_eq!(reader.payloads(), expected, "outcomes say what is stored");
    reader.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_is_stored_once_and_in_order() {
    let mock = cluster("t", 1);
    // The mock cluster does not check sequence numbers, so requests must not overtake each other.
    let config = config_of(&mock).set("max.in.flight.requests.per.connection", "1");
    let kafka = Kafka::connect(config).await.unwrap();
    let publisher = kafka.publisher().await.unwrap();
    assert!(is_stored(&publisher.publish_batch("t", texts(0..1)).await[0]));
    mock.request_errors(
        RDKafkaApiKey::Produce,
        &[
            Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            Code::RD_KAFKA_RESP_ERR__TRANSPORT,
            Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        ],
    );
    let mut pending = Vec::new();
    for i in 1..50 {
        pending.push(publisher.publish_batch("t", texts(i..i + 1)));
    }
    for pending in pending {
        assert!(pending.await.iter().all(is_stored));
    }
    let mut reader = Member::join(&kafka, everyone("t", None, Start::Earliest)).await;
    reader.until("the end", |m| m.caught_up.len() == 1).await;
    assert_eq!(
        reader.payloads(),
        (0..50).map(|i| i.to_string()).collect::<Vec<_>>()
    );
    reader.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_failed_for_good_is_replaced() {
    let mock = cluster("t", 1);
    let kafka = Kafka::connect(config_of(&mock)).await.unwrap();
    let publisher = kafka.publisher().await.unwrap();
    mock.request_errors(
        RDKafkaApiKey::InitProducerId,
        &[Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED],
    );
    let unsent = publisher
        .publish_batch("t", texts(0..1))
        .await
        .remove(0)
        .unwrap_err();
    assert!(!unsent.is_unknown(), "{unsent}");
    let deadline = Instant::now() + SOON;
    while !is_stored(&publisher.publish_batch("t", texts(1..2)).await[0]) {
        assert!(Instant::now() < deadline, "no new producer");
    }
    publisher.close().await.unwrap();
}

/// A refusal costs the producer: the neighbours are not to pay for each of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_may_not_be_written_to_is_left_alone_for_a_moment() {
    let mock = cluster("t", 1);
    let kafka = Kafka::connect(config_of(&mock)).await.unwrap();
    let publisher = kafka.publisher().await.unwrap();
    let denied = Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    mock.request_errors(RDKafkaApiKey::Produce, &[denied]);
    // The second would be stored if it were sent.
    for text in [0..1, 1..2] {
        let unsent = publisher
            .publish_batch("t", texts(text))
            .await
            .remove(0)
            .unwrap_err();
        assert_eq!(unsent.error().kind(), ErrorKind::Denied);
        assert!(!unsent.is_unknown(), "{unsent}");
    }
    let deadline = Instant::now() + SOON;
    while !is_stored(&publisher.publish_batch("t", texts(2..3)).await[0]) {
        assert!(Instant::now() < deadline, "rights that are given do not count");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    publisher.close().await.unwrap();
}

/// Nothing is read of it any more either, and that brings no error by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_may_not_be_looked_at_any_more_ends_the_subscription() {
    let mock = cluster("t", 1);
    let config = config_of(&mock).metadata_refresh(Duration::from_secs(1));
    let kafka = Kafka::connect(config).await.unwrap();
    publish(&kafka, "t", texts(0..10)).await;
    let mut member = Member::join(&kafka, source("t", "g", Start::Earliest)).await;
    member.until_records(10).await;
    let denied = Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    mock.topic_error("t", denied).unwrap();
    let error = member.ends().await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains(" t: "), "{error}");
}

/// What is asked for again and again in an outage is refused for good here.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_may_not_begin_is_denied() {
    let group = Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    for request in [
        RDKafkaApiKey::OffsetFetch,
        RDKafkaApiKey::OffsetCommit,
        RDKafkaApiKey::JoinGroup,
    ] {
        let mock = cluster("t", 1);
        let kafka = Kafka::connect(config_of(&mock)).await.unwrap();
        publish(&kafka, "t", texts(0..1)).await;
        mock.request_errors(request, &[group]);
        let mut member = Member::join(&kafka, source("t", "g", Start::Earliest)).await;
        let error = member.ends().await;
        assert_eq!(error.kind(), ErrorKind::Denied, "{request:?}: {error}");
        assert!(error.to_string().contains("`Read` on this group"), "{error}");
    }
}
