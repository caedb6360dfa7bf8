//! Rights on Kafka that are not there, or not any more: each is an error that names what to allow.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kafka_secured;

use bus::{Bus, Error, ErrorKind, Raw, Subscription, TopicSpec};
use bus_brokers::{
    KafkaOperation::{self, Describe, Read, Write},
    KafkaResource::{self, Group, Topic, Transactions},
};
use kafka_secured::{AT_ONCE, Secured, Text, overheard, publish, server, unique};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

struct Desk {
    server: Arc<Secured>,
    master: Bus,
    worker: Bus,
    topic: Text,
    group: String,
}

impl Desk {
    /// A topic, and a worker that may do nothing but keep its dead letters.
    async fn new(name: &str) -> Self {
        let server = tokio::task::spawn_blocking(server).await.unwrap();
        let (topic, group) = (Text::named(unique(name)), unique("group"));
        let master = server.login(&server.master).connect().await.unwrap();
        let letters = format!("{}.{group}.dlq", topic.name());
        let topics = [TopicSpec::new(topic.name()), TopicSpec::new(&*letters)];
        master.ensure_topics(topics).await.unwrap();
        server.kafka.allow("worker", Write, Topic(&letters)).unwrap();
        let worker = server.login(&server.worker).connect().await.unwrap();
        Self {
            server,
            master,
            worker,
            topic,
            group,
        }
    }
    fn allow(&self, operation: KafkaOperation, on: KafkaResource<'_>) {
        self.server.kafka.allow("worker", operation, on).unwrap();
    }
    fn take_back(&self, operation: KafkaOperation, on: KafkaResource<'_>) {
        self.server.kafka.take_back("worker", operation, on).unwrap();
    }
    fn may_read(&self) {
        self.allow(Read, Topic(self.topic.name()));
        self.allow(Read, Group(&self.group));
    }
    async fn subscribe(&self) -> bus::Result<Subscription<String, Raw>> {
        self.worker.subscribe(&self.topic, &self.group).await
    }
    async fn close(self) {
        self.worker.close().await.unwrap();
        self.master.close().await.unwrap();
        overheard::search();
    }
}

/// A `Denied` with all these words, whenever it began.
fn denied(begun: Instant, error: &Error, words: &[&str]) {
    overheard::show_error(error);
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(!error.is_transient(), "{error}");
    assert!(begun.elapsed() < AT_ONCE, "{:?}: {error}", begun.elapsed());
    for word in words {
        assert!(error.to_string().contains(word), "`{word}` is not in {error}");
    }
}

