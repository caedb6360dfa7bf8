//! What the tests of secured connections do with a bus.
#![allow(dead_code)]

use bus::{Bus, Error, ErrorKind, Outcome, Raw, Topic};
use bus_brokers::Awake;
use std::{
    future::Future,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// What is known must be told at once: far less than any timeout of a connection.
const AT_ONCE: Duration = Duration::from_secs(3);
/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const PAGE: &str = include_str!("../../docs/connecting.md");

/// The rule for a user of Redis that the documentation gives: the words behind `ACL SETUSER`.
pub(crate) fn rule() -> Vec<&'static str> {
    let (_, rest) = PAGE.split_once("ACL SETUSER ").expect("the rule");
    let (rule, _) = rest.split_once("```").expect("its end");
    rule.split_whitespace().collect()
}

/// A topic that nobody else has.
pub(crate) fn topic() -> Topic<Vec<u8>, Raw> {
    Topic::named(format!("secured-{}", Uuid::new_v4().simple())).partitions(2)
}

/// The bus publishes, reads and commits: over every kind of connection that it makes.
pub(crate) async fn works(bus: &Bus) {
    works_with(bus, &topic()).await;
}

/// The same with a topic that is not there yet.
pub(crate) async fn works_with(bus: &Bus, topic: &Topic<Vec<u8>, Raw>) {
    bus.ensure_topics([topic.spec()]).await.unwrap();
    // More than a TLS record holds, and than a socket's buffer.
    let large = vec![b'x'; 3 << 20];
    for payload in [&b"small"[..], &large, b""] {
        let outcome = bus.publish(topic, &payload.to_vec()).key("k").await.unwrap();
        assert!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
    }
    let mut readers = bus.subscribe(topic, "readers").await.unwrap();
    let mut lengths = Vec::new();
    while lengths.len() < 3 {
        let next = tokio::time::timeout(PATIENCE, readers.next()).await;
        let delivery = next.expect("a delivery in time").unwrap().unwrap();
        lengths.push(delivery.value().len());
        delivery.ack();
    }
    assert_eq!(lengths, [5, large.len(), 0]);
    readers.close().await.unwrap();
    let lag = bus.admin().lag("readers").await;
    assert!(lag.is_ok(), "{lag:?}");
    assert!(bus.health().is_ok());
}

/// Waits until it holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The error of a call that must fail, and soon.
pub(crate) async fn refused<T>(what: &str, call: impl Future<Output = Result<T, Error>>) -> Error {
    let began = Awake::begin();
    let Err(error) = call.await else {
        panic!("{what}: it was let in");
    };
    let took = began.elapsed();
    assert!(
        took < AT_ONCE && !error.is_transient(),
        "{what}: {took:?}, {error:?}"
    );
    // A few lines at most: somebody has to read it.
    assert!(error.to_string().len() < 320, "{what}: {error}");
    error
}

/// A connection that is refused so, with this in the sentence.
pub(crate) async fn is_refused(what: &str, url: &str, kind: ErrorKind, parts: &[&str]) {
    let error = refused(what, Bus::connect(url)).await;
    let told = error == kind && parts.iter().all(|part| error.to_string().contains(part));
    assert!(told, "{what}: {error:?}");
}
