//! What is counted, read through the debugging recorder of `metrics-util`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use bus::{
    Bus, Message, Raw, Retry, Topic, TopicSpec,
    backend::Memory,
    layer::{Fault, Faults, Plan},
};
use bus_core::layer::Metrics;
use doubles::soon;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

const T: Topic<String, Raw> = Topic::new("t");

/// Every value at the last look, under `name{label=value,…}` with the labels sorted; a histogram's count and sum.
struct Reader {
    snapshotter: Snapshotter,
    values: BTreeMap<String, (u64, f64)>,
}

/// What is set, and not counted up and down.
const SET: [&str; 4] = [
    "bus_in_flight_messages",
    "bus_in_flight_bytes",
    "bus_unstored_messages",
    "bus_handling_slowest_seconds",
];

impl Reader {
    /// A look empties the recorder, so what is counted is added up here.
    fn look(&mut self) -> &mut Self {
        for (key, _, _, value) in self.snapshotter.snapshot().into_vec() {
            let key = key.key();
            let mut labels: Vec<_> = key
                .labels()
                .map(|l| format!("{}={}", l.key(), l.value()))
                .collect();
            labels.sort();
            let name = format!("{}{{{}}}", key.name(), labels.join(","));
            let (count, sum) = self.values.entry(name).or_default();
            match value {
                DebugValue::Counter(more) => *count += more,
                DebugValue::Gauge(gauge) if SET.contains(&key.name()) => *sum = gauge.into_inner(),
                DebugValue::Gauge(gauge) => *sum += gauge.into_inner(),
                DebugValue::Histogram(values) => {
                    *count += values.len() as u64;
                    *sum += values.into_iter().map(|value| value.into_inner()).sum::<f64>();
                }
            }
        }
        self
    }
    fn count(&self, name: &str) -> u64 {
        self.value(name).0
    }
    fn gauge(&self, name: &str) -> f64 {
        self.value(name).1
    }
    fn value(&self, name: &str) -> (u64, f64) {
        let found = self.values.get(name);
        *found.unwrap_or_else(|| panic!("there is no {name} in {:#?}", self.values))
    }
}

/// A bus whose layers all count into a recorder of this thread.
async fn bus() -> (Bus, Metrics, Faults, Reader) {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    // The runtime of these tests has one thread, and the recorder lives as long as its process.
    std::mem::forget(metrics::set_default_local_recorder(Box::leak(Box::new(recorder))));
    let faults = Faults::new(Arc::new(Memory::new()), Plan::none());
    let metrics = Metrics::new(Arc::new(faults.clone()));
    let bus = Bus::new(Arc::new(metrics.clone())).await.unwrap();
    bus.ensure_topics([TopicSpec::new("t").partitions(2)])
        .await
        .unwrap();
    let values = BTreeMap::new();
    (bus, metrics, faults, Reader { snapshotter, values })
}

fn message(payload: &str) -> Message {
    Message::new(payload.to_owned()).keyed("k")
}

#[tokio::test(start_paused = true)]
async fn publishing_is_counted_by_outcome() {
    let (bus, _, faults, mut read) = bus().await;
    let batch = vec![message("abc"), message("d").to_partition(9)];
    bus.publish_batch("t", batch).await;
    faults.next(Fault::LostReply);
    bus.publish_message("t", message("e")).await.unwrap_err();
    faults.next(Fault::Slow(Duration::from_secs(2)));
    let slow = bus.publish_batch("t", vec![message("f")]);
    assert_eq!(read.look().gauge("bus_publishing_messages{system=memory}"), 1.0);
    slow.await.pop().unwrap().unwrap();
    assert_eq!(read.look().gauge("bus_publishing_messages{system=memory}"), 0.0);
    for (outcome, count) in [("stored", 2), ("not_stored", 1), ("unknown", 1), ("abandoned", 0)] {
        let name = format!("bus_published_messages_total{{outcome={outcome},system=memory,topic=t}}");
        assert_eq!(read.count(&name), count, "{outcome}");
    }
    assert_eq!(
        read.count("bus_published_bytes_total{system=memory,topic=t}"),
        4 + 2 + 2 + 2
    );
    let (batches, seconds) = read.value("bus_publish_seconds{system=memory,topic=t}");
    assert!(
        batches == 3 && (2.0..2.1).contains(&seconds),
        "{batches} {seconds}"
    );
    let errors = |kind| format!("bus_errors_total{{kind={kind},operation=publish,system=memory}}");
    assert_eq!(
        (read.count(&errors("invalid")), read.count(&errors("timeout"))),
        (1, 1)
    );

    let publisher = bus.backend().publisher().await.unwrap();
    faults.next(Fault::Slow(Duration::from_secs(2)));
    drop(publisher.publish_batch("t", vec![message("g")]));
    read.look();
    let abandoned = "bus_published_messages_total{outcome=abandoned,system=memory,topic=t}";
    assert_eq!(
        (
            read.count(abandoned),
            read.gauge("bus_publishing_messages{system=memory}")
        ),
        (1, 0.0)
    );
}

