//! `for_each`: concurrency, panics, stopping, partitions that are taken.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use bus::{Bus, Delivery, Event, Message, Retry};
use doubles::{Commits, Double, Fault, T, idle, soon};
use futures_util::FutureExt;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::sync::{Notify, Semaphore, mpsc};

async fn double(partitions: u32) -> (Bus, Commits, Fault) {
    let double = Double::default();
    let (commits, fault) = (double.commits.clone(), double.fault.clone());
    (double.bus(partitions).await, commits, fault)
}

async fn publish(bus: &Bus, partition: u32, key: &str, value: &str) {
    let message = Message::new(value.to_owned()).keyed(key.to_owned());
    let message = message.to_partition(partition);
    bus.publish_message("t", message).await.expect("stored");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_costs_an_attempt_and_no_worker() {
    for concurrency in [1, 4] {
        let (bus, ..) = double(1).await;
        let retry = Retry::fixed(Duration::from_millis(10)).max_retries(500);
        let subscription = bus.subscribe(&T, "g").retry(retry).await.unwrap();
        let (control, (seen, mut attempts)) = (subscription.control(), mpsc::unbounded_channel());
        let running = tokio::spawn(
            subscription.for_each(concurrency, move |delivery: Delivery<String>| {
                let seen = seen.clone();
                async move {
                    seen.send((delivery.value().clone(), delivery.attempt())).unwrap();
                    if delivery.value() == "bad" && delivery.attempt() <= 100 {
                        panic!("as told");
                    }
                    delivery.ack();
                }
            }),
        );
        publish(&bus, 0, "a", "bad").await;
        for attempt in 1..=101 {
            let seen = soon("an attempt", attempts.recv()).await.unwrap();
            assert_eq!(seen, ("bad".to_owned(), attempt));
        }
        for n in 0..10 {
            publish(&bus, 0, "b", &n.to_string()).await;
            let seen = soon("a delivery", attempts.recv()).await.unwrap();
            assert_eq!(seen, (n.to_string(), 1));
        }
        soon("the drain", control.drain(Duration::from_secs(5)))
            .await
            .unwrap();
        soon("the end", running).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn keys_keep_their_order_with_more_workers_than_keys() {
    let (bus, ..) = double(2).await;
    let subscription = bus.subscribe(&T, "g").in_flight(64).await.unwrap();
    let control = subscription.control();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen: Arc<Mutex<HashMap<String, Vec<String>>>> = Arc::default();
    let left = Arc::new(Semaphore::new(0));
    let handler = {
        let (seen, left, most) = (seen.clone(), left.clone(), most.clone());
        move |delivery: Delivery<String>| {
            let (seen, left, running, most) = (seen.clone(), left.clone(), running.clone(), most.clone());
            async move {
                most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                let key = String::from_utf8(delivery.key().unwrap().to_vec()).unwrap();
                tokio::task::yield_now().await;
                seen.lock()
                    .unwrap()
                    .entry(key)
                    .or_default()
                    .push(delivery.value().clone());
                running.fetch_sub(1, SeqCst);
                left.add_permits(1);
                delivery.ack();
            }
        }
    };
    let handling = tokio::spawn(subscription.for_each(32, handler));
    for n in 0..600 {
        publish(&bus, n % 2, &format!("k{}", n % 4), &n.to_string()).await;
    }
    let _ = soon("all of them", left.acquire_many(600)).await.unwrap();
    soon("the drain", control.drain(Duration::from_secs(5)))
        .await
        .unwrap();
    soon("the end", handling).await.unwrap().unwrap();
    assert!(most.load(SeqCst) <= 4, "one of a key at a time");
    for values in seen.lock().unwrap().values() {
        let values: Vec<u32> = values.iter().map(|v| v.parse().unwrap()).collect();
        assert!(values.is_sorted() && values.len() == 150);
    }
}

/// Says that it was dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_partition_cancels_the_handlers_that_still_hold_one_of_its_deliveries() {
    let (bus, _, fault) = double(2).await;
    let subscription = bus.subscribe(&T, "g").in_flight(2).await.unwrap();
    let control = subscription.control();
    let (cancelled, afterwards) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (starting, mut started) = mpsc::unbounded_channel();
    let go = Arc::new(Notify::new());
    let handler = {
        let (cancelled, afterwards, go) = (cancelled.clone(), afterwards.clone(), go.clone());
        move |delivery: Delivery<String>| {
            let (cancelled, afterwards) = (cancelled.clone(), afterwards.clone());
            let (starting, go) = (starting.clone(), go.clone());
            async move {
                let name = delivery.value().clone();
                if name == "first" {
                    // Settled early: what it does from here on has nothing to do with its partition or its slot.
                    delivery.ack();
                    starting.send(name).unwrap();
                    go.notified().await;
                    afterwards.notify_one();
                } else {
                    let _dropped = Dropped(cancelled);
                    starting.send(name).unwrap();
                    std::future::pending::<()>().await;
                    drop(delivery);
                }
            }
        }
    };
    let handling = tokio::spawn(subscription.for_each(4, handler));
    publish(&bus, 0, "a", "first").await;
    soon("the first", started.recv()).await;
    soon("its slot is free", control.flush()).await.unwrap();
    for value in ["second", "third"] {
        publish(&bus, 1, value, value).await;
        soon("the next", started.recv()).await;
    }
    let shard = fault.gained().into_iter().find(|s| s.partition == 1).unwrap();
    fault.event(Event::Lost(shard));
    soon("the cancellation", cancelled.notified()).await;
    idle().await;
    assert!(afterwards.notified().now_or_never().is_none());
    go.notify_one();
    soon("the one that had settled", afterwards.notified()).await;
    soon("the drain", control.drain(Duration::from_secs(1)))
        .await
        .unwrap();
    soon("the end", handling).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn dropping_for_each_stops_its_handlers_and_returns_their_messages() {
    let (bus, commits, _) = double(1).await;
    let subscription = bus.subscribe(&T, "g").await.unwrap();
    let control = subscription.control();
    let (starting, mut started) = mpsc::unbounded_channel();
    let handling = subscription.for_each(4, move |delivery| {
        let starting = starting.clone();
        async move {
            starting.send(delivery.attempt()).unwrap();
            std::future::pending::<()>().await;
            drop(delivery);
        }
    });
    let handling = tokio::spawn(handling);
    publish(&bus, 0, "a", "1").await;
    soon("the handler", started.recv()).await;
    handling.abort();
    soon("the drain", control.drain(Duration::ZERO)).await.unwrap();
    assert_eq!(commits.released(), 1);
    let mut next = bus.subscribe(&T, "g").await.unwrap();
    let again = soon("the message", next.next()).await.unwrap().unwrap();
    assert_eq!(again.attempt(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_worker_is_woken_by_an_ack_from_outside_although_another_has_just_taken_one() {
    let (bus, ..) = double(1).await;
    let subscription = bus.subscribe(&T, "g").await.unwrap();
    let (taking, mut taken) = mpsc::unbounded_channel();
    // Handlers pass their deliveries on, except one that takes its time.
    let handling = tokio::spawn(subscription.for_each(3, move |delivery: Delivery<String>| {
        let taking = taking.clone();
        async move {
            let slow = delivery.value() == "slow";
            taking.send(delivery).unwrap();
            if slow {
                std::future::pending::<()>().await;
            }
        }
    }));
    for n in 0..20 {
        publish(&bus, 0, "k", &n.to_string()).await;
    }
    publish(&bus, 0, "s", "slow").await;
    let start = tokio::time::Instant::now();
    let mut keep = Vec::new();
    for _ in 0..21 {
        let delivery = soon("a delivery", taken.recv()).await.unwrap();
        if delivery.value() == "slow" {
            keep.push(delivery);
        } else {
            idle().await;
            delivery.ack();
        }
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "no ack was found by a timer");
    handling.abort();
}

/// No tick finds what a wake-up missed: whatever is lost here stays lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_comes_through_without_a_timer() {
    const MESSAGES: u32 = 10_000;
    for (keys, in_flight, concurrency) in [(1, 8, 4), (40, 16, 8), (MESSAGES, 8, 3), (7, 1024, 8)] {
        let (bus, ..) = double(3).await;
        let subscription = bus
            .subscribe(&T, "g")
            .in_flight(in_flight)
            .commit_every(Duration::from_secs(3600))
            .await
            .unwrap();
        let control = subscription.control();
        let done = Arc::new(Semaphore::new(0));
        let handler = {
            let done = done.clone();
            move |delivery: Delivery<String>| {
                let done = done.clone();
                async move {
                    let number: u32 = delivery.value().parse().unwrap();
                    let settle = move || {
                        delivery.ack();
                        done.add_permits(1);
                    };
                    // Some settle elsewhere, some later, some at once.
                    match number % 3 {
                        0 => drop(tokio::spawn(async move { settle() })),
                        1 => {
                            tokio::task::yield_now().await;
                            settle();
                        }
                        _ => settle(),
                    }
                }
            }
        };
        let handling = tokio::spawn(subscription.for_each(concurrency, handler));
        for first in (0..MESSAGES).step_by(500) {
            let keyed = |n: u32| Message::new(n.to_string()).keyed((n % keys).to_string());
            let batch = (first..first + 500).map(keyed).collect();
            bus.publish_batch("t", batch).await;
        }
        let what = format!("{keys} keys, {in_flight} in flight, {concurrency} at a time");
        let _ = soon(&what, done.acquire_many(MESSAGES)).await.unwrap();
        soon(&what, control.drain(Duration::from_secs(30))).await.unwrap();
        soon(&what, handling).await.unwrap().unwrap();
    }
}

/// As above, with one reader that passes everything on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deliveries_that_are_spawned_come_through_without_a_timer() {
    const MESSAGES: u32 = 20_000;
    for (keys, in_flight) in [(1, 8), (40, 16), (MESSAGES, 8), (7, 1024)] {
        let (bus, ..) = double(3).await;
        let every = Duration::from_secs(3600);
        let subscription = bus.subscribe(&T, "g").in_flight(in_flight).commit_every(every);
        let mut subscription = subscription.await.unwrap();
        let publishing = tokio::spawn(async move {
            for first in (0..MESSAGES).step_by(500) {
                let keyed = |n: u32| Message::new(n.to_string()).keyed((n % keys).to_string());
                let batch = (first..first + 500).map(keyed).collect();
                bus.publish_batch("t", batch).await;
            }
            bus
        });
        for n in 0..MESSAGES {
            let what = format!("{keys} keys, {in_flight} in flight: message {n}");
            let delivery = soon(&what, subscription.next()).await.unwrap().unwrap();
            tokio::spawn(async move { delivery.ack() });
        }
        let _bus = publishing.await.unwrap();
    }
}
