//! What the subscriptions and publishes of a bus begin with.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;
mod logs;

use bus::{
    Backend, Bus, Defaults, ErrorKind, Message, Outcome, Publisher, Settings, Start, TopicSpec,
    backend::Memory,
};
use doubles::{Double, Manual, T, idle, soon};
use logs::Logs;
use std::{sync::Arc, time::Duration};

async fn bus(defaults: Defaults) -> bus_core::Bus {
    over(Arc::new(Memory::new()), defaults).await
}

async fn over(backend: Arc<dyn Backend>, defaults: Defaults) -> bus_core::Bus {
    let bus = bus_core::Bus::with_defaults(backend, defaults).await.unwrap();
    bus.ensure_topics([TopicSpec::new("t")]).await.unwrap();
    bus
}

async fn publish(bus: &bus_core::Bus, count: usize) {
    for i in 0..count {
        bus.publish_message("t", Message::new(format!("{i}")).keyed("k"))
            .await
            .unwrap();
    }
}

/// What is stored of a group: its position in the one partition.
async fn stored(bus: &bus_core::Bus, group: &str) -> u128 {
    bus.admin().lag(group).await.unwrap()[0].position
}

#[tokio::test(start_paused = true)]
async fn without_auto_commit_positions_are_stored_on_flush_and_close_alone() {
    let bus = bus(Defaults::default().auto_commit(false)).await;
    publish(&bus, 3).await;
    let mut group = bus.subscribe(&T, "g").await.unwrap();
    soon("one", group.next()).await.unwrap().unwrap().ack();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stored(&bus, "g").await, 0);
    soon("a flush", group.flush()).await.unwrap();
    assert_eq!(stored(&bus, "g").await, 1);
    soon("two", group.next()).await.unwrap().unwrap().ack();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stored(&bus, "g").await, 1);
    soon("a close", group.close()).await.unwrap();
    assert_eq!(stored(&bus, "g").await, 2);
    // A subscription's own word wins.
    let mut group = bus.subscribe(&T, "g").auto_commit(true).await.unwrap();
    soon("three", group.next()).await.unwrap().unwrap().ack();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stored(&bus, "g").await, 3);
    group.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_never_flushes_is_warned() {
    let logs = Logs::default();
    let _listening = logs.install();
    let bus = bus(Defaults::default().auto_commit(false)).await;
    let mut group = bus.subscribe(&T, "g").await.unwrap();
    for _ in 0..34 {
        let batch = (0..1_000).map(|_| Message::new("x")).collect();
        assert!(bus.publish_batch("t", batch).await.iter().all(Result::is_ok));
        for _ in 0..1_000 {
            soon("one", group.next()).await.unwrap().unwrap().ack();
        }
    }
    idle().await;
    let lines = logs.with("call `flush`");
    assert!(lines.len() == 1 && lines[0].starts_with("WARN"), "{lines:?}");
    assert_eq!(stored(&bus, "g").await, 0);
    group.close().await.unwrap();
    assert_eq!(stored(&bus, "g").await, 34_000);
}

