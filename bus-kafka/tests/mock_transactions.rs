//! Answers to transactional requests that a real broker does not give on demand, on librdkafka's mock cluster.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, ErrorKind, Message, Result};
use bus_kafka::{Kafka, KafkaConfig};
use common::*;
use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey as Key, RDKafkaRespErr as Code},
};
use std::time::{Duration, Instant};

type Mock = MockCluster<'static, DefaultProducerContext>;

/// A cluster with ten messages in `in`, and a member that has received them.
async fn cluster() -> (Mock, Kafka, Member) {
    log();
    let mock: Mock = MockCluster::new(1).unwrap();
    mock.create_topic("in", 1, 1).unwrap();
    mock.create_topic("out", 1, 1).unwrap();
    let kafka = Kafka::connect(KafkaConfig::new(mock.bootstrap_servers()))
        .await
        .unwrap();
    publish(&kafka, "in", (0..10).map(|_| Message::new("x")).collect()).await;
    let mut member = Member::join(&kafka, exactly_once("in", "g")).await;
    member.until_records(10).await;
    (mock, kafka, member)
}

async fn commit(member: &Member, next: u128) -> Result<()> {
    let outputs = vec![("out", Message::new(format!("{next}")))];
    member
        .ack
        .commit(vec![done_with(member.shard(0), next, outputs)])
        .await
        .remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rebalance_aborts_is_done_again_at_once() {
    let (mock, _kafka, member) = cluster().await;
    for (next, code) in [
        (1, Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION),
        (2, Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS),
        (3, Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS),
    ] {
        mock.request_errors(Key::TxnOffsetCommit, &[code]);
        commit(&member, next).await.unwrap();
    }
    assert!(member.lost.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_out_stores_nothing_and_is_told() {
    let (mock, _kafka, mut member) = cluster().await;
    let shard = member.shard(0);
    mock.request_errors(Key::TxnOffsetCommit, &[Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID]);
    let error = commit(&member, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    member.until("losing it", |m| m.lost.contains(&shard)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_nobody_knows_is_read_again() {
    for code in [
        Code::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE,
        Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
    ] {
        let (mock, _kafka, mut member) = cluster().await;
        commit(&member, 2).await.unwrap();
        let shard = member.shard(0);
        mock.request_errors(Key::EndTxn, &[code]);
        let error = commit(&member, 4).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
        assert!(error.to_string().contains("unknown whether stored"), "{error}");
        member
            .until("owning it again", |m| {
                m.lost.contains(&shard) && m.owned.get(&0).is_some_and(|o| o.0.epoch > shard.epoch)
            })
            .await;
        // The mock cluster takes positions of transactions and stores none.
        assert_eq!(member.owned[&0].1, 0);
        commit(&member, 5).await.unwrap();
        member.subscriber.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_coordinator_is_not_ready_for_is_waited_for() {
    let (mock, _kafka, member) = cluster().await;
    let busy = [
        Code::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
        Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
    ];
    mock.request_errors(Key::AddPartitionsToTxn, &busy);
    commit(&member, 1).await.unwrap();
    mock.request_errors(Key::AddOffsetsToTxn, &busy);
    commit(&member, 2).await.unwrap();
    mock.request_errors(Key::EndTxn, &busy[1..]);
    commit(&member, 3).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_down_is_a_passing_failure() {
    let (mock, _kafka, mut member) = cluster().await;
    commit(&member, 1).await.unwrap();
    mock.broker_down(1).unwrap();
    let begun = Instant::now();
    let error = commit(&member, 2).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(
        error.is_transient() || error.kind() == ErrorKind::Fenced,
        "{error}"
    );
    mock.broker_up(1).unwrap();
    let deadline = Instant::now() + SOON;
    loop {
        member.until("owning it", |m| m.owned.len() == 1).await;
        let Err(error) = commit(&member, 3).await else {
            break;
        };
        assert!(Instant::now() < deadline, "{error}");
        member.step(Duration::from_millis(100)).await;
    }
    let begun = Instant::now();
    mock.broker_down(1).unwrap();
    member.subscriber.close().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_or_cannot_is_told_at_subscribe() {
    for (code, kind) in [
        (
            Code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            ErrorKind::Denied,
        ),
        (
            Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
            ErrorKind::Denied,
        ),
        (
            Code::RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT,
            ErrorKind::Invalid,
        ),
    ] {
        let (mock, kafka, mut member) = cluster().await;
        mock.request_errors(Key::InitProducerId, &[code; 20]);
        let error = kafka.subscribe(exactly_once("in", "other")).await.err().unwrap();
        assert_eq!(error.kind(), kind, "{error}");
        member.subscriber.close().await.unwrap();
    }
    let (mock, kafka, mut member) = cluster().await;
    mock.request_errors(
        Key::InitProducerId,
        &[
            Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            Code::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
        ],
    );
    let mut other = Member::join(&kafka, exactly_once("in", "other")).await;
    other.until_records(10).await;
    commit(&other, 3).await.unwrap();
    other.subscriber.close().await.unwrap();
    member.subscriber.close().await.unwrap();
    // The mock can take an api away: brokers before transactions.
    mock.apiversion(Key::InitProducerId, None, None).unwrap();
    let error = kafka.subscribe(exactly_once("in", "none")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}