#[tokio::test(start_paused = true)]
async fn consuming_is_counted_from_the_record_to_the_commit() {
    let (bus, metrics, faults, mut read) = bus().await;
    for n in 0..10 {
        bus.publish_message("t", message(&n.to_string())).await.unwrap();
    }
    faults.next(Fault::LostCommit);
    let retry = Retry::fixed(Duration::from_millis(10)).max_retries(1);
    let subscription = bus.subscribe(&T, "g").retry(retry).await.unwrap();
    let control = subscription.control();
    metrics.watch("billing", control.clone());
    let running = tokio::spawn(subscription.for_each(1, |delivery| async move {
        sleep(Duration::from_millis(20)).await;
        match (delivery.value().as_str(), delivery.attempt()) {
            ("3", 1) => delivery.nack(),
            ("5", _) => delivery.reject("no"),
            _ => delivery.ack(),
        }
    }));
    let deadline = Instant::now() + Duration::from_secs(20);
    while control.stats().acked < 9 {
        assert!(Instant::now() < deadline, "{:?}", control.stats());
        sleep(Duration::from_millis(50)).await;
    }
    let owned = "bus_partitions_owned{group=g,system=memory,topic=t}";
    assert_eq!(read.look().gauge(owned), 2.0);
    control.drain(Duration::from_secs(5)).await.unwrap();
    soon("the handlers", running).await.unwrap().unwrap();
    metrics.refresh();
    read.look();

    let of_group = |name: &str| format!("{name}{{group=g,system=memory,topic=t}}");
    assert_eq!(read.count(&of_group("bus_received_messages_total")), 10);
    assert_eq!(read.count(&of_group("bus_received_bytes_total")), 20);
    assert_eq!(read.count(&of_group("bus_partitions_gained_total")), 2);
    assert_eq!(read.count(&of_group("bus_outputs_total")), 1, "the dead letter");
    assert_eq!(read.gauge(owned), 0.0, "nothing is owned after the close");
    let commits = |result| format!("bus_commits_total{{group=g,result={result},system=memory,topic=t}}");
    assert_eq!(
        (read.count(&commits("transient")), read.count(&commits("failed"))),
        (1, 0)
    );
    let stored = read.count(&commits("stored"));
    let (calls, _) = read.value("bus_commit_seconds{group=g,system=memory}");
    assert!(stored >= 1 && calls == stored + 1, "{stored} {calls}");

    let settled = |verdict| {
        format!("bus_settled_messages_total{{subscription=billing,system=memory,verdict={verdict}}}")
    };
    for (verdict, count) in [
        ("acked", 9),
        ("retried", 1),
        ("rejected", 1),
        ("exhausted", 0),
        ("late", 0),
    ] {
        assert_eq!(read.count(&settled(verdict)), count, "{verdict}");
    }
    let of = |name: &str| format!("{name}{{subscription=billing,system=memory}}");
    assert_eq!(read.count(&of("bus_delivered_messages_total")), 11);
    assert_eq!(read.count(&of("bus_handled_messages_total")), 11);
    assert_eq!(read.count(&of("bus_handling_microseconds_total")), 11 * 20_000);
    assert_eq!(read.gauge(&of("bus_handling_slowest_seconds")), 0.02);
    assert_eq!(read.gauge(&of("bus_in_flight_messages")), 0.0);
}

#[tokio::test(start_paused = true)]
async fn lost_partitions_and_fenced_commits_are_counted() {
    let (bus, _, faults, mut read) = bus().await;
    faults.next(Fault::FencedCommit);
    bus.publish_message("t", message("a")).await.unwrap();
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    for _ in 0..2 {
        soon("a delivery", subscription.next())
            .await
            .unwrap()
            .unwrap()
            .ack();
        let _ = soon("a flush", subscription.flush()).await;
    }
    read.look();
    let of_group = |name: &str| format!("{name}{{group=g,system=memory,topic=t}}");
    assert_eq!(
        read.count("bus_commits_total{group=g,result=fenced,system=memory,topic=t}"),
        1
    );
    assert_eq!(read.count(&of_group("bus_partitions_lost_total")), 1);
    assert_eq!(read.count(&of_group("bus_partitions_gained_total")), 3);
    assert_eq!(read.gauge(&of_group("bus_partitions_owned")), 2.0);
    drop(subscription);
}

/// Under one name, what is opened again goes on counting.
#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_opened_again_goes_on_counting() {
    let (bus, metrics, _, mut read) = bus().await;
    for round in 1..=3 {
        bus.publish_message("t", message("a")).await.unwrap();
        let mut subscription = bus.subscribe(&T, "g").await.unwrap();
        metrics.watch("again", subscription.control());
        soon("a delivery", subscription.next())
            .await
            .unwrap()
            .unwrap()
            .ack();
        subscription.close().await.unwrap();
        metrics.refresh();
        let acked = "bus_settled_messages_total{subscription=again,system=memory,verdict=acked}";
        assert_eq!(read.look().count(acked), round);
    }
}

/// The table of the documentation names what there is, and nothing else.
#[tokio::test(start_paused = true)]
async fn the_documentation_names_every_metric() {
    let (bus, metrics, _, mut read) = bus().await;
    bus.publish_message("t", message("a")).await.unwrap();
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    metrics.watch("s", subscription.control());
    soon("a delivery", subscription.next())
        .await
        .unwrap()
        .unwrap()
        .ack();
    subscription.close().await.unwrap();
    bus.admin().delete("missing").await.unwrap_err();
    let text = include_str!("../docs/observability.md");
    let written: std::collections::BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `bus_")?.split('`').next())
        .map(|name| format!("bus_{name}"))
        .collect();
    let seen: std::collections::BTreeSet<_> = read
        .look()
        .values
        .keys()
        .filter_map(|key| key.split('{').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(seen, written);
}
