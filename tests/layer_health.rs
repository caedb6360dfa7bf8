//! What is known without asking: connected, failing, owning, last successes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use bus::{
    Backend, Bus, ErrorKind, Event, Message, Raw, Topic, TopicSpec,
    backend::Memory,
    layer::{Failing, Faults, Health, Plan},
};
use doubles::{Double, idle, soon};
use std::{sync::Arc, time::Duration};

const T: Topic<String, Raw> = Topic::new("t");
const SECOND: Duration = Duration::from_secs(1);

async fn bus(inner: Arc<dyn Backend>) -> (Bus, Health) {
    let health = Health::new(inner);
    let bus = Bus::new(Arc::new(health.clone())).await.unwrap();
    bus.ensure_topics([TopicSpec::new("t").partitions(2)])
        .await
        .unwrap();
    (bus, health)
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_seen_with_its_reason_and_its_end() {
    let faults = Faults::new(Arc::new(Memory::new()), Plan::none());
    let (bus, health) = bus(Arc::new(faults.clone())).await;
    let before = health.report();
    assert!(before.connected && before.last_error.is_none() && before.failing.is_empty());
    assert_eq!((before.last_publish, before.last_commit), (None, None));

    faults.down(SECOND);
    for _ in 0..3 {
        bus.publish_message("t", Message::new("a")).await.unwrap_err();
    }
    assert!(bus.admin().topics().await.is_err());
    let during = health.report();
    assert!(!during.connected && during.since >= before.since);
    let error = during.last_error.unwrap();
    assert_eq!(
        (error.operation, error.error.kind()),
        ("list_topics", ErrorKind::Unavailable)
    );
    let mut failing: Vec<_> = during
        .failing
        .iter()
        .map(|f: &Failing| (f.operation, f.times))
        .collect();
    failing.sort_unstable();
    assert_eq!(failing, [("list_topics", 1), ("publish", 3)]);

    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(
        health.health().unwrap_err(),
        ErrorKind::Unavailable,
        "nobody has answered yet"
    );
    bus.publish_message("t", Message::new("a")).await.unwrap();
    let after = health.report();
    assert!(after.connected && health.health().is_ok());
    assert!(after.since > during.since && after.last_publish.is_some());
    assert_eq!(
        after.failing.len(),
        1,
        "topics were not listed since: {:?}",
        after.failing
    );
    assert!(after.last_error.is_some(), "what happened is still told");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_answer() {
    let (bus, health) = bus(Arc::new(Memory::new())).await;
    bus.publish_message("missing", Message::new("a"))
        .await
        .unwrap_err();
    let report = health.report();
    assert!(report.connected);
    assert_eq!(report.last_error.unwrap().error, ErrorKind::TopicMissing);
    assert_eq!(
        (report.failing[0].operation, report.failing[0].times),
        ("publish", 1)
    );
}

#[tokio::test(start_paused = true)]
async fn subscriptions_and_what_they_own_are_shown_while_they_live() {
    let double = Double::default();
    let fault = double.fault.clone();
    let (bus, health) = bus(Arc::new(double)).await;
    bus.publish_message("t", Message::new("a")).await.unwrap();
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    soon("a delivery", subscription.next())
        .await
        .unwrap()
        .unwrap()
        .ack();
    soon("a flush", subscription.flush()).await.unwrap();
    let report = health.report();
    assert!(report.last_commit.is_some());
    let [member] = &report.subscriptions[..] else {
        panic!("{report:?}")
    };
    assert_eq!((member.group.as_deref(), &*member.topics[0]), (Some("g"), "t"));
    let owned: Vec<_> = member
        .owned
        .iter()
        .map(|(topic, partition)| (&**topic, *partition))
        .collect();
    assert_eq!(owned, [("t", 0), ("t", 1)]);
    assert!(member.suspended.is_empty());

    let first = fault.gained()[0];
    fault.event(Event::Suspended(first));
    idle().await;
    assert_eq!(
        health.report().subscriptions[0].suspended,
        [("t".into(), first.partition)]
    );
    fault.event(Event::Lost(first));
    idle().await;
    let left = &health.report().subscriptions[0];
    assert_eq!((left.owned.len(), left.suspended.len()), (1, 0));

    let observer = bus.observe(&T).await.unwrap();
    idle().await;
    let report = health.report();
    assert_eq!(report.subscriptions.len(), 2);
    assert!(report.subscriptions.iter().any(|member| member.group.is_none()));
    observer.close().await.unwrap();
    subscription.close().await.unwrap();
    idle().await;
    assert!(health.report().subscriptions.is_empty());
}