/// What a subscription ends with; deliveries before that are left alone.
async fn end(reader: &mut Subscription<String, Raw>) -> Error {
    let ended = async {
        loop {
            match reader.next().await {
                Some(Err(error)) => return error,
                Some(Ok(delivery)) => drop(delivery),
                None => panic!("it ended without a word"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("an end")
}

/// Rights are heeded a moment after they are given.
async fn until_published(desk: &Desk, text: &str) {
    let until = Instant::now() + PATIENCE;
    while let Err(error) = publish(&desk.worker, &desk.topic, text).await {
        assert!(Instant::now() < until, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_needs_write() {
    let desk = Desk::new("write").await;
    for allowed in [None, Some(Describe)] {
        if let Some(operation) = allowed {
            desk.allow(operation, Topic(desk.topic.name()));
        }
        let begun = Instant::now();
        let error = publish(&desk.worker, &desk.topic, "x").await.unwrap_err();
        denied(
            begun,
            &error,
            &["publishing", desk.topic.name(), "`Write` on this topic"],
        );
    }
    desk.allow(Write, Topic(desk.topic.name()));
    until_published(&desk, "y").await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_needs_describe_and_read_of_the_topic() {
    let desk = Desk::new("read").await;
    desk.allow(Read, Group(&desk.group));
    let begun = Instant::now();
    let error = desk.subscribe().await.unwrap_err();
    denied(begun, &error, &[desk.topic.name(), "`Describe` on this topic"]);

    desk.allow(Describe, Topic(desk.topic.name()));
    publish(&desk.master, &desk.topic, "x").await.unwrap();
    let mut reader = until_subscribed(&desk).await;
    let begun = Instant::now();
    let error = end(&mut reader).await;
    denied(begun, &error, &[desk.topic.name(), "`Read` on this topic"]);
    let _ = reader.close().await;
    desk.close().await;
}

async fn until_subscribed(desk: &Desk) -> Subscription<String, Raw> {
    let until = Instant::now() + PATIENCE;
    loop {
        match desk.subscribe().await {
            Ok(reader) => return reader,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_needs_read_of_the_group() {
    let desk = Desk::new("group").await;
    desk.allow(Read, Topic(desk.topic.name()));
    let mut reader = until_subscribed(&desk).await;
    let begun = Instant::now();
    let error = end(&mut reader).await;
    denied(begun, &error, &[&desk.group, "`Read` on this group"]);
    let _ = reader.close().await;
    let begun = Instant::now();
    let error = desk.worker.admin().group(&desk.group).await.unwrap_err();
    denied(begun, &error, &[&desk.group, "`Describe` on this group"]);
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn making_topics_needs_create() {
    let desk = Desk::new("create").await;
    let name = unique("not-made");
    let begun = Instant::now();
    let error = desk
        .worker
        .admin()
        .create(&[TopicSpec::new(&*name)])
        .await
        .unwrap_err();
    denied(begun, &error, &["creating", &name, "`Create` on this topic"]);
    let begun = Instant::now();
    let error = desk.worker.admin().delete(desk.topic.name()).await.unwrap_err();
    denied(
        begun,
        &error,
        &["deleting", desk.topic.name(), "`Delete` on this topic"],
    );
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_once_needs_its_transactional_ids() {
    let desk = Desk::new("exactly-once").await;
    desk.may_read();
    until_subscribed(&desk).await.close().await.unwrap();
    let begun = Instant::now();
    let subscribed = desk
        .worker
        .subscribe(&desk.topic, &desk.group)
        .exactly_once()
        .await;
    denied(
        begun,
        &subscribed.unwrap_err(),
        &[&desk.group, "transactional ids", "`Write`"],
    );
    desk.allow(Write, Transactions(&format!("bus.{}.", desk.group)));
    let until = Instant::now() + PATIENCE;
    let reader = loop {
        match desk
            .worker
            .subscribe(&desk.topic, &desk.group)
            .exactly_once()
            .await
        {
            Ok(reader) => break reader,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    reader.close().await.unwrap();
    desk.close().await;
}

/// Takes so many, acknowledges each, and says what they were.
async fn take(reader: &mut Subscription<String, Raw>, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let next = tokio::time::timeout(PATIENCE, reader.next()).await;
        let delivery = next.unwrap().unwrap().unwrap();
        seen.push(delivery.to_string());
        delivery.ack();
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_away_ends_the_publishes() {
    let desk = Desk::new("taken-write").await;
    desk.allow(Write, Topic(desk.topic.name()));
    until_published(&desk, "first").await;
    desk.take_back(Write, Topic(desk.topic.name()));
    let (begun, mut stored) = (Instant::now(), vec!["first".to_owned()]);
    let error = loop {
        let text = format!("message {}", stored.len());
        match publish(&desk.worker, &desk.topic, &text).await {
            Ok(()) => stored.push(text),
            Err(error) => break error,
        }
    };
    denied(begun, &error, &["`Write` on this topic"]);
    // The same bus goes on when the right is back, and what it was told is stored is there, once.
    desk.allow(Write, Topic(desk.topic.name()));
    until_published(&desk, "last").await;
    stored.push("last".to_owned());
    let mut reader = desk.master.subscribe(&desk.topic, "everything").await.unwrap();
    assert_eq!(take(&mut reader, stored.len()).await, stored);
    reader.close().await.unwrap();
    desk.close().await;
}

/// Whichever right it is, the subscription ends with it, and another one later gets everything.
async fn taken_away(name: &str, right: impl Fn(&Desk) -> KafkaResource<'_>, words: &[&str]) {
    let desk = Desk::new(name).await;
    desk.may_read();
    let texts: Vec<_> = (0..20).map(|n| format!("message {n}")).collect();
    for text in &texts[..10] {
        publish(&desk.master, &desk.topic, text).await.unwrap();
    }
    let mut reader = until_subscribed(&desk).await;
    let mut seen: BTreeSet<_> = take(&mut reader, 5).await.into_iter().collect();
    desk.take_back(Read, right(&desk));
    for text in &texts[10..] {
        publish(&desk.master, &desk.topic, text).await.unwrap();
    }
    let begun = Instant::now();
    let error = end(&mut reader).await;
    denied(begun, &error, words);
    let _ = reader.close().await;
    desk.may_read();
    let mut reader = until_subscribed(&desk).await;
    let until = Instant::now() + PATIENCE;
    while seen.len() < texts.len() {
        assert!(Instant::now() < until, "{seen:?}");
        seen.extend(take(&mut reader, 1).await);
    }
    reader.close().await.unwrap();
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_taken_away_ends_the_subscription() {
    taken_away(
        "taken-read",
        |desk| Topic(desk.topic.name()),
        &["`Read` on this topic"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_taken_away_ends_the_subscription() {
    taken_away(
        "taken-group",
        |desk| Group(&desk.group),
        &["`Read` on this group"],
    )
    .await;
}
