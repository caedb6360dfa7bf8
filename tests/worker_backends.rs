//! Workers on every backend, end to end: outputs, retries, dead letters, batches, restarts.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bus::{
    Bus, Delivery, ErrorKind, Message, Retry, Start, Topic,
    handler::Failure,
    worker::{Runner, Worker, worker},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;
use tower::{limit::ConcurrencyLimitLayer, timeout::TimeoutLayer};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);
const KEYS: u32 = 8;
/// Whose handler never ends by itself.
const HANGS: u32 = 1002;

#[derive(Clone)]
struct Doubler {
    tasks: String,
    results: String,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    calls: HashMap<u32, u32>,
    batches: Vec<usize>,
    successes: usize,
    errors: Vec<(u32, String)>,
}

impl Worker for Doubler {
    type Input = u32;
    type Output = u32;
    const NAME: &'static str = "doubler";
    const CONCURRENCY: usize = 4;
    const RETRY: Retry = Retry::fixed(Duration::from_millis(50)).max_retries(2);
    const DEAD_LETTER: Option<&'static str> = Some("{topic}.failed");

    fn topic(&self) -> Topic<u32> {
        Topic::named(&self.tasks).partitions(3)
    }
    fn output(&self) -> Option<Topic<u32>> {
        Some(Topic::named(&self.results).partitions(3))
    }
    async fn process(&self, number: &Delivery<u32>) -> Result<Option<u32>, Failure> {
        *self.told.lock().unwrap().calls.entry(**number).or_default() += 1;
        match **number {
            1000 => Err("as told".into()),
            1001 => Err(Failure::permanent("never").with_reason("validation")),
            HANGS => std::future::pending().await,
            n => Ok(Some(n * 2)),
        }
    }
    async fn process_batch(&self, numbers: &[Delivery<u32>]) -> Vec<Result<Option<u32>, Failure>> {
        self.told.lock().unwrap().batches.push(numbers.len());
        let mut outcomes = Vec::new();
        for number in numbers {
            outcomes.push(match (**number, number.attempt()) {
                (12, 1) => Err("the first time".into()),
                _ => self.process(number).await,
            });
        }
        outcomes
    }
    async fn on_success(&self, number: &Delivery<u32>, output: Option<&u32>) {
        assert_eq!(output, Some(&(**number * 2)));
        self.told.lock().unwrap().successes += 1;
    }
    async fn on_error(&self, number: &Delivery<u32>, error: &Failure) {
        self.told
            .lock()
            .unwrap()
            .errors
            .push((**number, error.to_string()));
    }
}

struct Rig {
    bus: Bus,
    doubler: Doubler,
}

