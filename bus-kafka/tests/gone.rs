//! A broker that is gone is looked for at the pace of a backoff, and found when it is back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Message};
use bus_kafka::{Kafka, KafkaConfig};
use common::*;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Processor time of this process so far, in clock ticks of 10 ms.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name, which may hold anything: user and system time are the 12th and 13th.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_gone_is_looked_for_with_pauses() {
    let server = tokio::task::spawn_blocking(|| bus_brokers::Kafka::start(bus_brokers::KafkaOptions::new()));
    let server = Arc::new(server.await.unwrap().unwrap());
    let kafka = Arc::new(Kafka::connect(KafkaConfig::new(server.address())).await.unwrap());
    let topic = topic(&kafka, 1).await;
    publish(&kafka, &topic, vec![Message::new("before")]).await;

    server.kill9().unwrap();
    until("the loss is noticed", || kafka.health().is_err()).await;
    let (before, begun) = (ticks(), Instant::now());
    until("five seconds of it", || begun.elapsed() > Duration::from_secs(5)).await;
    let used = ticks() - before;
    println!("{used} ticks in {:?}", begun.elapsed());
    assert!(
        used < 100,
        "{used} ticks of processor time in five seconds: it tries without a pause"
    );

    let again = server.clone();
    tokio::task::spawn_blocking(move || again.restart())
        .await
        .unwrap()
        .unwrap();
    until("it is found again", || kafka.health().is_ok()).await;
    publish(&kafka, &topic, vec![Message::new("after")]).await;
}
