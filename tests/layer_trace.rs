//! Spans with OpenTelemetry's names, and nothing allocated for them when nobody looks.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;
mod spans;

use bus::{
    Backend, Bus, Message, Raw, Topic, TopicSpec,
    backend::Memory,
    layer::{Fault, Faults, Plan, Trace},
};
use doubles::soon;
use spans::Recorder;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::Arc,
};

const T: Topic<String, Raw> = Topic::new("t");

struct Counting;

thread_local! {
    static ALLOCATED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no counter any more.
        let _ = ALLOCATED.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Allocations of this thread for a hundred publishes.
async fn allocations(backend: Arc<dyn Backend>) -> u64 {
    backend.admin().create(&[TopicSpec::new("t")]).await.unwrap();
    let publisher = backend.publisher().await.unwrap();
    let mut total = 0;
    // The first ones make what stays.
    for n in 0..1_100 {
        let batch = vec![Message::new("payload")];
        let before = ALLOCATED.with(Cell::get);
        let outcomes = publisher.publish_batch("t", batch).await;
        let after = ALLOCATED.with(Cell::get);
        assert!(outcomes[0].is_ok());
        total += if n < 1_000 { 0 } else { after - before };
    }
    total
}

#[tokio::test]
async fn nothing_is_allocated_when_nobody_looks() {
    let plain = allocations(Arc::new(Memory::new())).await;
    let traced = allocations(Arc::new(Trace::new(Arc::new(Memory::new())))).await;
    assert_eq!(traced, plain);

    // The count counts: with somebody looking there is more.
    let recorder = Recorder::default();
    let _guard = recorder.clone().install();
    let seen = allocations(Arc::new(Trace::new(Arc::new(Memory::new())))).await;
    assert!(seen > plain, "{seen} {plain}");
}

#[tokio::test(start_paused = true)]
async fn batches_commits_and_calls_have_spans() {
    let recorder = Recorder::default();
    let _guard = recorder.clone().install();
    let trace = Trace::new(Arc::new(Memory::new()));
    let bus = Bus::new(Arc::new(trace)).await.unwrap();
    bus.ensure_topics([TopicSpec::new("t").partitions(1)])
        .await
        .unwrap();
    bus.publish_batch("t", vec![Message::new("a"), Message::new("b")])
        .await;
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    for _ in 0..2 {
        soon("a delivery", subscription.next())
            .await
            .unwrap()
            .unwrap()
            .ack();
    }
    subscription.close().await.unwrap();

    let publish = recorder.span("publish");
    assert_eq!(publish["otel.name"], "publish t");
    assert_eq!(publish["otel.kind"], "producer");
    assert_eq!(publish["messaging.system"], "memory");
    assert_eq!(publish["messaging.destination.name"], "t");
    assert_eq!(publish["messaging.operation.type"], "send");
    assert_eq!(publish["messaging.batch.message_count"], "2");
    assert!(!publish.contains_key("error.type"));

    let receive = recorder.span("receive");
    assert_eq!(receive["otel.name"], "receive t");
    assert_eq!(receive["messaging.consumer.group.name"], "g");
    assert_eq!(receive["messaging.destination.partition.id"], "0");
    assert_eq!(receive["messaging.operation.type"], "receive");
    assert_eq!(receive["messaging.batch.message_count"], "2");
    assert_eq!(receive["bus.position"], "0");
    assert_eq!(recorder.spans("receive").len(), 1, "one a batch, none a message");

    let commit = recorder.span("commit");
    assert_eq!(commit["messaging.operation.type"], "settle");
    assert_eq!((&*commit["bus.partitions"], &*commit["bus.outputs"]), ("1", "0"));

    let calls: Vec<_> = recorder
        .spans("call")
        .iter()
        .map(|span| span["otel.name"].clone())
        .collect();
    for name in [
        "open_publisher",
        "create_topics",
        "subscribe",
        "release",
        "unsubscribe",
    ] {
        assert!(
            calls.iter().any(|call| call == name),
            "{name} is not among {calls:?}"
        );
    }
    let events = recorder.events();
    assert!(
        events.iter().any(|event| event.contains("partition gained")),
        "{events:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn failures_are_on_their_spans() {
    let recorder = Recorder::default();
    let _guard = recorder.clone().install();
    let faults = Faults::new(Arc::new(Memory::new()), Plan::none());
    let trace = Trace::new(Arc::new(faults.clone()));
    let bus = Bus::new(Arc::new(trace)).await.unwrap();
    bus.ensure_topics([TopicSpec::new("t").partitions(1)])
        .await
        .unwrap();
    faults.next(Fault::LostReply);
    let outcomes = bus
        .publish_batch("t", vec![Message::new("a"), Message::new("b")])
        .await;
    assert_eq!(outcomes.iter().filter(|o| o.is_err()).count(), 2);
    let publish = recorder.span("publish");
    assert_eq!(
        (&*publish["error.type"], &*publish["otel.status_code"]),
        ("timeout", "ERROR")
    );
    assert_eq!(publish["bus.unsent"], "2");

    faults.next(Fault::LostCommit);
    let mut subscription = bus.subscribe(&T, "g").await.unwrap();
    soon("a delivery", subscription.next())
        .await
        .unwrap()
        .unwrap()
        .ack();
    soon("a flush", subscription.flush()).await.unwrap();
    let failed: Vec<_> = recorder
        .spans("commit")
        .into_iter()
        .filter(|s| s.contains_key("error.type"))
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["error.type"], "unavailable");

    faults.next(Fault::TakenAway);
    bus.publish_message("t", Message::new("c")).await.unwrap();
    soon("the loss", async {
        while !recorder
            .events()
            .iter()
            .any(|event| event.contains("partition lost"))
        {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;

    assert!(bus.admin().delete("missing").await.is_err());
    let calls = recorder.spans("call");
    let delete = calls
        .iter()
        .find(|span| span["otel.name"] == "delete_topic")
        .unwrap();
    assert_eq!(
        (&*delete["error.type"], &*delete["messaging.destination.name"]),
        ("topic_missing", "missing")
    );
}

#[tokio::test(start_paused = true)]
async fn the_trace_context_travels_in_headers() {
    let recorder = Recorder::default();
    let _guard = recorder.clone().install();
    let inside = recorder.clone();
    let trace = Trace::new(Arc::new(Memory::new())).inject(move |headers| {
        headers.push("traceparent", format!("00-in-{}", inside.current()));
    });
    let bus = Bus::new(Arc::new(trace)).await.unwrap();
    bus.ensure_topics([TopicSpec::new("t").partitions(1)])
        .await
        .unwrap();
    let limit = bus.backend().limits().message;
    let known = Message::new("b").header("traceparent", "theirs");
    let full = Message::new(vec![b'x'; limit]);
    for outcome in bus.publish_batch("t", vec![Message::new("a"), known, full]).await {
        outcome.unwrap();
    }
    let mut subscription = bus.subscribe(&T, "g").in_flight_bytes(2 * limit).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let delivery = soon("a delivery", subscription.next()).await.unwrap().unwrap();
        let headers = delivery.headers();
        seen.push((
            headers.text("traceparent").map(str::to_owned),
            headers.iter().count(),
        ));
        delivery.ack();
    }
    let expected = [
        (Some("00-in-publish".to_owned()), 1),
        (Some("theirs".to_owned()), 1),
        (None, 0),
    ];
    assert_eq!(seen, expected);
}
