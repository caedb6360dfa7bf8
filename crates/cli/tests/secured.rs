//! `bus` on a Kafka with TLS and a login, and nothing that it prints holds the password.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use bus_brokers::{Authority, Kafka, KafkaListener, KafkaOptions};
use common::{bus, run, unique};

#[test]
fn a_url_with_a_login_and_certificates() {
    let authority = Authority::new().unwrap();
    let certificate = authority.issue("broker", &["localhost"]).unwrap();
    let listener = KafkaListener::new("BOTH").tls(&certificate).unwrap();
    let password = unique("canary");
    let options = KafkaOptions::new()
        .heap(256)
        .listener(listener.mechanisms(&["SCRAM-SHA-256"]))
        .user("me", &password);
    let kafka = Kafka::start(options).unwrap();
    let address = kafka.listener("BOTH").unwrap();
    let ca = authority.file().display();
    let url = |password: &str| {
        format!(
            "kafka://me:{password}@{address}?security.protocol=sasl_ssl&sasl.mechanism=SCRAM-SHA-256&ssl.ca.location={ca}&debug=security"
        )
    };
    let on = |password: &str, words: &[&str]| {
        let ran = run(bus(
            &[words, &["--url", &url(password), "--log", "trace"]].concat()
        ));
        // `canary` is in every password and in nothing else.
        assert!(
            !ran.out.contains("canary") && !ran.err.contains("canary"),
            "{words:?}"
        );
        ran
    };
    on(&password, &["topics", "create", "orders"]).exits(0);
    on(&password, &["publish", "orders", "hello"]).exits(0);
    let read = on(
        &password,
        &["consume", "orders", "--group", "g", "--count", "1", "--json"],
    )
    .exits(0);
    assert_eq!(read.lines()[0]["value"], "hello");
    assert!(
        read.err.contains("librdkafka"),
        "it logged nothing of the connection"
    );

    let refused = on("canary-wrong", &["publish", "orders", "hello"]).exits(1);
    for part in ["user or password is wrong", "`sasl.password`", address] {
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
}
