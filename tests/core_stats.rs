//! What a subscription says of itself.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use bus::{Bus, Control, Event, Message, Raw, Retry, Subscription};
use doubles::{Double, T, idle, soon};
use std::time::Duration;
use tokio::time::{Instant, sleep};

async fn publish(bus: &Bus, payloads: impl IntoIterator<Item = Vec<u8>>) {
    for payload in payloads {
        bus.publish_message("t", Message::new(payload)).await.unwrap();
    }
}

async fn subscribed(bus: &Bus) -> Subscription<String, Raw> {
    let retry = Retry::fixed(Duration::from_millis(10)).max_retries(1);
    bus.subscribe(&T, "g").retry(retry).await.unwrap()
}

/// Asks until this holds of what is counted.
async fn until(control: &Control, what: &str, holds: impl Fn(bus::Stats) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds(control.stats()) {
        assert!(Instant::now() < deadline, "{what}: {:?}", control.stats());
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_verdict_is_counted_once() {
    let bus = Double::default().bus(1).await;
    let texts = ["ack", "outputs", "retry", "give up", "reject", "drop"];
    let undecodable = vec![0xff, 0xfe];
    publish(
        &bus,
        texts.iter().map(|t| t.as_bytes().to_vec()).chain([undecodable]),
    )
    .await;
    let subscription = subscribed(&bus).await;
    let control = subscription.control();
    assert_eq!(control.stats(), bus::Stats::default());
    control.time_handlers();
    let handling = subscription.for_each(1, |delivery| async move {
        sleep(Duration::from_millis(5)).await;
        match (delivery.value().as_str(), delivery.attempt()) {
            ("outputs", _) => delivery.ack_with([("t.g.dlq", Message::new("o"))]).unwrap(),
            ("retry", 1) | ("give up", _) => delivery.nack(),
            ("drop", 1) => drop(delivery),
            ("reject", _) => delivery.reject("no"),
            _ => delivery.ack(),
        }
    });
    let handling = tokio::spawn(handling);
    until(&control, "seven messages end", |s| {
        s.acked + s.exhausted + s.rejected + s.undecodable == 7
    })
    .await;
    control.drain(Duration::from_secs(5)).await.unwrap();
    soon("the handlers", handling).await.unwrap().unwrap();
    let stats = control.stats();
    assert_eq!((stats.acked, stats.retried), (4, 3), "{stats:?}");
    let given_up = (stats.exhausted, stats.rejected, stats.undecodable, stats.skipped);
    assert_eq!(given_up, (1, 1, 1, 0), "{stats:?}");
    assert_eq!(
        (stats.delivered, stats.handled),
        (10, 9),
        "decoding failed before the handler"
    );
    assert_eq!(stats.handling, Duration::from_millis(9 * 5));
    assert_eq!(stats.slowest, Duration::from_millis(5));
    assert_eq!(
        (stats.late, stats.in_flight, stats.unstored),
        (0, 0, 0),
        "{stats:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_late_and_returned_is_counted() {
    let double = Double::default();
    let fault = double.fault.clone();
    let bus = double.bus(1).await;
    publish(&bus, ["a", "b", "c"].map(Vec::from)).await;
    let mut subscription = subscribed(&bus).await;
    let control = subscription.control();
    let mut out = Vec::new();
    for _ in 0..3 {
        out.push(soon("a delivery", subscription.next()).await.unwrap().unwrap());
    }
    until(&control, "three in flight", |s| {
        (s.in_flight, s.in_flight_bytes) == (3, 3)
    })
    .await;
    fault.event(Event::Lost(fault.gained()[0]));
    idle().await;
    out.pop().unwrap().ack();
    drop(out.pop());
    until(&control, "two came too late", |s| s.late == 2).await;
    assert_eq!(control.stats().acked, 0);

    publish(&bus, ["d"].map(Vec::from)).await;
    let double = Double::default();
    let bus = double.bus(1).await;
    publish(&bus, ["a"].map(Vec::from)).await;
    let mut subscription = subscribed(&bus).await;
    let control = subscription.control();
    let out = soon("a delivery", subscription.next()).await.unwrap().unwrap();
    let draining = tokio::spawn(async move { subscription.drain(Duration::from_secs(5)).await });
    idle().await;
    drop(out);
    soon("the drain", draining).await.unwrap().unwrap();
    assert_eq!((control.stats().returned, control.stats().retried), (1, 0));
}
