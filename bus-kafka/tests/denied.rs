//! Rights that are taken away while a group reads: on a broker with an authorizer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_brokers::KafkaOptions;
use bus_core::{ErrorKind, Start};
use bus_kafka::{Kafka, KafkaConfig};
use common::*;
use std::process::Command;

/// A broker that lets everybody do everything that was not denied.
fn broker() -> bus_brokers::Kafka {
    let options = KafkaOptions::new()
        .property(
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        )
        .property("allow.everyone.if.no.acl.found", "true");
    bus_brokers::Kafka::start(options).unwrap()
}

/// `kafka-acls.sh`.
fn deny(broker: &bus_brokers::Kafka, operation: &str, kind: &str, name: &str) {
    let libs = bus_brokers::kafka_libs().unwrap().join("*");
    let done = Command::new("java")
        .arg("-cp")
        .arg(libs)
        .arg("org.apache.kafka.tools.AclCommand")
        .args(["--bootstrap-server", broker.address(), "--add"])
        .args([
            "--deny-principal",
            "User:ANONYMOUS",
            "--operation",
            operation,
            kind,
            name,
        ])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_ends_the_subscription() {
    log();
    let broker = tokio::task::spawn_blocking(broker).await.unwrap();
    let kafka = Kafka::connect(KafkaConfig::new(broker.address())).await.unwrap();
    let (topic, group) = (topic(&kafka, 1).await, unique("g"));
    publish(&kafka, &topic, numbered(10, 1)).await;

    // The topic, of a member that reads it.
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_records(10).await;
    tokio::task::block_in_place(|| deny(&broker, "Describe", "--topic", &topic));
    let error = member.ends().await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains(&topic), "{error}");

    // The group, of a member that joins.
    let (topic, group) = (common::topic(&kafka, 1).await, unique("g"));
    tokio::task::block_in_place(|| deny(&broker, "Read", "--group", &group));
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    let error = member.ends().await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("`Read` on this group"), "{error}");
}
