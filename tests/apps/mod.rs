//! What tests of the layer for applications share.
#![allow(dead_code)]

#[allow(clippy::duplicate_mod, reason = "some tests have several of these helpers")]
#[path = "../harness/listen.rs"]
mod listen;

use bus::{Bus, Bytes, ErrorKind, Raw, Record, Topic};
use listen::listen;
use std::{
    fmt::Debug,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};
use tracing::{
    Id, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{self, Attributes},
    subscriber::DefaultGuard,
};

/// Longer than a rebalance on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A bus on memory that makes its topics.
pub(crate) async fn memory() -> Bus {
    Bus::connect("memory://").await.unwrap().create_topics(true)
}

/// The buses that a test which could differ by backend runs on.
#[cfg_attr(not(any(feature = "kafka", feature = "redis")), allow(unused_mut))]
pub(crate) async fn every_backend() -> Vec<Bus> {
    let mut urls = vec!["memory://".to_owned()];
    #[cfg(any(feature = "kafka", feature = "redis"))]
    let server = |variable: &str| {
        let given = std::env::var(variable).ok().filter(|value| !value.is_empty());
        given.unwrap_or_else(|| panic!("set {variable} or run `cargo xtask test`"))
    };
    #[cfg(feature = "kafka")]
    urls.push(format!("kafka://{}", server("BUS_TEST_KAFKA")));
    // Short leases, so that who takes over from a member that was killed need not wait long.
    #[cfg(feature = "redis")]
    urls.push(format!("{}?ttl=3s", server("BUS_TEST_REDIS")));
    let mut buses = Vec::new();
    for url in urls {
        buses.push(Bus::connect(&url).await.unwrap().create_topics(true));
    }
    buses
}

/// A name that no other test uses.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::now_v7().simple())
}

/// Waits for something that has to happen.
pub(crate) async fn soon<F: Future>(what: &str, event: F) -> F::Output {
    let late = |_| panic!("waited too long for {what}");
    timeout(LIMIT, event).await.unwrap_or_else(late)
}

/// Waits until `done`.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// What handlers have seen, in order.
#[derive(Debug)]
pub(crate) struct Seen<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Seen<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Seen<T> {
    pub(crate) fn push(&self, value: T) {
        self.0.lock().unwrap().push(value);
    }
    pub(crate) fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
    /// Waits until there are so many.
    pub(crate) async fn reach(&self, count: usize) -> Vec<T> {
        until(&format!("{count} of what is seen"), || self.count() >= count).await;
        self.all()
    }
}

/// The first `count` records of a topic.
pub(crate) async fn read(bus: &Bus, topic: &str, count: usize) -> Vec<Record> {
    let topic: Topic<Bytes, Raw> = Topic::named(topic);
    let mut observer = soon("the topic", async {
        loop {
            match bus.observe(&topic).await {
                Err(error) if error.kind() == ErrorKind::TopicMissing => {
                    sleep(Duration::from_millis(20)).await
                }
                observer => return observer.unwrap(),
            }
        }
    })
    .await;
    let mut records = Vec::new();
    while records.len() < count {
        let delivery = soon("a record", observer.next()).await.unwrap().unwrap();
        records.push(delivery.record().clone());
        delivery.ack();
    }
    records
}

/// A header of a record, as text.
pub(crate) fn text<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    record.headers().text(name)
}

/// Warnings of this crate on this thread, as text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    pub(crate) fn listen(&self) -> DefaultGuard {
        listen(self.clone())
    }
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().starts_with("bus::")
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!("{field}={value:?} ");
    }
}
