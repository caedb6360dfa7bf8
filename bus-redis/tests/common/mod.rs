//! What the tests share: names nobody else uses, members that collect what they receive, servers and proxies of one's
//! own. Nothing sleeps to let things happen: everything waits for an event, with a deadline.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

pub mod full;
pub mod member;
pub mod server;

use bus_core::{
    Admin, Backend, Message, Name, Outcome, Publisher, Receipt, Scope, Source, Start, TopicSpec, Unsent,
};
use bus_proxy::{Protocol, Proxy};
use bus_redis::{Redis, RedisConfig};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Long enough for a busy machine, short enough to see a hang.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The shared server's URL.
pub fn url() -> String {
    std::env::var("BUS_TEST_REDIS")
        .expect("set BUS_TEST_REDIS to redis://host:port, or run `cargo xtask test`")
}

/// A name nobody else uses.
pub fn unique(stem: &str) -> Name {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let start = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{stem}-{}-{start:x}-{number}", std::process::id()).into()
}

/// Settings for the shared server; leases are short, so that takeovers are.
pub fn config() -> RedisConfig {
    RedisConfig::from_url(&url())
        .unwrap()
        .ttl(Duration::from_secs(3))
        .grace(Duration::from_secs(2))
}

pub async fn backend() -> Redis {
    Redis::connect(config()).await.unwrap()
}

/// A backend and a new topic.
pub async fn with_topic(partitions: u32) -> (Redis, Arc<dyn Admin>, Name) {
    with_topic_of(config(), partitions).await
}

/// The same, where nobody vanishes: no lease and no grace is over because the machine stood still.
pub async fn with_lasting_leases(partitions: u32) -> (Redis, Arc<dyn Admin>, Name) {
    let config = config()
        .ttl(Duration::from_secs(60))
        .grace(Duration::from_secs(60));
    with_topic_of(config, partitions).await
}

async fn with_topic_of(config: RedisConfig, partitions: u32) -> (Redis, Arc<dyn Admin>, Name) {
    let backend = Redis::connect(config).await.unwrap();
    let admin = backend.admin();
    let topic = new_topic(&backend, partitions).await;
    (backend, admin, topic)
}

pub fn group(topic: &Name, group: &Name) -> Source {
    source(topic, Scope::Group(group.clone()), Start::Earliest)
}

pub fn source(topic: &Name, scope: Scope, start: Start) -> Source {
    Source {
        topics: vec![topic.clone()],
        scope,
        start,
        exactly_once: false,
    }
}

/// So many messages, spread over the partitions.
pub fn numbered(count: usize, partitions: u32) -> Vec<Message> {
    (0..count)
        .map(|i| Message::new(format!("{i}")).to_partition(i as u32 % partitions))
        .collect()
}

/// A new topic there.
pub async fn new_topic(backend: &Redis, partitions: u32) -> Name {
    let topic = unique("orders");
    let spec = TopicSpec::new(topic.clone()).partitions(partitions);
    backend.admin().create(&[spec]).await.unwrap();
    topic
}

/// A proxy in front of that server, and the settings to reach it through it.
pub async fn proxied(url: &str) -> (Proxy, RedisConfig) {
    let upstream = url.trim_start_matches("redis://");
    let proxy = Proxy::start(Protocol::Redis, upstream).await.unwrap();
    let config = RedisConfig::new("127.0.0.1", proxy.port());
    (proxy, config)
}

pub fn receipt(outcome: Result<Outcome, Unsent>) -> Receipt {
    match outcome {
        Ok(Outcome::Stored(receipt)) => receipt,
        other => panic!("not stored: {other:?}"),
    }
}

pub async fn publish(publisher: &Arc<dyn Publisher>, topic: &str, batch: Vec<Message>) -> Vec<Receipt> {
    in_time(publisher.publish_batch(topic, batch))
        .await
        .into_iter()
        .map(receipt)
        .collect()
}

/// `future`, or a failure at the deadline.
#[track_caller]
pub fn in_time<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(DEADLINE, future).await {
            Ok(output) => output,
            Err(_) => panic!("nothing happened in {DEADLINE:?} at {caller}"),
        }
    }
}

/// An independent client, for what other programs see and do.
pub fn foreign(url: &str) -> redis::Connection {
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

/// `XINFO GROUPS` of a stream, as (name, last-delivered-id, lag).
pub fn native_groups(url: &str, stream: &str) -> Vec<(String, String, Option<i64>)> {
    let reply: Vec<Vec<redis::Value>> = redis::cmd("XINFO")
        .arg("GROUPS")
        .arg(stream)
        .query(&mut foreign(url))
        .unwrap();
    let field = |group: &[redis::Value], name: &str| -> redis::Value {
        let at = group
            .iter()
            .step_by(2)
            .position(|n| redis::from_redis_value_ref::<String>(n).unwrap() == name)
            .unwrap();
        group[2 * at + 1].clone()
    };
    reply
        .iter()
        .map(|g| {
            (
                redis::from_redis_value_ref(&field(g, "name")).unwrap(),
                redis::from_redis_value_ref(&field(g, "last-delivered-id")).unwrap(),
                redis::from_redis_value_ref(&field(g, "lag")).unwrap(),
            )
        })
        .collect()
}
