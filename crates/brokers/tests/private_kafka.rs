//! A private Kafka keeps its topics over a kill, and tells clients the address that it is told to.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use bus_brokers::{Kafka, KafkaOptions};
use common::{create_topic, metadata};

#[test]
fn topics_survive_a_kill() {
    let kafka = Kafka::start(KafkaOptions::new().property("num.network.threads", "2")).unwrap();
    let (address, first) = (kafka.address().to_owned(), kafka.pid().unwrap());
    let kept = || metadata(&address).contains("\"kept\" with 3 partitions");
    create_topic(&address, "kept", &["--partitions", "3"]);
    assert!(kept(), "{}", metadata(&address));

    kafka.kill9().unwrap();
    assert_eq!(kafka.pid(), None);

    kafka.restart().unwrap();
    assert_eq!(kafka.address(), address);
    assert_ne!(kafka.pid(), Some(first));
    assert!(kept(), "{}", metadata(&address));

    kafka.stop().unwrap();
    kafka.restart().unwrap();
    assert!(kept(), "{}", metadata(&address));
}

#[test]
fn clients_are_told_the_proxys_address() {
    let options = KafkaOptions::new().heap(256).advertised("127.0.0.1:9");
    let kafka = Kafka::start(options).unwrap();
    let told = metadata(kafka.address());
    assert!(told.contains("broker 1 at 127.0.0.1:9 "), "{told}");
    // An observer goes around it.
    let told = metadata(kafka.inner_address());
    assert!(
        told.contains(&format!("broker 1 at {} ", kafka.inner_address())),
        "{told}"
    );
}
