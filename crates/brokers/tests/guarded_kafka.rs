//! A private Kafka with a login lets in whoever has one, and allows what it was told to.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use bus_brokers::{Kafka, KafkaListener, KafkaOperation, KafkaOptions, KafkaResource};
use common::create_topic;
use std::process::Command;

/// What another program hears about a topic.
fn metadata(address: &str, password: &str) -> String {
    let output = Command::new(bus_brokers::kcat().unwrap())
        .args(["-L", "-m", "10", "-t", "kept", "-b", address])
        .args([
            "-X",
            "security.protocol=sasl_plaintext",
            "-X",
            "sasl.mechanism=PLAIN",
        ])
        .args([
            "-X",
            "sasl.username=me",
            "-X",
            &format!("sasl.password={password}"),
        ])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn users_log_in_and_may_do_what_they_are_allowed() {
    let login = KafkaListener::new("LOGIN").mechanisms(&["PLAIN"]);
    let options = KafkaOptions::new()
        .heap(256)
        .listener(login)
        .user("me", "right")
        .guarded(&[]);
    let kafka = Kafka::start(options).unwrap();
    create_topic(kafka.inner_address(), "kept", &[]);
    let address = kafka.listener("LOGIN").unwrap();
    assert!(kafka.listener("OTHER").is_err());

    assert!(metadata(address, "wrong").contains("Authentication failed"));
    let told = metadata(address, "right");
    assert!(told.contains("authorization failed"), "{told}");
    kafka
        .allow("me", KafkaOperation::Describe, KafkaResource::Topic("kept"))
        .unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !metadata(address, "right").contains("partition 0, leader 1") {
        assert!(
            std::time::Instant::now() < until,
            "{}",
            metadata(address, "right")
        );
    }
    kafka
        .take_back("me", KafkaOperation::Describe, KafkaResource::Topic("kept"))
        .unwrap();
    while !metadata(address, "right").contains("authorization failed") {
        assert!(
            std::time::Instant::now() < until,
            "{}",
            metadata(address, "right")
        );
    }
}
