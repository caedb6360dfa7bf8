//! What happens when something goes wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_brokers::Awake;
use bus_core::{Backend, Error, ErrorKind, Event, Message, Room, Start};
use bus_kafka::{Kafka, KafkaConfig};
use common::*;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listening_is_said_in_time() {
    // Bound and dropped: nobody listens there.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let begun = Awake::begin();
    let config = KafkaConfig::new(&address)
        .connect_timeout(Duration::from_secs(1))
        .set("security.protocol", "sasl_plaintext")
        .set("sasl.mechanism", "PLAIN")
        .set("sasl.username", "me")
        .set("sasl.password", "hunter2");
    let error = Kafka::connect(config).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_transient());
    let text = error.to_string();
    assert!(
        text.contains(&address) && text.contains("kafka") && text.contains("refused"),
        "{text}"
    );
    assert!(!text.contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_options_are_named_before_anything_is_tried() {
    for (option, value) in [
        ("no.such.option", "1"),
        ("fetch.min.bytes", "many"),
        ("enable.auto.commit", "true"),
    ] {
        let error = Kafka::connect(KafkaConfig::new("127.0.0.1:1").set(option, value))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(option), "{error}");
    }
}

/// Runs in a process of its own, started by the tests below: joins, prints what it sees, commits when told to.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    // No child, but one of the tests: nothing to do.
    let Ok(topic) = std::env::var("CHILD_TOPIC") else {
        return;
    };
    let group = std::env::var("CHILD_GROUP").unwrap();
    let session = std::env::var("CHILD_SESSION").unwrap().parse().unwrap();
    let kafka = Kafka::connect(config().session_timeout(Duration::from_secs(session)))
        .await
        .unwrap();
    let (mut subscriber, ack) = kafka
        .subscribe(source(&topic, &group, Start::Earliest))
        .await
        .unwrap();
    let mut events = Vec::new();
    let mut last = None;
    let room = Room {
        messages: 1_000,
        bytes: 1 << 24,
    };
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "child: {line}").unwrap();
        out.flush().unwrap();
    };
    let (asked, mut commits) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if asked.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    loop {
        tokio::select! {
            received = subscriber.receive(room, &mut events) => received.unwrap(),
            _ = commits.recv() => {
                let Some((shard, next)) = last else { continue };
                let result = ack.commit(vec![done(shard, next)]).await.remove(0);
                say(format!("commit {}", result.map_or_else(|e: Error| format!("{:?}", e.kind()), |()| "ok".to_owned())));
            }
        }
        for event in events.drain(..) {
            match event {
                Event::Gained { shard, .. } => say(format!("gained {}", shard.partition)),
                Event::Records { shard, batch, range } => {
                    let next = batch.records()[range.end as usize - 1].position + 1;
                    last = Some((shard, next));
                    say(format!("records {}", range.len()));
                }
                Event::Suspended(shard) => say(format!("suspended {}", shard.partition)),
                Event::Resumed(shard) => say(format!("resumed {}", shard.partition)),
                Event::Lost(shard) => say(format!("lost {}", shard.partition)),
                _ => {}
            }
        }
    }
}

struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Process {
    /// With a session of so many seconds.
    fn start(topic: &str, group: &str, session: u32) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env("CHILD_TOPIC", topic)
            .env("CHILD_GROUP", group)
            .env("CHILD_SESSION", session.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some(at) = line.find("child: ") {
                    let _ = send.send(line[at + 7..].to_owned());
                }
            }
        });
        Self {
            child,
            lines,
            seen: Vec::new(),
        }
    }
    fn until(&mut self, wanted: &str) {
        let deadline = Instant::now() + SOON;
        while !self.seen.iter().any(|l| l.starts_with(wanted)) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(e) => panic!("the child did not say `{wanted}` but {:?}: {e}", self.seen),
            }
        }
    }
    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }
    fn ask_for_commit(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"commit\n").unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_member_is_replaced_within_its_session() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 2).await;
    let group = unique("g");
    publish(
        &kafka,
        &topic,
        (0..10)
            .map(|i| Message::new(format!("{i}")).to_partition(i % 2))
            .collect(),
    )
    .await;
    let mut killed = Process::start(&topic, &group, 6);
    killed.until("records");
    killed.signal("-KILL");
    let begun = Instant::now();
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_owned(2).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    member.until_records(10).await;
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_member_that_wakes_changes_nothing() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 1).await;
    let group = unique("g");
    publish(
        &kafka,
        &topic,
        (0..10).map(|i| Message::new(format!("{i}"))).collect(),
    )
    .await;
    let mut frozen = Process::start(&topic, &group, 6);
    frozen.until("records");
    frozen.signal("-STOP");
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_records(10).await;
    member.commit_all().await;
    publish(
        &kafka,
        &topic,
        (0..5).map(|i| Message::new(format!("later {i}"))).collect(),
    )
    .await;
    member.until_records(15).await;
    member.commit_all().await;

    frozen.ask_for_commit();
    frozen.seen.clear();
    frozen.signal("-CONT");
    frozen.until("suspended 0");
    frozen.until("lost 0");
    frozen.until("commit");
    assert!(
        frozen.seen.iter().any(|l| l == "commit Fenced"),
        "{:?}",
        frozen.seen
    );
    assert!(
        !frozen.seen.iter().any(|l| l.starts_with("records")),
        "{:?}",
        frozen.seen
    );
    drop(frozen);
    member.subscriber.close().await.unwrap();
    assert_eq!(kafka.admin().lag(&group).await.unwrap()[0].position, 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_stopped_for_a_moment_goes_on() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 1).await;
    let group = unique("g");
    publish(&kafka, &topic, vec![Message::new("x")]).await;
    let mut child = Process::start(&topic, &group, 30);
    child.until("records");
    child.signal("-STOP");
    // Stopped for longer than the thread tolerates and shorter than its session: time has to pass here.
    std::thread::sleep(Duration::from_secs(3));
    child.seen.clear();
    child.signal("-CONT");
    child.until("suspended 0");
    child.until("resumed 0");
    publish(&kafka, &topic, vec![Message::new("y")]).await;
    child.until("records 1");
    child.ask_for_commit();
    child.until("commit ok");
    assert!(
        !child.seen.iter().any(|l| l.starts_with("lost")),
        "{:?}",
        child.seen
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_subscriber_leaves_its_group() {
    let kafka = Kafka::connect(config().session_timeout(Duration::from_secs(60)))
        .await
        .unwrap();
    let topic = topic(&kafka, 1).await;
    let group = unique("g");
    let mut first = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    first.until_owned(1).await;
    drop(first);
    let begun = Instant::now();
    let mut second = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    second.until_owned(1).await;
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "sooner than its session: {:?}",
        begun.elapsed()
    );
    second.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_records_are_reported_with_their_range() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 1).await;
    let group = unique("g");
    publish(
        &kafka,
        &topic,
        (0..100).map(|i| Message::new(format!("{i}"))).collect(),
    )
    .await;
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_records(100).await;
    assert!(member.ack.commit(vec![done(member.shard(0), 10)]).await[0].is_ok());
    member.subscriber.close().await.unwrap();
    bus_brokers::delete_records(&brokers(), &topic, [(0, 40)])
        .await
        .unwrap();

    let mut member = Member::join(&kafka, source(&topic, &group, Start::Latest)).await;
    member.until_records(60).await;
    let shard = member.shard(0);
    assert_eq!(member.owned[&0].1, 10);
    assert!(
        member
            .others
            .iter()
            .any(|e| matches!(e, Event::DataLoss { shard: s, from: 10, to: 40 } if *s == shard)),
        "{:?}",
        member.others
    );
    assert_eq!(member.records[0].1.position(), 40);
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_topic_is_reported() {
    let kafka = Kafka::connect(config().metadata_refresh(Duration::from_millis(300)))
        .await
        .unwrap();
    let topic = topic(&kafka, 2).await;
    let mut member = Member::join(&kafka, source(&topic, &unique("g"), Start::Earliest)).await;
    member.until_owned(2).await;
    kafka.admin().delete(&topic).await.unwrap();
    member
        .until("the topic's loss", |m| {
            m.owned.is_empty()
                && m.others
                    .iter()
                    .any(|e| matches!(e, Event::TopicLost(t) if **t == *topic))
        })
        .await;
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_notes_mean_redelivery() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 1).await;
    let group = unique("g");
    publish(
        &kafka,
        &topic,
        (0..10).map(|i| Message::new(format!("{i}"))).collect(),
    )
    .await;
    // Another library's client stores an offset with metadata of its own.
    let consumer: rdkafka::consumer::BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("group.id", &group)
        .create()
        .unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset(&topic, 0, Offset::Offset(4))
        .unwrap();
    offsets.elements()[0].set_metadata("{\"someone\":\"else\"}");
    let committed = tokio::task::spawn_blocking(move || {
        use rdkafka::consumer::{CommitMode, Consumer};
        let deadline = Instant::now() + SOON;
        while consumer.commit(&offsets, CommitMode::Sync).is_err() {
            assert!(Instant::now() < deadline);
        }
    });
    committed.await.unwrap();
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_records(6).await;
    assert_eq!(member.owned[&0].1, 4);
    assert!(member.owned[&0].2.is_empty());
    member.leave().await;
}
