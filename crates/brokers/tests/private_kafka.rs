//! A private Kafka keeps its topics over a kill.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::process::Command;

use bus_brokers::{Kafka, KafkaOptions};

/// Topic names, as `kcat` sees them.
fn topics(kafka: &Kafka) -> String {
    let kcat = bus_brokers::kcat().unwrap();
    let output = Command::new(kcat)
        .args(["-L", "-m", "20", "-b", kafka.address()])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn create_topic(kafka: &Kafka, name: &str) {
    let class_path = bus_brokers::kafka_libs().unwrap().join("*");
    let tool = [
        "org.apache.kafka.tools.TopicCommand",
        "--create",
        "--partitions",
        "3",
        "--topic",
        name,
    ];
    let mut command = Command::new("java");
    command
        .arg("-cp")
        .arg(class_path)
        .args(tool)
        .args(["--bootstrap-server", kafka.address()]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn topics_survive_a_kill() {
    let kafka = Kafka::start(KafkaOptions::new().property("num.network.threads", "2")).unwrap();
    let (address, first) = (kafka.address().to_owned(), kafka.pid().unwrap());
    create_topic(&kafka, "kept");
    assert!(
        topics(&kafka).contains("\"kept\" with 3 partitions"),
        "{}",
        topics(&kafka)
    );

    kafka.kill9().unwrap();
    assert_eq!(kafka.pid(), None);

    kafka.restart().unwrap();
    assert_eq!(kafka.address(), address);
    assert_ne!(kafka.pid(), Some(first));
    assert!(
        topics(&kafka).contains("\"kept\" with 3 partitions"),
        "{}",
        topics(&kafka)
    );

    kafka.stop().unwrap();
    kafka.restart().unwrap();
    assert!(topics(&kafka).contains("\"kept\""));
}
