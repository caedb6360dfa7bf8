//! A commit that fails while a partition leaves, with each code that a coordinator may answer, on librdkafka's mock
//! cluster: messages come again, none is skipped, and the other partition goes on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Message, Start};
use bus_kafka::{Kafka, KafkaConfig};
use common::*;
use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr as Code},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

type Mock = MockCluster<'static, DefaultProducerContext>;

/// What is stored before, and what the commit that fails would store.
const BEFORE: u128 = 4;
const AFTER: u128 = 8;
const MESSAGES: u128 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_rebalance_in_progress_skips_nothing() {
    revoke(Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_generation_skips_nothing() {
    revoke(Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_member_skips_nothing() {
    revoke(Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_loads_skips_nothing() {
    revoke(Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_moved_skips_nothing() {
    revoke(Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_took_too_long_skips_nothing() {
    revoke(Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT).await;
}

fn one_each() -> Vec<Message> {
    (0..2).map(|p| Message::new("x").to_partition(p)).collect()
}

async fn revoke(code: Code) {
    log();
    let mock: Mock = MockCluster::new(1).unwrap();
    mock.create_topic("t", 2, 1).unwrap();
    let kafka = Kafka::connect(KafkaConfig::new(mock.bootstrap_servers()))
        .await
        .unwrap();
    let messages = (0..MESSAGES).flat_map(|_| one_each());
    publish(&kafka, "t", messages.collect()).await;
    let source = || source("t", "g", Start::Earliest);
    let mut leaver = Member::join(&kafka, source()).await;
    leaver.until_records(2 * MESSAGES as usize).await;
    let before: Vec<_> = (0..2).map(|p| leaver.shard(p)).collect();
    let both = |next| before.iter().map(|shard| done(*shard, next)).collect();
    for stored in leaver.ack.commit(both(BEFORE)).await {
        stored.unwrap();
    }

    let comer = Member::join(&kafka, source()).await;
    leaver
        .until("a partition to leave", |m| !m.losing.is_empty())
        .await;
    mock.request_errors(RDKafkaApiKey::OffsetCommit, &[code; 2]);
    let failed = leaver.ack.commit(both(AFTER)).await;
    let stored = failed.iter().filter(|result| result.is_ok()).count();
    println!("{code:?}: {failed:?}");
    // What may be answered better soon is asked again by librdkafka itself.
    let final_ones = [
        Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
        Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
        Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
    ];
    assert!(
        stored == 0 || stored == 2 && !final_ones.contains(&code),
        "{code:?}: {failed:?}"
    );
    let begin = if stored == 2 { AFTER } else { BEFORE };
    publish(&kafka, "t", one_each()).await;
    let mut members = [leaver, comer];
    let deadline = Instant::now() + 3 * SOON;
    let mut settled = BTreeSet::new();
    while settled.len() < 2 || members.iter().any(|member| member.owned.len() != 1) {
        let owned: Vec<_> = members
            .iter()
            .map(|m| m.owned.keys().collect::<Vec<_>>())
            .collect();
        assert!(Instant::now() < deadline, "{code:?}: {owned:?} are owned");
        for (number, member) in members.iter_mut().enumerate() {
            member.step(Duration::from_millis(50)).await;
            for shard in std::mem::take(&mut member.losing) {
                member.ack.release(shard).await.unwrap();
            }
            for (shard, next, _) in member.owned.values() {
                let first_epoch = number == 0 && before.contains(shard);
                let expected = if first_epoch {
                    vec![0]
                } else {
                    vec![begin, MESSAGES + 1]
                };
                assert!(expected.contains(next), "{code:?}: {shard:?} begins at {next}");
                let own = member.records.iter().filter(|(of, _)| of == shard);
                let positions: Vec<u128> = own.map(|(_, record)| record.position()).collect();
                let wanted = *next..*next + positions.len() as u128;
                assert!(
                    positions.iter().copied().eq(wanted),
                    "{code:?}: {shard:?} had {positions:?}"
                );
                if positions.last() == Some(&MESSAGES)
                    && !settled.contains(&shard.partition)
                    && member.ack.commit(vec![done(*shard, MESSAGES + 1)]).await[0].is_ok()
                {
                    settled.insert(shard.partition);
                }
            }
        }
    }
    for member in &mut members {
        member.subscriber.close().await.unwrap();
    }
}
