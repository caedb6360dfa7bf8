//! What the application sees when commits, reads or the runtime fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use bus::{Bus, ErrorKind, Event, LossPolicy, Message, Raw, Subscription};
use doubles::{Answer, Commits, Double, Fault, T, idle, soon};
use std::time::Duration;
use tokio::time::Instant;

async fn double() -> (Bus, Commits, Fault) {
    let double = Double::default();
    let (commits, fault) = (double.commits.clone(), double.fault.clone());
    (double.bus(1).await, commits, fault)
}

async fn with(bus: &Bus, messages: usize) -> Subscription<String, Raw> {
    for n in 0..messages {
        bus.publish_message("t", Message::new(n.to_string()))
            .await
            .expect("stored");
    }
    bus.subscribe(&T, "g").await.expect("a subscription")
}

/// The subscription ends with an error of this kind, once, and says so to whoever asks later.
async fn ends(mut subscription: Subscription<String, Raw>, kind: ErrorKind) {
    let control = subscription.control();
    let error = soon("the error", subscription.next()).await.expect("not the end");
    assert_eq!(error.expect_err("an error"), kind);
    assert!(soon("the end", subscription.next()).await.is_none());
    assert!(soon("the end", subscription.next()).await.is_none());
    assert_eq!(control.flush().await.unwrap_err(), kind);
    assert_eq!(control.drain(Duration::ZERO).await.unwrap_err(), kind);
    drop(subscription);
    assert_eq!(control.flush().await.unwrap_err(), kind);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_for_good_ends_the_subscription_once() {
    let (bus, commits, _) = double().await;
    let mut subscription = with(&bus, 1).await;
    soon("a delivery", subscription.next())
        .await
        .unwrap()
        .unwrap()
        .ack();
    commits.then([Answer::Fatal]);
    let control = subscription.control();
    let flushed = soon("the flush", control.flush()).await;
    assert_eq!(flushed.unwrap_err(), ErrorKind::Denied);
    ends(subscription, ErrorKind::Denied).await;
    assert_eq!(commits.released(), 1, "others need not wait for it");
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_for_a_while_is_tried_until_it_is_stored() {
    let (bus, commits, _) = double().await;
    let mut subscription = with(&bus, 1).await;
    soon("a delivery", subscription.next())
        .await
        .unwrap()
        .unwrap()
        .ack();
    commits.then([Answer::Transient; 7]);
    soon("the flush", subscription.flush()).await.unwrap();
    let asked = commits.asked();
    assert_eq!((asked.len(), commits.stored().len()), (8, 1));
    let waits: Vec<_> = asked.windows(2).map(|w| w[1].0 - w[0].0).collect();
    assert!(
        waits.is_sorted() && waits[0] >= Duration::from_millis(50),
        "{waits:?}"
    );
    assert!(waits[6] <= Duration::from_millis(1_100), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drop_in_the_middle_of_a_rebalance_still_stores() {
    let (bus, commits, _) = double().await;
    let mut subscription = with(&bus, 1).await;
    soon("a delivery", subscription.next())
        .await
        .unwrap()
        .unwrap()
        .ack();
    commits.then([Answer::Transient; 3]);
    drop(subscription);
    soon("the commits", commits.wait(4)).await;
    idle().await;
    assert_eq!(commits.stored().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_although_a_commit_does_not() {
    let (bus, commits, _) = double().await;
    let mut subscription = with(&bus, 1).await;
    soon("a delivery", subscription.next())
        .await
        .unwrap()
        .unwrap()
        .ack();
    commits.then([Answer::Never]);
    let start = Instant::now();
    let drained = tokio::time::timeout(
        Duration::from_secs(120),
        subscription.drain(Duration::from_secs(5)),
    );
    drained.await.expect("the drain ends").unwrap();
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!(commits.released(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_ends_the_subscription_and_what_was_acknowledged_is_stored() {
    let (bus, commits, fault) = double().await;
    let mut subscription = with(&bus, 2).await;
    soon("a delivery", subscription.next())
        .await
        .unwrap()
        .unwrap()
        .ack();
    let out = soon("a delivery", subscription.next()).await.unwrap().unwrap();
    fault.fail();
    ends(subscription, ErrorKind::Denied).await;
    assert_eq!(commits.stored().len(), 1);
    assert_eq!(fault.asked_after(), 0, "a failed subscriber is not asked again");
    assert!(out.is_lost());
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_ends_the_subscription_also_with_commits_that_never_answer() {
    let (bus, commits, fault) = double().await;
    let mut subscription = with(&bus, 1).await;
    soon("a delivery", subscription.next())
        .await
        .unwrap()
        .unwrap()
        .ack();
    commits.then([Answer::Never]);
    fault.fail();
    ends(subscription, ErrorKind::Denied).await;
}

/// Asked by many at the moment of its end: a request that is half sent when the task goes must not wait for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_asks_while_it_ends_is_answered() {
    for _ in 0..2_000 {
        let (bus, _, fault) = double().await;
        let mut subscription = with(&bus, 0).await;
        let ask = |_| {
            let control = subscription.control();
            tokio::spawn(async move { while control.flush().await.is_ok() {} })
        };
        let asking: Vec<_> = (0..4).map(ask).collect();
        fault.fail();
        let error = soon("the error", subscription.next()).await.expect("not the end");
        assert_eq!(error.expect_err("an error"), ErrorKind::Denied);
        for asker in asking {
            soon("an answer", asker).await.expect("no panic");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_and_removed_records_end_the_subscription() {
    let (bus, _, fault) = double().await;
    let subscription = with(&bus, 0).await;
    fault.event(Event::TopicLost("t".into()));
    ends(subscription, ErrorKind::TopicMissing).await;

    let (bus, commits, fault) = double().await;
    let mut subscription = with(&bus, 1).await;
    soon("a delivery", subscription.next())
        .await
        .unwrap()
        .unwrap()
        .ack();
    let gap = |shard| Event::DataLoss {
        shard,
        from: 1,
        to: 9,
    };
    fault.event(gap(fault.gained()[0]));
    ends(subscription, ErrorKind::DataLoss).await;
    assert!(
        commits.asked().iter().all(|(_, done)| done.next <= 1),
        "nothing jumps"
    );

    let (bus, _, fault) = double().await;
    let mut subscription = bus
        .subscribe(&T, "g")
        .on_data_loss(LossPolicy::GoOn)
        .await
        .unwrap();
    idle().await;
    fault.event(gap(fault.gained()[0]));
    idle().await;
    let waiting = tokio::time::timeout(Duration::from_secs(1), subscription.next());
    assert!(waiting.await.is_err(), "it goes on");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_panics_is_an_error_and_no_silence() {
    let (bus, _, fault) = double().await;
    let subscription = with(&bus, 0).await;
    fault.panic();
    ends(subscription, ErrorKind::Closed).await;
}

#[test]
fn a_runtime_that_is_shut_down_ends_its_subscriptions_and_its_queue() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (first, second) = (runtime(), runtime());
    let (bus, subscription, manual) = first.block_on(async {
        let (bus, ..) = double().await;
        let subscription = with(&bus, 1).await;
        let publisher = std::sync::Arc::new(doubles::Manual::default());
        let double = Double {
            publisher: Some(publisher),
            ..Double::default()
        };
        (bus, subscription, double.bus(1).await)
    });
    first.block_on(async { manual.enqueue("t", Message::new("1")).await.unwrap() });
    drop(first);
    second.block_on(async {
        ends(subscription, ErrorKind::Closed).await;
        assert!(bus.enqueue("t", Message::new("2")).await.is_err());
        let flushed = soon("the flush", manual.flush(Duration::from_secs(10)))
            .await
            .unwrap();
        assert_eq!(flushed.messages, 1);
    });
}

#[tokio::test(start_paused = true)]
async fn an_abort_stores_nothing_and_ends_everything() {
    let (bus, commits, _) = double().await;
    let mut subscription = with(&bus, 1).await;
    soon("a delivery", subscription.next())
        .await
        .unwrap()
        .unwrap()
        .ack();
    let control = subscription.control();
    control.abort();
    assert!(soon("the end", subscription.next()).await.is_none());
    control.drain(Duration::from_secs(1)).await.unwrap();
    assert_eq!(control.flush().await.unwrap_err(), ErrorKind::Closed);
    assert_eq!((commits.asked().len(), commits.released()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_cannot_be_stored_now_holds_up_no_other() {
    let double = Double::default();
    let commits = double.commits.clone();
    let bus = double.bus(2).await;
    for n in 0..6 {
        let message = Message::new(n.to_string()).to_partition(n % 2);
        bus.publish_message("t", message).await.unwrap();
    }
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    let mut open = Vec::new();
    for _ in 0..6 {
        open.push(soon("a delivery", subscription.next()).await.unwrap().unwrap());
    }
    commits.then([Answer::TransientIn(0); 6]);
    open.sort_by_key(|d| std::cmp::Reverse(d.position()));
    // The first of both, then one more of the other while the first is tried again.
    open.pop().unwrap().ack();
    open.pop().unwrap().ack();
    soon("the first commit", commits.wait(2)).await;
    let at = open.iter().rposition(|d| d.partition() == 1).unwrap();
    open.remove(at).ack();
    while commits
        .stored()
        .iter()
        .all(|d| (d.shard.partition, d.next) != (1, 2))
    {
        soon("another commit", commits.wait(commits.asked().len() + 1)).await;
    }
    assert!(commits.stored().iter().all(|d| d.shard.partition == 1));
    soon("the flush", subscription.flush()).await.unwrap();
    let mut stored: Vec<_> = commits
        .stored()
        .iter()
        .map(|d| (d.shard.partition, d.next))
        .collect();
    stored.sort();
    assert_eq!(stored, [(0, 1), (1, 1), (1, 2)], "once each");
}
