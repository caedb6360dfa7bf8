//! What the tests share: the broker's address, unique names, deadlines on events.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

pub(crate) mod chain;
pub(crate) mod lab;
pub(crate) mod lines;

use bus_core::{
    Ack, Backend, Batch, Bytes, Done, Error, Event, Message, Name, Outcome, Record, Room, Scope, Shard,
    Source, Start, Subscriber, TopicSpec,
};
use bus_kafka::{Kafka, KafkaConfig};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) fn brokers() -> String {
    std::env::var("BUS_TEST_KAFKA").expect("set BUS_TEST_KAFKA or run `cargo xtask test`")
}

/// Brokers put out whoever is silent for so long. It is more than a machine stands still; who tests what comes of it sets
/// a shorter one.
pub(crate) const SESSION: Duration = Duration::from_secs(20);

pub(crate) fn config() -> KafkaConfig {
    KafkaConfig::new(brokers()).session_timeout(SESSION)
}

/// Logs to standard error what `RUST_LOG` asks for.
pub(crate) fn log() {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .try_init();
}

pub(crate) async fn kafka() -> Kafka {
    log();
    Kafka::connect(config())
        .await
        .expect("the broker of BUS_TEST_KAFKA")
}

/// A name that no other test and no other run has.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    format!(
        "{what}-{:x}-{}-{}",
        now.as_nanos(),
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

pub(crate) async fn topic(kafka: &Kafka, partitions: u32) -> String {
    let name = unique("t");
    kafka
        .admin()
        .create(&[TopicSpec::new(name.as_str()).partitions(partitions)])
        .await
        .unwrap();
    name
}

pub(crate) fn source(topic: &str, group: &str, start: Start) -> Source {
    Source {
        topics: vec![Name::from(topic)],
        scope: Scope::Group(Name::from(group)),
        start,
        exactly_once: false,
    }
}

/// Outputs and positions together.
pub(crate) fn exactly_once(topic: &str, group: &str) -> Source {
    Source {
        exactly_once: true,
        ..source(topic, group, Start::Earliest)
    }
}

pub(crate) fn everyone(topic: &str, partitions: Option<Vec<u32>>, start: Start) -> Source {
    Source {
        topics: vec![Name::from(topic)],
        scope: Scope::Everyone { partitions },
        start,
        exactly_once: false,
    }
}

pub(crate) async fn publish(kafka: &Kafka, topic: &str, messages: Vec<Message>) -> Vec<Outcome> {
    let publisher = kafka.publisher().await.unwrap();
    let outcomes = publisher.publish_batch(topic, messages).await;
    outcomes.into_iter().map(|o| o.unwrap()).collect()
}

/// Messages that say their number, with 40 keys, round the partitions.
pub(crate) fn numbered(count: usize, partitions: u32) -> Vec<Message> {
    let message = |i: usize| Message::new(format!("{i}")).keyed(format!("{}", i % 40));
    (0..count)
        .map(|i| message(i).to_partition(i as u32 % partitions))
        .collect()
}

pub(crate) fn done(shard: Shard, next: u128) -> Done {
    Done {
        shard,
        next,
        notes: Bytes::new(),
        outputs: Vec::new(),
    }
}

/// The same with outputs, each to its topic.
pub(crate) fn done_with(shard: Shard, next: u128, outputs: Vec<(&str, Message)>) -> Done {
    Done {
        outputs: outputs.into_iter().map(|(t, m)| (Name::from(t), m)).collect(),
        ..done(shard, next)
    }
}

/// Payloads that a reader of committed records finds in a topic, up to its end.
pub(crate) async fn contents(kafka: &Kafka, topic: &str) -> Vec<String> {
    let ends = kafka.admin().positions(topic, Start::Latest).await.unwrap();
    let mut reader = Member::join(kafka, everyone(topic, None, Start::Earliest)).await;
    reader
        .until("the end of the topic", |m| m.caught_up.len() == ends.len())
        .await;
    let payloads = reader.payloads();
    reader.subscriber.close().await.unwrap();
    payloads
}

/// Readers see a transaction as soon as its markers are written, which is shortly after its commit was confirmed.
pub(crate) async fn until_contents(kafka: &Kafka, topic: &str, expected: &[&str]) {
    let deadline = Instant::now() + SOON;
    loop {
        let found = contents(kafka, topic).await;
        if found == expected {
            return;
        }
        assert!(
            Instant::now() < deadline && found.len() <= expected.len(),
            "expected {expected:?}, found {found:?}"
        );
    }
}

pub(crate) async fn lag(kafka: &Kafka, group: &str) -> Vec<bus_core::TopicLag> {
    kafka.admin().lag(group).await.unwrap()
}

/// Changes a topic's setting, as an administrator would.
pub(crate) async fn alter(topic: &str, setting: &str, value: &str) {
    alter_at(&brokers(), topic, setting, value).await;
}

/// The same on another broker.
pub(crate) async fn alter_at(brokers: &str, topic: &str, setting: &str, value: &str) {
    use rdkafka::{
        ClientConfig,
        admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
        client::DefaultClientContext,
    };
    let client: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .unwrap();
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(setting, value);
    let results = client
        .alter_configs([&change], &AdminOptions::new())
        .await
        .unwrap();
    results.into_iter().for_each(|r| assert!(r.is_ok(), "{r:?}"));
}

