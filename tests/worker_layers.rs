//! Tower layers around workers: timeout and concurrency limit, for single messages and for batches.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;

use apps::{Seen, Warnings, memory, read, soon, text};
use bus::{
    Delivery, Retry, Topic,
    handler::Failure,
    worker::{Outcomes, Work, Worker, worker},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tower::{
    limit::ConcurrencyLimitLayer,
    timeout::TimeoutLayer,
    util::{MapRequestLayer, MapResultLayer},
};

const GRACE: Duration = Duration::from_secs(10);

/// Sleeps as many seconds as its message says.
#[derive(Clone, Default)]
struct Slow {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    calls: Seen<(u64, u32)>,
    batches: Seen<usize>,
    done: Seen<u64>,
    failed: Seen<String>,
}

impl Worker for Slow {
    type Input = u64;
    type Output = ();
    const NAME: &'static str = "slow";
    const CONCURRENCY: usize = 8;
    const RETRY: Retry = Retry::fixed(Duration::from_secs(1)).max_retries(1);
    fn topic(&self) -> Topic<u64> {
        Topic::new("t")
    }
    async fn process(&self, seconds: &Delivery<u64>) -> Result<Option<()>, Failure> {
        self.calls.push((**seconds, seconds.attempt()));
        self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
        tokio::time::sleep(Duration::from_secs(**seconds)).await;
        self.now.fetch_sub(1, SeqCst);
        Ok(None)
    }
    async fn process_batch(&self, tasks: &[Delivery<u64>]) -> Vec<Result<Option<()>, Failure>> {
        self.batches.push(tasks.len());
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(self.process(task).await);
        }
        outcomes
    }
    async fn on_success(&self, seconds: &Delivery<u64>, _: Option<&()>) {
        self.done.push(**seconds);
    }
    async fn on_error(&self, _: &Delivery<u64>, error: &Failure) {
        self.failed.push(error.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_a_failure_that_is_tried_again_and_dead_lettered() {
    let (bus, slow) = (memory().await, Slow::default());
    for seconds in [3600, 0] {
        bus.publish("t", &seconds).await.unwrap();
    }
    let limited = worker(slow.clone()).layer(TimeoutLayer::new(Duration::from_secs(10)));
    let running = limited.start(&bus).await.unwrap();
    assert_eq!(slow.failed.reach(1).await, ["request timed out"]);
    let letters = read(&bus, "t.slow.dlq", 1).await;
    assert_eq!(letters[0].payload(), Some(&b"3600"[..]));
    let said = ["bus-attempts", "bus-reason", "bus-error"].map(|name| text(&letters[0], name));
    assert_eq!(said, ["2", "max-attempts", "request timed out"].map(Some));
    let mut calls = slow.calls.all();
    calls.sort_unstable();
    assert_eq!(calls, [(0, 1), (3600, 1), (3600, 2)]);
    assert_eq!(slow.done.all(), [0]);
    running.drain(GRACE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_a_batch_is_a_failure_of_each_of_its_messages() {
    let (bus, slow) = (memory().await, Slow::default());
    for seconds in [1, 3600] {
        bus.publish("t", &seconds).await.unwrap();
    }
    let runner = worker(slow.clone()).batch_size(2).retry(Retry::never());
    let limited = runner.layer(TimeoutLayer::new(Duration::from_secs(10)));
    let running = limited.start(&bus).await.unwrap();
    assert_eq!(slow.failed.reach(2).await, ["request timed out"; 2]);
    for letter in read(&bus, "t.slow.dlq", 2).await {
        assert_eq!(text(&letter, "bus-error"), Some("request timed out"));
    }
    assert_eq!(slow.done.all(), [0; 0], "one call, one limit");
    running.drain(GRACE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_limit_allows_fewer_than_the_concurrency() {
    for (batch, limit, most) in [(1, 3, 3), (1, 100, 8), (2, 3, 3)] {
        let (bus, slow) = (memory().await, Slow::default());
        for _ in 0..24 {
            bus.publish("t", &1).await.unwrap();
        }
        let limited = worker(slow.clone()).batch_size(batch);
        let limited = limited.layer(ConcurrencyLimitLayer::new(limit));
        let running = limited.start(&bus).await.unwrap();
        slow.done.reach(24).await;
        assert_eq!(slow.most.load(SeqCst), most, "{limit} of batches of {batch}");
        running.drain(GRACE).await.unwrap();
    }
}

/// What a layer says of a call is kept whole, for each message.
#[tokio::test(start_paused = true)]
async fn a_permanent_failure_of_a_layer_is_permanent_for_each_message() {
    for batch in [1, 2] {
        let (bus, slow) = (memory().await, Slow::default());
        for _ in 0..2 {
            bus.publish("t", &0).await.unwrap();
        }
        let refused = |_| Err::<Outcomes<()>, _>(Failure::permanent("closed").with_reason("policy"));
        let runner = worker(slow.clone())
            .batch_size(batch)
            .layer(MapResultLayer::new(refused));
        let running = runner.start(&bus).await.unwrap();
        slow.failed.reach(2).await;
        for letter in read(&bus, "t.slow.dlq", 2).await {
            let said = ["bus-attempts", "bus-reason", "bus-error"].map(|name| text(&letter, name));
            assert_eq!(said, ["1", "policy", "closed"].map(Some));
        }
        running.drain(GRACE).await.unwrap();
    }
}

/// The last layer is called first, and sees the messages of its call.
#[tokio::test(start_paused = true)]
async fn layers_see_the_messages_of_a_call_from_the_last_one_in() {
    for (batch, messages, size, batches) in [(1, 2, 1, &[][..]), (2, 2, 2, &[2]), (2, 1, 1, &[1])] {
        let (bus, slow, order) = (memory().await, Slow::default(), Seen::default());
        for seconds in 0..messages {
            bus.publish("t", &seconds).await.unwrap();
        }
        let noted = |name: &'static str| {
            let order = order.clone();
            MapRequestLayer::new(move |work: Work<u64>| {
                order.push((name, work.tasks().len()));
                work
            })
        };
        let runner = worker(slow.clone()).batch_size(batch).concurrency(1);
        let running = runner
            .layer(noted("inner"))
            .layer(noted("outer"))
            .start(&bus)
            .await
            .unwrap();
        slow.done.reach(messages as usize).await;
        assert_eq!(order.all()[..2], [("outer", size), ("inner", size)]);
        assert_eq!(slow.batches.all(), batches);
        running.drain(GRACE).await.unwrap();
    }
}

/// A clone that outlives its call cannot be settled twice: its message comes again, once it is let go.
#[tokio::test(start_paused = true)]
async fn what_a_layer_keeps_is_tried_again_once_it_lets_go() {
    let (bus, slow) = (memory().await, Slow::default());
    bus.publish("t", &0).await.unwrap();
    let warnings = Warnings::default();
    let _listening = warnings.listen();
    let kept = Arc::new(Mutex::new(None));
    let keeping = {
        let (kept, calls) = (kept.clone(), AtomicUsize::new(0));
        let calls = Arc::new(calls);
        MapRequestLayer::new(move |work: Work<u64>| {
            if calls.fetch_add(1, SeqCst) == 0 {
                *kept.lock().unwrap() = Some(work.clone());
            }
            work
        })
    };
    let running = worker(slow.clone()).layer(keeping).start(&bus).await.unwrap();
    slow.calls.reach(1).await;
    soon("the warning", async {
        while warnings.all().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!((slow.calls.count(), slow.done.count()), (1, 0));
    drop(kept.lock().unwrap().take());
    slow.done.reach(1).await;
    assert_eq!(slow.calls.count(), 2);
    running.drain(GRACE).await.unwrap();
}
