//! A request that a transaction lost must not become part of a later one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_brokers::KafkaOptions;
use bus_core::Message;
use bus_kafka::{Kafka, KafkaConfig};
use bus_proxy::{Filter, Protocol, Proxy};
use common::*;
use std::time::Duration;

const END: i16 = 26;
const OFFSETS: i16 = 28;
/// When the first transaction's positions arrive once more, and how long the second one stays open.
const LATE: Duration = Duration::from_secs(2);
const OPEN: Duration = Duration::from_secs(4);

/// The first copy of the positions waits in the network while a second one is stored and committed. It arrives while
/// the next transaction is open, which has stored newer positions: only a new producer keeps it out.
#[tokio::test(flavor = "multi_thread")]
async fn positions_that_arrive_late_are_nobodys() {
    log();
    let proxy = Proxy::builder(Protocol::Kafka).start().await.unwrap();
    let options = KafkaOptions::new().advertised(proxy.address());
    let server = tokio::task::spawn_blocking(|| bus_brokers::Kafka::start(options))
        .await
        .unwrap()
        .unwrap();
    proxy.set_upstream(server.address());
    // The broker ends no transaction and no session by itself meanwhile.
    let config = KafkaConfig::new(proxy.address())
        .session_timeout(SESSION)
        .transaction_timeout(Duration::from_secs(60));
    let kafka = Kafka::connect(config).await.unwrap();
    let (input, output, group) = (topic(&kafka, 1).await, topic(&kafka, 1).await, unique("g"));
    let texts = (0..3).map(|i| Message::new(format!("{i}"))).collect();
    publish(&kafka, &input, texts).await;
    let mut member = Member::join(&kafka, exactly_once(&input, &group)).await;
    member.until_records(3).await;
    let shard = member.shard(0);

    let copy = proxy.hold_next_request(Filter::kafka([OFFSETS]), LATE);
    let first = done_with(shard, 1, vec![(&output, Message::new("0"))]);
    member.ack.commit(vec![first]).await.remove(0).unwrap();
    let end = proxy.delay_next_request(Filter::kafka([END]), OPEN);
    let second = done_with(shard, 2, vec![(&output, Message::new("1"))]);
    member.ack.commit(vec![second]).await.remove(0).unwrap();

    assert!(copy.happened().await && end.happened().await);
    assert_eq!(stored(&kafka, &group).await.0, 2, "the second's position");
    until_contents(&kafka, &output, &["0", "1"]).await;
    member.subscriber.close().await.unwrap();
}