/// What a group has stored in partition 0, and how far that is from the end.
pub(crate) async fn stored(kafka: &Kafka, group: &str) -> (u128, u64) {
    let lag = lag(kafka, group).await;
    (lag[0].position, lag[0].behind)
}

/// A subscription with what it has seen.
pub(crate) struct Member {
    pub(crate) subscriber: Box<dyn Subscriber>,
    pub(crate) ack: Arc<dyn Ack>,
    /// What is owned, by partition, and where it began.
    pub(crate) owned: BTreeMap<u32, (Shard, u128, Bytes)>,
    pub(crate) losing: Vec<Shard>,
    pub(crate) lost: Vec<Shard>,
    pub(crate) records: Vec<(Shard, Record)>,
    pub(crate) caught_up: Vec<Shard>,
    pub(crate) others: Vec<Event>,
    pub(crate) room: Room,
}

impl Member {
    pub(crate) async fn join(kafka: &Kafka, source: Source) -> Self {
        let (subscriber, ack) = kafka.subscribe(source).await.unwrap();
        Self {
            subscriber,
            ack,
            owned: BTreeMap::new(),
            losing: Vec::new(),
            lost: Vec::new(),
            records: Vec::new(),
            caught_up: Vec::new(),
            others: Vec::new(),
            room: Room {
                messages: 1_000,
                bytes: 1 << 24,
            },
        }
    }

    /// Takes what one call to `receive` brings, within `wait`. Whether anything came.
    pub(crate) async fn step(&mut self, wait: Duration) -> bool {
        let mut events = Vec::new();
        match tokio::time::timeout(wait, self.subscriber.receive(self.room, &mut events)).await {
            Err(_) => return false,
            Ok(result) => result.unwrap(),
        }
        assert!(!events.is_empty(), "receive returned with nothing");
        let records: usize = events
            .iter()
            .map(|e| match e {
                Event::Records { range, .. } => range.len(),
                _ => 0,
            })
            .sum();
        assert!(
            records <= self.room.messages,
            "{records} records for a room of {}",
            self.room.messages
        );
        for event in events {
            self.take(event);
        }
        true
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Gained {
                shard, next, notes, ..
            } => {
                let before = self.owned.insert(shard.partition, (shard, next, notes));
                assert!(before.is_none(), "gained twice: {shard:?}");
            }
            Event::Records { shard, batch, range } => {
                assert_eq!(
                    self.owned[&shard.partition].0, shard,
                    "records of an epoch that is not owned"
                );
                assert!(!self.losing.contains(&shard), "records after losing");
                for i in range {
                    self.records.push((shard, Record::new(batch.clone(), i)));
                }
                let _: &Batch = &batch;
            }
            Event::Losing { shard, .. } => self.losing.push(shard),
            Event::Lost(shard) => {
                self.owned.remove(&shard.partition);
                self.lost.push(shard);
            }
            Event::CaughtUp(shard) => self.caught_up.push(shard),
            other => self.others.push(other),
        }
    }

    /// Receives until `enough`, or fails after [`SOON`] saying `what` did not happen.
    pub(crate) async fn until(&mut self, what: &str, enough: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + SOON;
        while !enough(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && self.step(left).await || enough(self),
                "not in time: {what}; owned {:?}, {} records, losing {:?}, lost {:?}, others {:?}",
                self.owned.keys(),
                self.records.len(),
                self.losing,
                self.lost,
                self.others
            );
        }
    }

    /// The error that ends the subscription, within [`SOON`].
    pub(crate) async fn ends(&mut self) -> Error {
        let ends = async {
            loop {
                if let Err(error) = self.subscriber.receive(self.room, &mut Vec::new()).await {
                    break error;
                }
            }
        };
        tokio::time::timeout(SOON, ends)
            .await
            .expect("it goes on in silence")
    }
    pub(crate) async fn until_owned(&mut self, partitions: usize) {
        self.until(&format!("owning {partitions} partitions"), |m| {
            m.owned.len() == partitions
        })
        .await;
    }
    pub(crate) async fn until_records(&mut self, count: usize) {
        self.until(&format!("receiving {count} records"), |m| {
            m.records.len() >= count
        })
        .await;
    }
    pub(crate) fn shard(&self, partition: u32) -> Shard {
        self.owned[&partition].0
    }
    pub(crate) fn payloads(&self) -> Vec<String> {
        self.records
            .iter()
            .map(|(_, r)| String::from_utf8_lossy(r.payload().unwrap_or_default()).into_owned())
            .collect()
    }

    /// Commits everything received, each partition behind its last record.
    pub(crate) async fn commit_all(&self) {
        let mut next: BTreeMap<Shard, u128> = BTreeMap::new();
        for (shard, record) in &self.records {
            if self.owned.get(&shard.partition).is_some_and(|(s, ..)| s == shard) {
                next.insert(*shard, record.position() + 1);
            }
        }
        let dones: Vec<Done> = next.into_iter().map(|(shard, next)| done(shard, next)).collect();
        for result in self.ack.commit(dones).await {
            result.unwrap();
        }
    }

    /// As core does when it drains: commit, release each, close.
    pub(crate) async fn leave(mut self) {
        self.commit_all().await;
        let shards: Vec<Shard> = self.owned.values().map(|(s, ..)| *s).collect();
        for shard in shards {
            self.ack.release(shard).await.unwrap();
        }
        self.subscriber.close().await.unwrap();
    }
}
