//! A producer that fails while a message of it is under way, and what its successor has taken behind that message.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Message};
use bus_kafka::{Kafka, KafkaConfig};
use common::lines::Lines;
use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr as Code},
};
use std::time::Duration;

fn to(partition: u32, text: &str) -> Message {
    Message::new(text.to_owned()).to_partition(partition)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_behind_a_message_without_an_outcome_is_not_sent_by_the_next_producer() {
    let lines = Lines::shared();
    let mock: MockCluster<'static, DefaultProducerContext> = MockCluster::new(2).unwrap();
    mock.create_topic("t", 2, 1).unwrap();
    for (partition, broker) in [(0, 1), (1, 2)] {
        mock.partition_leader("t", partition, Some(broker)).unwrap();
    }
    let config = KafkaConfig::new(mock.bootstrap_servers())
        .set("batch.num.messages", "1")
        .set("debug", "msg");
    let kafka = Kafka::connect(config).await.unwrap();
    let publisher = kafka.publisher().await.unwrap();
    for partition in [0, 1] {
        let stored = publisher.publish_batch("t", vec![to(partition, "first")]).await;
        assert!(stored[0].is_ok(), "{stored:?}");
    }
    mock.broker_round_trip_time(1, Duration::from_secs(600)).unwrap();
    let slow = publisher.publish_batch("t", vec![to(0, "slow")]);
    // It is sent, and the mock's one thread has read it when it answers what was sent after it.
    lines.until("BaseSeq 1,").await;
    let other = publisher.publish_batch("t", vec![to(1, "other")]).await;
    assert!(other[0].is_ok(), "{other:?}");
    mock.broker_round_trip_time(2, Duration::from_millis(500))
        .unwrap();
    mock.request_errors(
        RDKafkaApiKey::Produce,
        &[
            Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            Code::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
        ],
    );
    let others = publisher.publish_batch("t", vec![to(1, "refused"), to(1, "out of order")]);
    lines.until("failed for good and is replaced").await;
    // Nobody knows yet what becomes of the one before it.
    let early = publisher.publish_batch("t", vec![to(0, "early")]);
    let unsent = slow.await.remove(0).expect_err("no answer has come");
    assert!(unsent.is_unknown(), "{unsent}");
    mock.broker_round_trip_time(1, Duration::ZERO).unwrap();
    let unsent = early.await.remove(0).expect_err("behind one that failed");
    assert!(!unsent.is_unknown() && unsent.error().is_transient(), "{unsent}");
    for outcome in others.await {
        assert!(outcome.unwrap_err().error().is_transient());
    }
    // Whoever knows that it failed may go on.
    let after = publisher.publish_batch("t", vec![to(0, "after")]).await;
    assert!(after[0].is_ok(), "{after:?}");
}
