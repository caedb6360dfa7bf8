//! Pausing, seeking and being told, where the moment matters.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use bus::{Bus, Message, Notice, Raw, Retry, Start, Subscription};
use doubles::{Double, T, idle, soon};
use futures_util::FutureExt;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Semaphore;

async fn bus_of(partitions: u32) -> Bus {
    Double::default().bus(partitions).await
}

async fn publish(bus: &Bus, partition: u32, value: &str) {
    let message = Message::new(value.to_owned()).to_partition(partition);
    bus.publish_message("t", message).await.unwrap();
}

async fn next(subscription: &mut Subscription<String, Raw>) -> bus::Delivery<String> {
    soon("a delivery", subscription.next()).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_a_reader_holds_is_taken_back_by_a_pause() {
    let bus = bus_of(1).await;
    for n in 0..10 {
        publish(&bus, 0, &n.to_string()).await;
    }
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    next(&mut subscription).await.ack();
    subscription.control().pause();
    // Nine more were lent to this reader under the same lock.
    assert!(subscription.next().now_or_never().is_none());
    subscription.control().resume();
    for n in 1..10 {
        let delivery = next(&mut subscription).await;
        assert_eq!(*delivery, n.to_string());
        delivery.ack();
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_reader_is_woken_when_it_goes_on() {
    let bus = bus_of(1).await;
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    let control = subscription.control();
    control.pause();
    publish(&bus, 0, "a").await;
    let waiting = tokio::spawn(async move { next(&mut subscription).await.value().clone() });
    idle().await;
    assert!(!waiting.is_finished());
    control.resume();
    assert_eq!(soon("waking", waiting).await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_for_partitions_that_come_later() {
    let bus = bus_of(2).await;
    let first = bus.subscribe(&T, "g").await.unwrap();
    let mut second = bus.subscribe(&T, "g").await.unwrap();
    second.control().pause();
    second.control().resume_partition("t", 1).unwrap();
    soon("leaving", first.close()).await.unwrap();
    publish(&bus, 0, "paused").await;
    publish(&bus, 1, "goes on").await;
    let delivery = next(&mut second).await;
    assert_eq!(*delivery, "goes on");
    delivery.ack();
    idle().await;
    assert!(second.next().now_or_never().is_none());
    let view: Vec<_> = second
        .control()
        .assignment()
        .iter()
        .map(|o| (o.partition, o.paused))
        .collect();
    assert_eq!(view, [(0, true), (1, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_dropped_in_a_pause_is_a_nack() {
    let bus = bus_of(1).await;
    publish(&bus, 0, "a").await;
    let retry = Retry::fixed(Duration::from_secs(1));
    let mut subscription = bus.subscribe(&T, "g").retry(retry).await.unwrap();
    let delivery = next(&mut subscription).await;
    subscription.control().pause();
    drop(delivery);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(subscription.next().now_or_never().is_none());
    subscription.control().resume();
    assert_eq!(next(&mut subscription).await.attempt(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_ack_from_before_a_seek_changes_nothing() {
    let bus = bus_of(1).await;
    for n in 0..3 {
        publish(&bus, 0, &n.to_string()).await;
    }
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    let control = subscription.control();
    let before = next(&mut subscription).await;
    soon("seeking", control.seek(Start::Earliest)).await.unwrap();
    let again = next(&mut subscription).await;
    assert!(before.is_lost());
    before.ack();
    soon("flushing", control.flush()).await.unwrap();
    assert_eq!(bus.admin().lag("g").await.unwrap()[0].position, 0);
    assert_eq!((again.value().as_str(), again.attempt()), ("0", 1));
    again.ack();
    soon("flushing", control.flush()).await.unwrap();
    assert_eq!(bus.admin().lag("g").await.unwrap()[0].position, 1);
}

#[tokio::test(start_paused = true)]
async fn a_seek_without_effect_is_told_to_have_failed() {
    let double = Double::default();
    let fault = double.fault.clone();
    let bus = double.bus(1).await;
    publish(&bus, 0, "0").await;
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    let control = subscription.control();
    next(&mut subscription).await.ack();
    soon("flushing", control.flush()).await.unwrap();
    fault.fail_seeks();
    let error = soon("seeking", control.seek(Start::Latest)).await.unwrap_err();
    assert_eq!(error.kind(), bus::ErrorKind::Fenced, "{error}");
    assert!(error.to_string().contains("seek again"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_partition_waits_for_its_hook_and_others_do_not() {
    let bus = bus_of(2).await;
    publish(&bus, 0, "held").await;
    publish(&bus, 1, "free").await;
    let gate = Arc::new(Semaphore::new(0));
    let (enter, told) = (gate.clone(), Arc::new(Mutex::new(Vec::new())));
    let hear = told.clone();
    let subscribe = bus.subscribe(&T, "g").on_notice(move |notice| {
        let (enter, hear) = (enter.clone(), hear.clone());
        async move {
            // The second that is gained.
            if let Notice::Gained { partition: 1, .. } = notice {
                enter.acquire().await.unwrap().forget();
            }
            hear.lock().unwrap().push(notice);
        }
    });
    let mut subscription = subscribe.await.unwrap();
    let delivery = next(&mut subscription).await;
    assert_eq!(*delivery, "held");
    delivery.ack();
    idle().await;
    assert!(subscription.next().now_or_never().is_none());
    gate.add_permits(1);
    let delivery = next(&mut subscription).await;
    assert_eq!(*delivery, "free");
    delivery.ack();
    soon("closing", subscription.close()).await.unwrap();
    let told = told.lock().unwrap();
    let lost = |n: &&Notice| matches!(n, Notice::Lost { .. });
    assert_eq!(told.iter().filter(lost).count(), 2, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_ends_the_subscription() {
    let bus = bus_of(1).await;
    publish(&bus, 0, "a").await;
    let subscribe = bus.subscribe(&T, "g").on_notice(|_| async { panic!("no state") });
    let mut subscription = subscribe.await.unwrap();
    let error = soon("the end", subscription.next()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("hook"), "{error}");
    assert!(soon("the end", subscription.next()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_state_ends_with_the_subscription() {
    let bus = bus_of(1).await;
    publish(&bus, 0, "a").await;
    let subscription = bus.subscribe(&T, "g").await.unwrap();
    let control = subscription.control();
    let waiting = tokio::spawn(async move { control.caught_up().await });
    idle().await;
    assert!(!waiting.is_finished(), "`a` is not settled");
    soon("closing", subscription.close()).await.unwrap();
    assert!(soon("the answer", waiting).await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_nothing_ends_at_once() {
    let bus = bus_of(2).await;
    let begun = tokio::time::Instant::now();
    let mut subscription = bus.observe(&T).until(Start::Latest).await.unwrap();
    assert!(soon("the end", subscription.next()).await.is_none());
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_observer_holds_as_much_as_it_asked_for() {
    let bus = bus_of(1).await;
    let batch = (0..10_000).map(|n| Message::new(n.to_string())).collect();
    assert!(bus.publish_batch("t", batch).await.iter().all(Result::is_ok));
    let mut subscription = bus.observe(&T).in_flight(12_000).await.unwrap();
    let mut held = Vec::new();
    // A group would stop here: what it notes about so many could not be stored.
    for n in 0..10_000 {
        let delivery = next(&mut subscription).await;
        assert_eq!(*delivery, n.to_string());
        held.push(delivery);
    }
}
