//! A sequence number that is missing in one partition, and what waits in another, on librdkafka's mock cluster.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Message};
use bus_kafka::{Kafka, KafkaConfig};
use common::{lines::Lines, *};
use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr as Code},
};
use std::time::Duration;

fn to(partition: u32, text: &str) -> Message {
    Message::new(text.to_owned()).to_partition(partition)
}

/// A broker that has just come back refuses one request of a partition and takes the next, which misses a number. The mock
/// cluster knows no sequence numbers, so it is only seen here whether the message is sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_number_makes_no_second_copies_of_others() {
    let lines = Lines::shared();
    let mock: MockCluster<'static, DefaultProducerContext> = MockCluster::new(1).unwrap();
    mock.create_topic("t", 2, 1).unwrap();
    let config = KafkaConfig::new(mock.bootstrap_servers())
        .set("retry.backoff.ms", "20000")
        .set("retry.backoff.max.ms", "20000")
        .set("batch.num.messages", "1");
    let kafka = Kafka::connect(config).await.unwrap();
    let publisher = kafka.publisher().await.unwrap();
    for partition in [0, 1] {
        let stored = publisher.publish_batch("t", vec![to(partition, "first")]).await;
        assert!(stored[0].is_ok(), "{stored:?}");
    }
    let timed_out = Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT;
    mock.request_errors(RDKafkaApiKey::Produce, &[timed_out]);
    let maybe = publisher.publish_batch("t", vec![to(0, "maybe")]);
    lines
        .until("t [0] beginning partition drain: drain before retrying")
        .await;
    // Long enough that the second request leaves before the first is answered.
    mock.broker_round_trip_time(1, Duration::from_millis(500))
        .unwrap();
    mock.request_errors(
        RDKafkaApiKey::Produce,
        &[
            Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            Code::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
        ],
    );
    let behind = publisher.publish_batch("t", vec![to(1, "refused"), to(1, "out of order")]);
    let unsent = maybe.await.remove(0).expect_err("sent again, and confirmed");
    assert!(unsent.is_unknown(), "{unsent}");
    assert!(unsent.to_string().contains("while it was under way"), "{unsent}");
    for outcome in behind.await {
        let unsent = outcome.unwrap_err();
        assert!(!unsent.is_unknown() && unsent.error().is_transient(), "{unsent}");
    }
    mock.broker_round_trip_time(1, Duration::ZERO).unwrap();
    let after = publisher.publish_batch("t", vec![to(0, "after")]).await;
    assert!(after[0].is_ok(), "{after:?}");
    let mut found = contents(&kafka, "t").await;
    found.sort();
    assert_eq!(found, ["after", "first", "first"]);
}
