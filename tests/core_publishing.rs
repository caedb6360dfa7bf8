//! Publishing between the application and a publisher that answers late, never, or out of order.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use bus::{Bus, Message};
use doubles::{Double, Manual, idle, soon};
use futures_util::FutureExt;
use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

/// One message of so many mebibytes fills this share of the gate's 64.
const MIB: usize = 1 << 20;

async fn manual() -> (Bus, Arc<Manual>) {
    let manual = Arc::new(Manual::default());
    let double = Double {
        publisher: Some(manual.clone()),
        ..Double::default()
    };
    (double.bus(1).await, manual)
}

fn named(name: &str) -> Vec<Message> {
    vec![Message::new(name.to_owned())]
}

fn large(mib: usize) -> Vec<Message> {
    vec![Message::new(vec![b'x'; mib * MIB])]
}

fn in_runtime<R>(runtime: &tokio::runtime::Runtime, call: impl FnOnce() -> R) -> R {
    let _entered = runtime.enter();
    call()
}

/// The payloads that are not filling.
fn names(manual: &Manual) -> Vec<String> {
    let seen = manual.seen().into_iter().map(|(_, name)| name);
    seen.filter(|name| name.len() < 100).collect()
}

#[tokio::test]
async fn calls_keep_their_order_across_waiting_for_room() {
    let (bus, manual) = manual().await;
    let full = bus.publish_batch("t", large(64));
    let (first, second) = (
        bus.publish_batch("t", named("1")),
        bus.publish_batch("t", named("2")),
    );
    assert_eq!(manual.count(), 1, "there is no room for the others");
    manual.answer(0, true);
    assert!(soon("the answer", full).await[0].is_ok());
    let third = bus.publish_batch("t", named("3"));
    assert_eq!(names(&manual), ["1", "2", "3"]);
    for (batch, publishing) in [(3, third.boxed()), (1, first.boxed()), (2, second.boxed())] {
        manual.answer(batch, true);
        assert!(soon("the answer", publishing).await[0].is_ok());
    }
}

#[tokio::test]
async fn a_batch_over_the_whole_bound_passes_alone_and_in_turn() {
    let (bus, manual) = manual().await;
    let small = bus.publish_batch("t", named("1"));
    let over = bus.publish_batch("t", large(65));
    let behind = bus.publish_batch("t", named("2"));
    assert_eq!(manual.count(), 1);
    manual.answer(0, true);
    soon("the small one", small).await;
    assert_eq!(manual.count(), 2, "the large one is alone");
    manual.answer(1, true);
    soon("the large one", over).await;
    manual.answer(2, true);
    assert!(soon("what waited behind it", behind).await[0].is_ok());
}

#[tokio::test]
async fn room_comes_back_from_dropped_futures() {
    let (bus, manual) = manual().await;
    let waiting = {
        let full = bus.publish_batch("t", large(64));
        let queued = bus.publish_batch("t", large(64));
        let waiting = bus.publish_batch("t", named("1"));
        drop((full, queued));
        waiting
    };
    manual.answer(0, true);
    soon("the one that was dropped unsent", manual.taken(2)).await;
    manual.answer(1, true);
    soon("what waited behind it", manual.taken(3)).await;
    manual.answer(2, true);
    assert!(soon("the answer", waiting).await[0].is_ok());
}

#[test]
fn room_comes_back_from_futures_that_outlive_the_runtime_they_were_made_in() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (first, second) = (runtime(), runtime());
    let (bus, manual) = first.block_on(manual());
    let full = in_runtime(&first, || bus.publish_batch("t", large(64)));
    // Outside of any runtime; the first one is still there, and waits for the answer.
    drop(full);
    manual.answer(0, true);
    first.block_on(async {
        let next = bus.publish_batch("t", named("1"));
        soon("room", manual.taken(2)).await;
        manual.answer(1, true);
        soon("the answer", next).await;
    });
    let full = in_runtime(&first, || bus.publish_batch("t", large(64)));
    drop(full);
    drop(first);
    second.block_on(async {
        let next = bus.publish_batch("t", named("2"));
        soon("room, after the runtime has gone", manual.taken(4)).await;
        drop(next);
    });
}

#[tokio::test]
async fn a_flush_waits_for_every_message_before_it_whatever_is_answered_first() {
    let (bus, manual) = manual().await;
    bus.enqueue("slow", Message::new("1")).await.unwrap();
    soon("the first batch", manual.taken(1)).await;
    let mut flush = Box::pin(bus.flush(Duration::from_secs(60)));
    assert!(flush.as_mut().now_or_never().is_none());
    bus.enqueue("quick", Message::new("2")).await.unwrap();
    soon("the second batch", manual.taken(2)).await;
    manual.answer(1, false);
    idle().await;
    assert!(
        flush.as_mut().now_or_never().is_none(),
        "its own message has no outcome yet"
    );
    manual.answer(0, true);
    let unconfirmed = soon("the flush", flush).await.unwrap();
    assert_eq!(unconfirmed.messages, 1, "what failed since the last flush");
    assert_eq!(&*unconfirmed.errors[0].0, "quick");
    assert_eq!(bus.flush(Duration::from_secs(1)).await.unwrap().messages, 0);
}

#[tokio::test]
async fn what_is_enqueued_is_bounded_in_bytes() {
    let (bus, manual) = manual().await;
    let sender = {
        let bus = bus.clone();
        tokio::spawn(async move {
            for _ in 0..1_000 {
                bus.enqueue("t", Message::new(vec![b'x'; MIB])).await.unwrap();
            }
        })
    };
    soon("the first batch", manual.taken(1)).await;
    idle().await;
    assert!(
        !sender.is_finished(),
        "a thousand mebibytes were taken without an answer"
    );
    let mut last = 0;
    while bus.flush(Duration::from_millis(1)).await.is_err() {
        for batch in last..manual.count() {
            manual.answer(batch, true);
        }
        last = manual.count().max(last);
    }
}

#[tokio::test]
async fn closing_sends_what_waits_for_room_first() {
    let (bus, manual) = manual().await;
    // Nobody looks at this answer, so its room does not come back.
    let _full = bus.publish_batch("t", large(64));
    let queued = bus.publish_batch("t", named("1"));
    bus.enqueue("t", Message::new("2")).await.unwrap();
    idle().await;
    let closing = tokio::spawn({
        let bus = bus.clone();
        async move { bus.close().await }
    });
    soon("both", manual.taken(3)).await;
    assert!(!manual.closed.load(SeqCst));
    for batch in 0..3 {
        manual.answer(batch, true);
    }
    soon("the close", closing).await.unwrap().unwrap();
    assert!(soon("the answer", queued).await[0].is_ok());
    assert!(bus.enqueue("t", Message::new("3")).await.is_err());
    let refused = bus.publish_batch("t", named("4")).await;
    assert!(!refused[0].as_ref().unwrap_err().is_unknown());
    assert_eq!(manual.count(), 3);
}
