//! Subscriptions between the flow and the application: waking, waiting, storing, ending.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use bus::{Bus, Message, Retry, Start, Subscription};
use bus::{ErrorKind, Order, Raw};
use doubles::{Answer, Commits, Double, Fault, T, idle, soon};
use futures_util::{FutureExt, StreamExt};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};
use tokio::time::Instant;

const EVERY: Duration = Duration::from_millis(200);

async fn double() -> (Bus, Commits, Fault) {
    let double = Double::default();
    let (commits, fault) = (double.commits.clone(), double.fault.clone());
    (double.bus(1).await, commits, fault)
}

async fn publish(bus: &Bus, key: Option<&str>, value: &str) {
    let message = Message::new(value.to_owned());
    let message = match key {
        Some(key) => message.keyed(key.to_owned()),
        None => message,
    };
    bus.publish_message("t", message).await.expect("stored");
}

async fn subscribe(bus: &Bus) -> Subscription<String, Raw> {
    bus.subscribe(&T, "g").await.expect("a subscription")
}

/// Counts how often a reader is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Wakes {
    /// Polls for the next delivery once, to be woken here.
    fn park(self: &Arc<Self>, subscription: &mut Subscription<String, Raw>) {
        let waker = Waker::from(self.clone());
        let polled = subscription.poll_next_unpin(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
}

#[tokio::test(start_paused = true)]
async fn acks_behind_which_nobody_waits_wake_no_reader() {
    let (bus, _, fault) = double().await;
    let mut subscription = bus.subscribe(&T, "g").in_flight(1024).await.unwrap();
    for key in 0..100 {
        publish(&bus, Some(&key.to_string()), "v").await;
    }
    let mut out = Vec::new();
    while out.len() < 100 {
        out.push(soon("a delivery", subscription.next()).await.unwrap().unwrap());
    }
    let wakes = Arc::new(Wakes::default());
    wakes.park(&mut subscription);
    idle().await;
    let turns = fault.asked();
    for delivery in out.drain(..) {
        delivery.ack();
        tokio::task::yield_now().await;
    }
    assert_eq!(wakes.0.load(SeqCst), 0, "no ack could let anything run");
    assert!(fault.asked() - turns <= 2, "nor had the pump anything to do");
}

#[tokio::test(start_paused = true)]
async fn the_ack_that_lets_the_next_of_a_key_run_wakes_the_reader() {
    let (bus, ..) = double().await;
    let mut subscription = subscribe(&bus).await;
    for value in ["1", "2"] {
        publish(&bus, Some("k"), value).await;
    }
    publish(&bus, Some("other"), "3").await;
    let mut out = Vec::new();
    for _ in 0..2 {
        out.push(soon("a delivery", subscription.next()).await.unwrap().unwrap());
    }
    let start = Instant::now();
    let wakes = Arc::new(Wakes::default());
    wakes.park(&mut subscription);
    let first = out.iter().position(|d| d.value() == "1").unwrap();
    let (first, other) = (out.remove(first), out.remove(0));
    other.ack();
    assert_eq!(wakes.0.load(SeqCst), 0);
    first.ack();
    assert_eq!(wakes.0.load(SeqCst), 1);
    let next = soon("the next of the key", subscription.next()).await.unwrap();
    assert_eq!(next.unwrap().value(), "2");
    assert_eq!(start.elapsed(), Duration::ZERO, "without waiting for a timer");
}

#[tokio::test(start_paused = true)]
async fn a_full_window_wakes_the_reader_once_for_the_room_that_is_worth_it() {
    let (bus, ..) = double().await;
    let mut subscription = bus.subscribe(&T, "g").in_flight(400).await.unwrap();
    let batch = (0..800).map(|n| Message::new(n.to_string())).collect();
    bus.publish_batch("t", batch).await;
    let mut out = Vec::new();
    while out.len() < 400 {
        out.push(soon("a delivery", subscription.next()).await.unwrap().unwrap());
    }
    idle().await;
    let start = Instant::now();
    let wakes = Arc::new(Wakes::default());
    wakes.park(&mut subscription);
    for delivery in out.drain(..99) {
        delivery.ack();
        tokio::task::yield_now().await;
    }
    assert_eq!(wakes.0.load(SeqCst), 0, "less than a quarter is not fetched");
    out.remove(0).ack();
    let next = soon("what there is room for", subscription.next()).await;
    assert_eq!(next.unwrap().unwrap().value(), "400");
    assert_eq!(start.elapsed(), Duration::ZERO, "without waiting for a timer");
}

#[tokio::test(start_paused = true)]
async fn an_ack_is_stored_within_one_period_whoever_looks_at_it_first() {
    let (bus, commits, _) = double().await;
    let mut subscription = subscribe(&bus).await;
    publish(&bus, None, "1").await;
    let first = soon("a delivery", subscription.next()).await.unwrap().unwrap();
    // The pump's period has begun.
    tokio::time::sleep(Duration::from_secs(5)).await;
    idle().await;
    let period = Instant::now();
    first.ack();
    // A reader looks at it late in the period; its age counts from the ack all the same.
    tokio::time::sleep(EVERY - Duration::from_millis(10)).await;
    assert!(subscription.next().now_or_never().is_none());
    soon("the commit", commits.wait(1)).await;
    let waited = commits.asked()[0].0 - period;
    assert!(
        waited <= EVERY + Duration::from_millis(10),
        "stored after {waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_nack_is_never_early_and_waits_for_no_timer_but_its_own() {
    for key in [None, Some("k")] {
        let (bus, ..) = double().await;
        let mut subscription = subscribe(&bus).await;
        publish(&bus, key, "1").await;
        let mut delivery = soon("a delivery", subscription.next()).await.unwrap().unwrap();
        for (attempt, wait) in [(2, 1), (3, 50), (4, 150)] {
            let wait = Duration::from_millis(wait);
            let wakes = Arc::new(Wakes::default());
            wakes.park(&mut subscription);
            idle().await;
            let nacked = Instant::now();
            delivery.nack_after(wait);
            delivery = soon("the retry", subscription.next()).await.unwrap().unwrap();
            let waited = nacked.elapsed();
            assert_eq!(delivery.attempt(), attempt);
            assert!(waited >= wait, "{waited:?} is before {wait:?}");
            assert!(
                waited <= wait + Duration::from_millis(2),
                "{waited:?} for {wait:?}"
            );
        }
        delivery.ack();
    }
}

#[tokio::test(start_paused = true)]
async fn an_advanced_clock_is_enough_for_an_hours_wait() {
    let (bus, ..) = double().await;
    let mut subscription = subscribe(&bus).await;
    publish(&bus, None, "1").await;
    let delivery = soon("a delivery", subscription.next()).await.unwrap().unwrap();
    let hour = Duration::from_secs(3600);
    delivery.nack_after(hour);
    idle().await;
    tokio::time::advance(hour - Duration::from_millis(1)).await;
    idle().await;
    assert!(subscription.next().now_or_never().is_none(), "it is early");
    tokio::time::advance(Duration::from_millis(2)).await;
    idle().await;
    let again = subscription.next().now_or_never().expect("it is due");
    assert_eq!(again.unwrap().unwrap().attempt(), 2);
}

#[tokio::test]
async fn next_can_be_dropped_at_any_time() {
    let (bus, ..) = double().await;
    let mut subscription = subscribe(&bus).await;
    for n in 0..50 {
        assert!(subscription.next().now_or_never().is_none());
        publish(&bus, None, &n.to_string()).await;
        drop(subscription.next());
        let waiting = tokio::time::timeout(Duration::ZERO, subscription.next());
        let delivery = match waiting.await {
            Ok(delivery) => delivery,
            Err(_) => soon("a delivery", subscription.next()).await,
        };
        let delivery = delivery.unwrap().unwrap();
        assert_eq!((delivery.value(), delivery.attempt()), (&n.to_string(), 1));
        delivery.ack();
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_subscription_stores_what_was_acknowledged_and_returns_the_rest() {
    let (bus, commits, _) = double().await;
    let mut subscription = subscribe(&bus).await;
    for n in 0..3 {
        publish(&bus, None, &n.to_string()).await;
    }
    let mut out = Vec::new();
    while out.len() < 3 {
        out.push(soon("a delivery", subscription.next()).await.unwrap().unwrap());
    }
    let late = out.pop().unwrap();
    out.remove(0).ack();
    let control = subscription.control();
    drop(subscription);
    soon("the commit", commits.wait(1)).await;
    soon("a second drain", control.drain(Duration::ZERO))
        .await
        .unwrap();
    assert!(late.is_lost());
    late.ack();
    drop(out);
    assert_eq!(control.flush().await.unwrap_err(), ErrorKind::Closed);
    let mut next = subscribe(&bus).await;
    for n in ["1", "2"] {
        let delivery = soon("what was out", next.next()).await.unwrap().unwrap();
        assert_eq!((&**delivery.value(), delivery.attempt()), (n, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_what_is_out_and_no_longer() {
    let (bus, commits, _) = double().await;
    let mut subscription = subscribe(&bus).await;
    for n in 0..2 {
        publish(&bus, None, &n.to_string()).await;
    }
    let first = soon("a delivery", subscription.next()).await.unwrap().unwrap();
    let second = soon("a delivery", subscription.next()).await.unwrap().unwrap();
    let control = subscription.control();
    let draining = |control: bus::Control| async move { control.drain(Duration::from_secs(10)).await };
    let one = tokio::spawn(draining(control.clone()));
    idle().await;
    let flush = tokio::spawn({
        let control = control.clone();
        async move { control.flush().await }
    });
    let two = tokio::spawn(draining(control));
    idle().await;
    assert!(
        subscription.next().now_or_never().is_none(),
        "nothing is handed out"
    );
    let start = Instant::now();
    first.ack();
    idle().await;
    assert!(!one.is_finished() && !two.is_finished());
    second.ack();
    soon("the first drain", one).await.unwrap().unwrap();
    soon("the second drain", two).await.unwrap().unwrap();
    let _ = soon("the flush", flush).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "an ack ends the wait");
    assert!(soon("the end", subscription.next()).await.is_none());
    assert!(subscription.next().await.is_none());
    assert_eq!(commits.released(), 1);
    let last = commits.stored().pop().unwrap();
    assert!(last.notes.is_empty() || last.next > 1, "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flush_during_a_commit_does_not_make_acks_wake_anybody() {
    let (bus, commits, fault) = double().await;
    let mut subscription = subscribe(&bus).await;
    for n in 0..200 {
        publish(&bus, Some(&n.to_string()), "v").await;
    }
    let mut out = Vec::new();
    while out.len() < 200 {
        out.push(soon("a delivery", subscription.next()).await.unwrap().unwrap());
    }
    commits.then([Answer::Never]);
    out.remove(0).ack();
    let control = subscription.control();
    let flush = tokio::spawn(async move { control.flush().await });
    soon("the commit", commits.wait(1)).await;
    idle().await;
    let turns = fault.asked();
    for delivery in out {
        delivery.ack();
        tokio::task::yield_now().await;
    }
    assert!(fault.asked() - turns <= 2, "{} turns", fault.asked() - turns);
    flush.abort();
}

#[tokio::test(start_paused = true)]
async fn more_outputs_than_a_commit_carries_are_refused_and_the_subscription_goes_on() {
    let double = Double {
        outputs: Some(2),
        ..Double::default()
    };
    let bus = double.bus(1).await;
    let outputs = |count| (0..count).map(|_| ("t", Message::new("out")));
    let retry = Retry::never();
    let mut subscription = bus.subscribe(&T, "g").retry(retry).await.unwrap();
    publish(&bus, None, "1").await;
    let delivery = soon("a delivery", subscription.next()).await.unwrap().unwrap();
    let refused = delivery.prepare(outputs(3)).await.unwrap_err();
    assert_eq!(refused, ErrorKind::Invalid, "and still to be settled");
    let refused = delivery.ack_with(outputs(3)).unwrap_err();
    assert_eq!(refused, ErrorKind::Invalid);
    let dead = bus::Topic::<String, Raw>::new("t.g.dlq");
    let mut dead = bus.observe(&dead).start(Start::Earliest).await.unwrap();
    let dead = soon("the dead letter", dead.next()).await.unwrap().unwrap();
    let error = String::from_utf8(dead.headers().get("bus-error").unwrap().to_vec()).unwrap();
    assert!(error.contains("3 outputs"), "{error}");
    publish(&bus, None, "2").await;
    let delivery = soon("a delivery", subscription.next()).await.unwrap().unwrap();
    let prepared = delivery.prepare(outputs(2)).await.unwrap();
    delivery.ack_prepared(prepared);
    for _ in 0..2 {
        let output = soon("an output", subscription.next()).await.unwrap().unwrap();
        assert_eq!(output.value(), "out");
        output.ack();
    }
}

#[tokio::test(start_paused = true)]
async fn a_partitions_order_goes_on_from_ack_to_ack() {
    let (bus, ..) = double().await;
    let mut subscription = bus.subscribe(&T, "g").order(Order::Partition).await.unwrap();
    for n in 0..100 {
        publish(&bus, None, &n.to_string()).await;
    }
    idle().await;
    let start = Instant::now();
    for n in 0..100 {
        let delivery = soon("a delivery", subscription.next()).await.unwrap().unwrap();
        assert_eq!(delivery.value(), &n.to_string());
        tokio::spawn(async move { delivery.ack() });
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "no ack was found by a timer");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_held_too_much_of_the_window_goes_on_as_soon_as_it_does_not() {
    let bus = Double::default().bus(2).await;
    let mut subscription = bus.subscribe(&T, "g").in_flight(64).await.unwrap();
    let hot = |n: u32| Message::new(n.to_string()).to_partition(0);
    bus.publish_batch("t", (0..1000).map(hot).collect()).await;
    idle().await;
    let start = Instant::now();
    for _ in 0..1000 {
        let delivery = soon("a delivery", subscription.next()).await.unwrap().unwrap();
        tokio::spawn(async move { delivery.ack() });
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "no ack was found by a timer");
}

#[tokio::test(start_paused = true)]
async fn what_contradicts_itself_is_refused() {
    let (bus, ..) = double().await;
    let nowhere = bus.subscribe(&T, "g").no_dead_letters();
    let error = nowhere
        .dead_letter_for("undecodable", "broken")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    // The ack of one subscription is not stored by another one's flush.
    let mut one = subscribe(&bus).await;
    let other = bus.subscribe(&T, "h").await.unwrap();
    publish(&bus, None, "x").await;
    let delivery = soon("a delivery", one.next()).await.unwrap().unwrap();
    let error = delivery.ack_stored(&other.control()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let again = soon("it comes again", one.next()).await.unwrap().unwrap();
    assert_eq!(again.attempt(), 2);
    let value = again.ack_stored(&one.control()).await.unwrap();
    assert_eq!(value.as_deref(), Some("x"));
}