impl Rig {
    async fn new(url: &str) -> Self {
        let bus = Bus::connect(url).await.unwrap();
        let id = Uuid::new_v4().simple().to_string();
        let doubler = Doubler {
            tasks: format!("tasks-{id}"),
            results: format!("results-{id}"),
            told: Arc::default(),
        };
        let topics = [doubler.topic().spec(), doubler.output().unwrap().spec()];
        bus.ensure_topics(topics).await.unwrap();
        Self { bus, doubler }
    }
    fn worker(&self) -> Runner<Doubler> {
        worker(self.doubler.clone())
    }
    async fn publish(&self, numbers: impl IntoIterator<Item = u32>) {
        let message = |n: u32| Message::new(n.to_string()).keyed(format!("k{}", n % KEYS));
        let batch = numbers.into_iter().map(message).collect();
        for outcome in self.bus.publish_batch(&self.doubler.tasks, batch).await {
            outcome.unwrap();
        }
    }
    /// What a topic holds once it holds so much, in the order of its partitions.
    async fn stored(&self, topic: &str, count: usize) -> Vec<Message> {
        let begun = Instant::now();
        let topic: Topic<Vec<u8>, bus::Raw> = Topic::named(topic);
        loop {
            let all = self
                .bus
                .observe(&topic)
                .start(Start::Earliest)
                .until(Start::Latest)
                .await;
            let mut found = Vec::new();
            match all {
                Ok(mut all) => {
                    while let Some(delivery) = all.next().await {
                        let delivery = delivery.unwrap();
                        found.push(delivery.record().to_message());
                        delivery.ack();
                    }
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::TopicMissing, "{error}"),
            }
            if found.len() >= count {
                return found;
            }
            let missing = format!("{} of {count} in {}", found.len(), topic.name());
            assert!(begun.elapsed() < PATIENCE, "{missing}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    fn told<R>(&self, look: impl FnOnce(&mut Told) -> R) -> R {
        look(&mut self.doubler.told.lock().unwrap())
    }
}

fn numbers(messages: &[Message]) -> Vec<u32> {
    let number = |m: &Message| {
        std::str::from_utf8(m.payload.as_ref().unwrap())
            .unwrap()
            .parse()
            .unwrap()
    };
    messages.iter().map(number).collect()
}

async fn one_by_one(url: &str, exactly_once: bool) {
    let rig = Rig::new(url).await;
    let run = || {
        let runner = rig.worker();
        runner.subscription(move |s| if exactly_once { s.exactly_once() } else { s })
    };
    let running = run().start(&rig.bus).await.unwrap();
    rig.publish((0..80).chain([1000, 1001])).await;
    let broken = rig.bus.publish_bytes(&rig.doubler.tasks, "{broken").key("k0");
    broken.await.unwrap();
    let failed = format!("{}.failed", rig.doubler.tasks);
    let letters = rig.stored(&failed, 3).await;
    let results = rig.stored(&rig.doubler.results, 80).await;
    running.drain(Duration::from_secs(20)).await.unwrap();

    // Each once, each key in its order.
    let mut by_key: HashMap<_, Vec<u32>> = HashMap::new();
    for (message, number) in results.iter().zip(numbers(&results)) {
        by_key
            .entry(message.key.clone().unwrap())
            .or_default()
            .push(number);
    }
    assert_eq!((results.len(), by_key.len()), (80, KEYS as usize));
    for (key, numbers) in by_key {
        let first: u32 = std::str::from_utf8(&key[1..]).unwrap().parse().unwrap();
        let expected: Vec<_> = (first..80).step_by(KEYS as usize).map(|n| n * 2).collect();
        assert_eq!(numbers, expected);
    }
    let mut said: Vec<_> = letters
        .iter()
        .map(|letter| {
            let text = |h| String::from_utf8_lossy(letter.headers.get(h).unwrap()).into_owned();
            (text("bus-reason"), text("bus-attempts"))
        })
        .collect();
    said.sort();
    let expected = [("max-attempts", "3"), ("undecodable", "1"), ("validation", "1")];
    assert_eq!(
        said,
        expected.map(|(reason, attempts)| (reason.to_owned(), attempts.to_owned()))
    );
    rig.told(|told| {
        told.errors.sort();
        assert_eq!(
            told.errors,
            [(1000, "as told".to_owned()), (1001, "never".to_owned())]
        );
        assert_eq!((told.successes, told.calls[&1000], told.calls[&1001]), (80, 3, 1));
    });

    // What was settled does not come again.
    rig.told(|told| told.calls.clear());
    let running = run().start(&rig.bus).await.unwrap();
    rig.publish([80]).await;
    assert_eq!(rig.stored(&rig.doubler.results, 81).await.len(), 81);
    running.drain(Duration::from_secs(20)).await.unwrap();
    rig.told(|told| assert_eq!(told.calls, HashMap::from([(80, 1)])));
}

/// A time limit and a limit of calls around the worker: what hangs fails by the first, and holds up one of two calls of the
/// second, but not its neighbours.
async fn under_layers(url: &str) {
    let rig = Rig::new(url).await;
    let limited = rig
        .worker()
        .layer(TimeoutLayer::new(Duration::from_millis(300)))
        .layer(ConcurrencyLimitLayer::new(2));
    let running = limited.start(&rig.bus).await.unwrap();
    rig.publish((0..16).chain([HANGS])).await;
    let letters = rig.stored(&format!("{}.failed", rig.doubler.tasks), 1).await;
    let results = rig.stored(&rig.doubler.results, 16).await;
    running.drain(Duration::from_secs(20)).await.unwrap();
    let mut results = numbers(&results);
    results.sort_unstable();
    assert_eq!(results, (0..16).map(|n| n * 2).collect::<Vec<_>>());
    assert_eq!(numbers(&letters), [HANGS]);
    let text = |name| letters[0].headers.get(name).map(String::from_utf8_lossy);
    assert_eq!(text("bus-attempts").as_deref(), Some("3"));
    rig.told(|told| {
        assert_eq!(told.errors, [(HANGS, "request timed out".to_owned())]);
        assert_eq!(told.calls[&HANGS], 3);
    });
}

async fn in_batches(url: &str) {
    let rig = Rig::new(url).await;
    let unkeyed = (0..25).map(|n: u32| Message::new(n.to_string())).collect();
    for outcome in rig.bus.publish_batch(&rig.doubler.tasks, unkeyed).await {
        outcome.unwrap();
    }
    let runner = rig.worker().concurrency(1).batch_size(10);
    let running = runner
        .batch_timeout(Duration::from_millis(300))
        .start(&rig.bus)
        .await
        .unwrap();
    let results = rig.stored(&rig.doubler.results, 25).await;
    running.drain(Duration::from_secs(20)).await.unwrap();
    let mut results = numbers(&results);
    results.sort_unstable();
    assert_eq!(results, (0..25).map(|n| n * 2).collect::<Vec<_>>());
    rig.told(|told| {
        assert!(
            told.calls.values().all(|calls| *calls == 1),
            "only what failed is tried again"
        );
        assert!(told.batches.iter().all(|size| *size <= 10), "{:?}", told.batches);
        assert_eq!(told.batches.iter().sum::<usize>(), 26, "{:?}", told.batches);
        assert_eq!((told.successes, told.errors.len()), (25, 0));
    });
}

#[cfg(any(feature = "kafka", feature = "redis"))]
fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("set {variable} or run `cargo xtask test`"))
}

macro_rules! on {
    ($backend:ident, $url:expr) => {
        mod $backend {
            #[tokio::test]
            async fn one_by_one() {
                crate::one_by_one(&$url, false).await;
            }
            #[tokio::test]
            async fn one_by_one_exactly_once() {
                crate::one_by_one(&$url, true).await;
            }
            #[tokio::test]
            async fn under_layers() {
                crate::under_layers(&$url).await;
            }
            #[tokio::test]
            async fn in_batches() {
                crate::in_batches(&$url).await;
            }
        }
    };
}

#[cfg(feature = "memory")]
on!(memory, "memory://");
#[cfg(feature = "kafka")]
on!(kafka, format!("kafka://{}", crate::server("BUS_TEST_KAFKA")));
#[cfg(feature = "redis")]
on!(redis, crate::server("BUS_TEST_REDIS"));
