//! What the tests of private servers share.
#![allow(dead_code, reason = "each test file uses a part")]

use std::process::Command;

/// Makes a topic with Kafka's own tool.
pub(crate) fn create_topic(address: &str, name: &str, more: &[&str]) {
    let class_path = bus_brokers::kafka_libs().unwrap().join("*");
    let tool = ["org.apache.kafka.tools.TopicCommand", "--create", "--topic", name];
    let mut command = Command::new("java");
    command.arg("-XX:TieredStopAtLevel=1").arg("-cp").arg(class_path);
    command
        .args(tool)
        .args(["--bootstrap-server", address])
        .args(more);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Brokers and topics, as `kcat` sees them.
pub(crate) fn metadata(address: &str) -> String {
    let kcat = bus_brokers::kcat().unwrap();
    let output = Command::new(kcat)
        .args(["-L", "-m", "20", "-b", address])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
