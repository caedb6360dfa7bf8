//! A bus that is switched off: nothing is sent, nothing is read, nothing is opened, and each says so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod logs;

use bus::{
    Bus, ErrorKind, Message, Outcome, Publisher, Raw, Settings, Start, Topic, TopicSpec, settings::Sources,
};
use logs::Logs;
use std::{net::TcpListener, sync::Arc, time::Duration};

const TASKS: Topic<String, Raw> = Topic::new("task-events");

/// Switched off, beside an address at which somebody listens.
fn off(listener: &TcpListener) -> Settings {
    let address = listener.local_addr().unwrap().to_string();
    Sources::new()
        .no_dotenv()
        .environment([("KAFKA_ENABLED", "false"), ("KAFKA_BOOTSTRAP_SERVERS", &*address)])
        .read()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn publishes_are_disabled_and_consumers_do_not_start() {
    let logs = Logs::default();
    let _listening = logs.install();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let bus = Bus::from_settings(&off(&listener)).await.unwrap();
    bus.ensure_topics([TopicSpec::new("task-events")]).await.unwrap();

    let outcome = bus.publish(&TASKS, &"x".to_owned()).key("user-1").await.unwrap();
    assert_eq!(outcome, Outcome::Disabled);
    let skipped = logs.with("skipping publish to task-events");
    assert!(
        skipped.len() == 1 && skipped[0].starts_with("DEBUG"),
        "{skipped:?}"
    );
    // A delayed one too: it waits nowhere.
    let outcome = bus
        .publish(&TASKS, &"x".to_owned())
        .delay(Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(outcome, Outcome::Disabled);
    assert_eq!(logs.with("skipping publish to task-events").len(), 2);
    assert!(logs.with("created").is_empty());
    let outcomes = bus
        .publish_batch("task-events", vec![Message::new("a"), Message::new("b")])
        .await;
    assert!(outcomes.iter().all(|o| matches!(o, Ok(Outcome::Disabled))) && outcomes.len() == 2);
    bus.enqueue("task-events", Message::new("a")).await.unwrap();
    assert_eq!(bus.flush(Duration::from_secs(5)).await.unwrap().messages, 0);
    let held: Arc<dyn Publisher> = Arc::new(bus.clone());
    assert!(matches!(
        held.publish_batch("t", vec![Message::new("a")]).await[..],
        [Ok(Outcome::Disabled)]
    ));

    // Nothing is made for them either, and nobody says so.
    let makes = bus.clone().create_topics(true);
    let outcome = makes.publish(&TASKS, &"x".to_owned()).await.unwrap();
    assert_eq!(outcome, Outcome::Disabled);
    makes.enqueue("task-events", Message::new("a")).await.unwrap();
    assert!(logs.with("made").is_empty());

    let mut audit = bus.subscribe(&TASKS, "audit").await.unwrap();
    let lines = logs.with("consumer not started");
    assert!(lines.len() == 1 && lines[0].starts_with("INFO"), "{lines:?}");
    assert!(
        lines[0].contains("task-events") && lines[0].contains("audit"),
        "{lines:?}"
    );
    // It waits, for longer than anything retries, and ends when it is drained.
    assert!(
        tokio::time::timeout(Duration::from_secs(3600), audit.next())
            .await
            .is_err()
    );
    audit.close().await.unwrap();
    assert_eq!(
        logs.with("consumer not started").len(),
        1,
        "movers of delays are consumers too"
    );

    // A state topic is loaded at once, and a replay of a range is over.
    let state = bus.observe(&TASKS).await.unwrap();
    state.control().caught_up().await.unwrap();
    let mut replay = bus.observe(&TASKS).until(Start::Latest).await.unwrap();
    assert!(replay.next().await.is_none());

    assert!(listener.accept().is_err(), "a socket was opened");
    bus.close().await.unwrap();
    assert_eq!(
        bus.publish(&TASKS, &"x".to_owned())
            .await
            .unwrap_err()
            .error()
            .kind(),
        ErrorKind::Closed
    );
    assert!(
        logs.with("WARN").is_empty() && logs.with("ERROR").is_empty(),
        "{:?}",
        logs.with("")
    );
}

#[tokio::test]
async fn health_and_questions_say_disabled() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bus = Bus::from_settings(&off(&listener)).await.unwrap();
    assert_eq!(bus.health().connection.unwrap_err().kind(), ErrorKind::Disabled);
    assert_eq!(
        bus.admin().group("g").await.unwrap_err().kind(),
        ErrorKind::Disabled
    );
    assert_eq!(
        bus.admin().delete("t").await.unwrap_err().kind(),
        ErrorKind::Disabled
    );
    assert_eq!(bus.backend().name(), "disabled");
}

#[tokio::test]
async fn off_needs_no_address_and_on_is_the_default() {
    let bus = Bus::from_settings(&Settings::new().enabled(false)).await.unwrap();
    assert_eq!(bus.backend().name(), "disabled");
    let bus = Bus::from_settings(&Settings::new().url("memory://"))
        .await
        .unwrap();
    bus.ensure_topics([TopicSpec::new("task-events")]).await.unwrap();
    let outcome = bus.publish(&TASKS, &"x".to_owned()).await.unwrap();
    assert!(matches!(outcome, Outcome::Stored(_)));
    // An error is never mistaken for disabled.
    assert_eq!(
        bus.publish_message("missing", Message::new("a"))
            .await
            .unwrap_err()
            .error()
            .kind(),
        ErrorKind::TopicMissing
    );
}