#[tokio::test(start_paused = true)]
async fn the_interval_and_the_window_are_those_of_the_defaults() {
    let bus = bus(Defaults::default()
        .commit_every(Duration::from_secs(30))
        .in_flight(2))
    .await;
    publish(&bus, 5).await;
    let mut group = bus.subscribe(&T, "g").order(bus::Order::None).await.unwrap();
    let first = soon("one", group.next()).await.unwrap().unwrap();
    let second = soon("two", group.next()).await.unwrap().unwrap();
    let third = tokio::time::timeout(Duration::from_secs(5), group.next()).await;
    assert!(third.is_err(), "a third one is out");
    first.ack();
    second.ack();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(stored(&bus, "g").await, 0);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(stored(&bus, "g").await >= 2);
    group.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_new_group_begins_where_the_settings_say() {
    for (reset, begins) in [("earliest", Some("0")), ("latest", Some("new")), ("none", None)] {
        let settings = Settings::new()
            .url("memory://")
            .set("kafka_auto_offset_reset", reset);
        let bus = Bus::from_settings(&settings).await.unwrap();
        bus.ensure_topics([TopicSpec::new("t")]).await.unwrap();
        publish(&bus, 1).await;
        let joined = bus.subscribe(&T, "g").await;
        let mut group = match (joined, begins) {
            (Err(error), None) => {
                assert_eq!(error.kind(), ErrorKind::GroupMissing);
                continue;
            }
            (joined, _) => joined.unwrap(),
        };
        idle().await;
        bus.publish_message("t", Message::new("new")).await.unwrap();
        let first = soon("a message", group.next()).await.unwrap().unwrap();
        assert_eq!(Some(&**first), begins);
        first.ack();
        group.close().await.unwrap();
        // An observer is no group: it begins where it always does.
        let mut all = bus.observe(&T).start(Start::Earliest).await.unwrap();
        assert_eq!(&**soon("a message", all.next()).await.unwrap().unwrap(), "0");
    }
}

#[tokio::test(start_paused = true)]
async fn dead_letters_go_where_the_template_says() {
    let settings = Settings::new()
        .url("memory://")
        .set("messaging_dead_letter_topic", "{topic}.{group}.failed");
    let bus = Bus::from_settings(&settings).await.unwrap();
    bus.ensure_topics([TopicSpec::new("t")]).await.unwrap();
    publish(&bus, 1).await;
    let mut group = bus.subscribe(&T, "g").await.unwrap();
    soon("one", group.next()).await.unwrap().unwrap().reject("no");
    soon("a close", group.close()).await.unwrap();
    let mut letters = bus
        .observe(&bus::Topic::<String, bus::Raw>::new("t.g.failed"))
        .await
        .unwrap();
    assert_eq!(
        &**soon("a dead letter", letters.next()).await.unwrap().unwrap(),
        "0"
    );
}

#[tokio::test(start_paused = true)]
async fn fire_and_forget_waits_for_nobody_and_reports_what_failed() {
    let manual = Arc::new(Manual::default());
    let double = Double {
        publisher: Some(manual.clone()),
        ..Double::default()
    };
    let bus = over(Arc::new(double), Defaults::default().fire_and_forget(true)).await;
    // Nobody has answered, and the publish is over; what it became is known to a flush alone.
    let outcome = soon("an outcome", async {
        bus.publish_message("t", Message::new("a")).await
    })
    .await
    .unwrap();
    assert_eq!(outcome, Outcome::Enqueued);
    assert!(
        bus.flush(Duration::from_secs(5)).await.is_err(),
        "a flush waits for the answer"
    );
    manual.answer(0, false);
    let unconfirmed = bus.flush(Duration::from_secs(5)).await.unwrap();
    assert_eq!(unconfirmed.messages, 1);
    assert_eq!(bus.flush(Duration::from_secs(5)).await.unwrap().messages, 0);

    // So much may be under way; then a publish waits.
    let batch = |n: usize| (0..n).map(|_| Message::new("x")).collect::<Vec<_>>();
    let first = soon("an outcome", Publisher::publish_batch(&bus, "t", batch(8_192))).await;
    assert!(matches!(first[0], Ok(Outcome::Enqueued)));
    let mut next = Box::pin(Publisher::publish_batch(&bus, "t", batch(1)));
    assert!(
        tokio::time::timeout(Duration::from_secs(5), &mut next)
            .await
            .is_err(),
        "there was no room"
    );
    manual.answer(1, true);
    assert!(matches!(soon("room", next).await[..], [Ok(Outcome::Enqueued)]));
    manual.answer(2, true);
    assert_eq!(bus.flush(Duration::from_secs(5)).await.unwrap().messages, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_at_once_is_told_also_by_fire_and_forget() {
    let settings = Settings::new()
        .url("memory://")
        .set("kafka_fire_and_forget", true);
    let bus = Bus::from_settings(&settings).await.unwrap();
    bus.ensure_topics([TopicSpec::new("t")]).await.unwrap();
    let outcome = bus.publish_message("t", Message::new("a")).await.unwrap();
    assert!(matches!(outcome, Outcome::Stored(_) | Outcome::Enqueued));
    bus.close().await.unwrap();
    assert_eq!(
        bus.publish_message("t", Message::new("a"))
            .await
            .unwrap_err()
            .error()
            .kind(),
        ErrorKind::Closed
    );
}

/// A replay is no subscription of the application's: it begins at the first dead letter and stores what it does.
#[tokio::test(start_paused = true)]
async fn a_replay_takes_nothing_over_but_where_dead_letters_lie() {
    const LETTERS: usize = 300;
    let defaults = Defaults::default()
        .start(Start::Latest)
        .auto_commit(false)
        .dead_letter("{topic}.{group}.failed");
    let bus = bus(defaults).await;
    let mut group = bus.subscribe(&T, "g").await.unwrap();
    publish(&bus, LETTERS).await;
    for _ in 0..LETTERS {
        soon("one", group.next()).await.unwrap().unwrap().reject("no");
    }
    soon("a flush", group.flush()).await.unwrap();
    let replayed = bus.dead_letters("t", "g").replay().await.unwrap();
    assert_eq!(replayed.replayed, LETTERS as u64, "{replayed:?}");
    for _ in 0..LETTERS {
        soon("one again", group.next()).await.unwrap().unwrap().ack();
    }
    assert!(
        bus.dead_letters("t", "g")
            .read()
            .await
            .unwrap()
            .next()
            .await
            .is_none()
    );
    group.close().await.unwrap();
}
