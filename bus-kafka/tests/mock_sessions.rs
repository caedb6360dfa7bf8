//! What counts as a sign of life of a session that was given up, on librdkafka's mock cluster, which cannot be asked for
//! the members of a group.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::Start;
use bus_kafka::{Kafka, KafkaConfig};
use common::{lines::Lines, *};
use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr as Code},
};
use std::time::{Duration, Instant};

/// How late answers come: longer than it takes to give up.
const LATE: Duration = Duration::from_secs(14);
/// How long the coordinator answers that it is none.
const WRONG: Duration = Duration::from_secs(10);
const GROUP: [RDKafkaApiKey; 3] = [
    RDKafkaApiKey::JoinGroup,
    RDKafkaApiKey::Heartbeat,
    RDKafkaApiKey::OffsetCommit,
];

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_an_error_is_none() {
    let lines = Lines::record("librdkafka=debug,bus=info");
    let mock: MockCluster<'static, DefaultProducerContext> = MockCluster::new(1).unwrap();
    mock.create_topic("t", 1, 1).unwrap();
    let config = KafkaConfig::new(mock.bootstrap_servers())
        .session_timeout(Duration::from_secs(6))
        .set("debug", "cgrp");
    let kafka = Kafka::connect(config).await.unwrap();
    publish(&kafka, "t", numbered(10, 1)).await;
    let mut member = Member::join(&kafka, source("t", "g", Start::Earliest)).await;
    member.until_records(10).await;
    let shard = member.shard(0);
    member.ack.commit(vec![done(shard, 6)]).await.remove(0).unwrap();

    // A rebalance in which nobody can join, and then nobody answers: librdkafka watches no session in it.
    for key in GROUP {
        mock.request_errors(key, &[Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR; 1_000]);
    }
    mock.clear_request_errors(RDKafkaApiKey::OffsetCommit);
    mock.request_errors(
        RDKafkaApiKey::OffsetCommit,
        &[Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS; 1_000],
    );
    mock.clear_request_errors(RDKafkaApiKey::Heartbeat);
    mock.request_errors(
        RDKafkaApiKey::Heartbeat,
        &[Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS],
    );
    lines.until("Rejoining group").await;
    mock.broker_round_trip_time(1, LATE).unwrap();
    member.until("giving it up", |m| m.lost.contains(&shard)).await;

    // It answers again, to say that it is not in charge.
    mock.broker_round_trip_time(1, Duration::ZERO).unwrap();
    let since = Instant::now();
    while since.elapsed() < WRONG {
        member.step(Duration::from_millis(100)).await;
        assert!(member.owned.is_empty(), "gained after {:?}", since.elapsed());
    }
    GROUP.into_iter().for_each(|key| mock.clear_request_errors(key));
    member.until_owned(1).await;
    assert_eq!(member.owned[&0].1, 6);
    member.subscriber.close().await.unwrap();
}
