//! Workers: tries, hooks, outputs, batches, concurrency, dead letters; on memory with a paused clock.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use bus::{
    Bus, Delivery, ErrorKind, Message, Order, Retry, Start, Topic,
    handler::{Failure, Running},
    worker::{Worker, worker},
};
use doubles::{idle, soon};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

const SECOND: Duration = Duration::from_secs(1);
static TASKS: Topic<Task> = Topic::new("tasks").partitions(3);
const RESULTS: Topic<Done> = Topic::new("results").partitions(3);
const LETTERS: Topic<Task> = Topic::new("tasks-dlq").partitions(3);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Task {
    number: u32,
    /// What goes wrong with it.
    fails: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Done {
    status: String,
    result: String,
}

/// What happened, in the order in which it did.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Call {
        number: u32,
        attempt: u32,
        at: Duration,
    },
    Batch(Vec<u32>, Duration),
    Success(u32, Option<Done>),
    /// With how many dead letters there were by then.
    Error(u32, String, usize),
}

struct TaskWorker {
    tell: mpsc::UnboundedSender<Told>,
    begun: Instant,
    bus: Bus,
    /// What a batch gives instead of one outcome for each.
    gives: usize,
    outputs: bool,
}

impl TaskWorker {
    fn work(&self, task: &Delivery<Task>) -> Result<Option<Done>, Failure> {
        match task.fails.as_deref() {
            Some("always") => Err("as told".into()),
            Some("once") if task.attempt() == 1 => Err("the first time".into()),
            Some("for good") => Err(Failure::permanent("never again")),
            Some("later") if task.attempt() == 1 => Err(Failure::retry_after(SECOND * 10, "not yet")),
            Some("class") => Err(Failure::permanent("no user").with_reason("validation")),
            Some("panic") => panic!("as told"),
            Some("nothing") => Ok(None),
            Some("empty") => Ok(Some(Done {
                status: String::new(),
                result: String::new(),
            })),
            _ => Ok(Some(Done {
                status: "completed".to_owned(),
                result: task.number.to_string(),
            })),
        }
    }
}

impl Worker for TaskWorker {
    type Input = Task;
    type Output = Done;
    const NAME: &'static str = "TaskWorker";
    const DEAD_LETTER: Option<&'static str> = Some("tasks-dlq");

    fn topic(&self) -> Topic<Task> {
        TASKS.clone()
    }
    fn output(&self) -> Option<Topic<Done>> {
        self.outputs.then_some(RESULTS)
    }
    async fn process(&self, task: &Delivery<Task>) -> Result<Option<Done>, Failure> {
        let call = Told::Call {
            number: task.number,
            attempt: task.attempt(),
            at: self.begun.elapsed(),
        };
        self.tell.send(call).unwrap();
        self.work(task)
    }
    async fn process_batch(&self, tasks: &[Delivery<Task>]) -> Vec<Result<Option<Done>, Failure>> {
        let numbers = tasks.iter().map(|task| task.number).collect();
        self.tell
            .send(Told::Batch(numbers, self.begun.elapsed()))
            .unwrap();
        tasks
            .iter()
            .take(self.gives)
            .map(|task| self.work(task))
            .collect()
    }
    async fn on_success(&self, task: &Delivery<Task>, output: Option<&Done>) {
        self.tell
            .send(Told::Success(task.number, output.cloned()))
            .unwrap();
        assert_ne!(task.number, 666, "a hook that panics");
    }
    async fn on_error(&self, task: &Delivery<Task>, error: &Failure) {
        let letters = stored(&self.bus, "tasks-dlq").await;
        self.tell
            .send(Told::Error(task.number, error.to_string(), letters))
            .unwrap();
        assert_ne!(task.number, 666, "a hook that panics");
    }
}

async fn stored(bus: &Bus, topic: &str) -> usize {
    let ends = bus.admin().positions(topic, Start::Latest).await.unwrap();
    let starts = bus.admin().positions(topic, Start::Earliest).await.unwrap();
    let count = |positions: Vec<(u32, u128)>| positions.iter().map(|(_, p)| p).sum::<u128>();
    (count(ends) - count(starts)) as usize
}

struct Rig {
    bus: Bus,
    told: mpsc::UnboundedReceiver<Told>,
    tell: mpsc::UnboundedSender<Told>,
}

impl Rig {
    async fn new() -> Self {
        let bus = Bus::connect("memory://").await.unwrap();
        bus.ensure_topics([TASKS.spec(), RESULTS.spec(), LETTERS.spec()])
            .await
            .unwrap();
        let (tell, told) = mpsc::unbounded_channel();
        Self { bus, told, tell }
    }
    fn worker(&self) -> TaskWorker {
        TaskWorker {
            tell: self.tell.clone(),
            begun: Instant::now(),
            bus: self.bus.clone(),
            gives: usize::MAX,
            outputs: true,
        }
    }
    async fn publish(&self, number: u32, fails: impl Into<Option<&str>>) {
        let fails = fails.into().map(str::to_owned);
        let publish = self.bus.publish(&TASKS, &Task { number, fails });
        publish.key(number.to_string()).await.unwrap();
    }
    async fn told(&mut self) -> Told {
        soon("what happens next", self.told.recv()).await.unwrap()
    }
    /// Everything up to the first that `ends`.
    async fn until(&mut self, ends: impl Fn(&Told) -> bool) -> Vec<Told> {
        let mut all = vec![self.told().await];
        while !all.last().is_some_and(&ends) {
            all.push(self.told().await);
        }
        all
    }
    async fn end(&mut self, running: Running) {
        soon("the drain", running.drain(SECOND)).await.unwrap();
        idle().await;
        assert_eq!(self.told.try_recv().ok(), None, "nothing happened behind it");
    }
    /// What a topic holds, in the order of its partitions.
    async fn all(&self, topic: &str) -> Vec<(Message, Option<serde_json::Value>)> {
        let topic: Topic<Option<serde_json::Value>> = Topic::named(topic);
        let mut all = self
            .bus
            .observe(&topic)
            .start(Start::Earliest)
            .until(Start::Latest)
            .await
            .unwrap();
        let mut found = Vec::new();
        while let Some(delivery) = soon("what is stored", all.next()).await {
            let delivery = delivery.unwrap();
            found.push((delivery.record().to_message(), delivery.value().clone()));
            delivery.ack();
        }
        found
    }
}

fn text(message: &Message, header: &str) -> String {
    String::from_utf8_lossy(message.headers.get(header).unwrap_or_default()).into_owned()
}

fn calls(told: &[Told]) -> Vec<u64> {
    let at = |told: &Told| match told {
        // Waits are never shorter, and longer by the granularity of timers at most.
        Told::Call { at, .. } => {
            assert!(at.subsec_millis() <= 10, "{at:?}");
            Some(at.as_secs())
        }
        _ => None,
    };
    told.iter().filter_map(at).collect()
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_always_fails_is_called_four_times_and_leaves_one_dead_letter() {
    let policies = [
        (Retry::default(), [0, 1, 3, 7]),
        (Retry::exponential(SECOND).max_retries(3), [0, 1, 3, 7]),
        (Retry::linear(SECOND).max_retries(3), [0, 1, 3, 6]),
        (Retry::fixed(SECOND).max_retries(3), [0, 1, 2, 3]),
    ];
    for (retry, expected) in policies {
        let mut rig = Rig::new().await;
        rig.publish(1, "always").await;
        let running = worker(rig.worker()).retry(retry).start(&rig.bus).await.unwrap();
        let told = rig.until(|told| matches!(told, Told::Error(..))).await;
        assert_eq!(calls(&told), expected);
        assert_eq!(told.len(), 5, "one hook, behind the last call");
        assert_eq!(told[4], Told::Error(1, "as told".to_owned(), 0));
        rig.end(running).await;
        let letters = rig.all("tasks-dlq").await;
        assert_eq!(letters.len(), 1);
        let (letter, value) = &letters[0];
        assert_eq!(value.as_ref().unwrap()["number"], 1);
        let said = ["bus-attempts", "bus-reason", "bus-error", "bus-group"].map(|h| text(letter, h));
        assert_eq!(said, ["4", "max-attempts", "as told", "TaskWorker"]);
        assert!(rig.all("results").await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_task_becomes_an_output_with_the_key_and_trace_of_what_it_came_from() {
    let mut rig = Rig::new().await;
    let running = worker(rig.worker()).start(&rig.bus).await.unwrap();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let task = Task {
        number: 7,
        fails: None,
    };
    let publish = rig.bus.publish(&TASKS, &task).key("user-1");
    publish
        .header("ce_id", "cause")
        .header("ce_correlationid", "chain")
        .header("traceparent", trace)
        .header("other", "stays")
        .await
        .unwrap();
    let told = rig.until(|told| matches!(told, Told::Success(..))).await;
    let done = Done {
        status: "completed".to_owned(),
        result: "7".to_owned(),
    };
    assert_eq!(told[1..], [Told::Success(7, Some(done.clone()))]);
    // What comes to nothing is not published; what is empty is.
    rig.publish(8, "nothing").await;
    let told = rig.until(|told| matches!(told, Told::Success(..))).await;
    assert_eq!(told[1], Told::Success(8, None));
    rig.publish(9, "empty").await;
    rig.until(|told| matches!(told, Told::Success(..))).await;
    rig.end(running).await;

    let results = rig.all("results").await;
    assert_eq!(results.len(), 2);
    let find = |key: &'static str| {
        let keyed = move |(m, _): &&(Message, _)| m.key.as_deref() == Some(key.as_bytes());
        results.iter().find(keyed).unwrap()
    };
    let (message, value) = find("user-1");
    assert_eq!(value, &Some(serde_json::to_value(&done).unwrap()));
    assert_eq!(text(message, "traceparent"), trace);
    assert_eq!(text(message, "content-type"), "application/json");
    let chain = ["ce_correlationid", "ce_causationid", "other"].map(|h| text(message, h));
    assert_eq!(chain, ["chain", "cause", ""]);
    assert_eq!(find("9").1.as_ref().unwrap()["status"], "");
    assert!(rig.all("tasks-dlq").await.is_empty());
}

struct Shaped;

impl Worker for Shaped {
    type Input = Task;
    type Output = u32;
    const NAME: &'static str = "shaped";
    fn topic(&self) -> Topic<Task> {
        TASKS.clone()
    }
    fn output(&self) -> Option<Topic<u32>> {
        Some(Topic::new("results"))
    }
    async fn process(&self, task: &Delivery<Task>) -> Result<Option<u32>, Failure> {
        Ok(Some(task.number))
    }
    fn shape(&self, _: &Delivery<Task>, output: &u32, message: Message) -> Message {
        message
            .keyed(format!("own-{output}"))
            .header("traceparent", "own")
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_output_sets_is_not_inherited() {
    let rig = Rig::new().await;
    let running = worker(Shaped).start(&rig.bus).await.unwrap();
    let publish = rig.bus.publish(&TASKS, &Task::default()).key("user-1");
    publish.header("traceparent", "theirs").await.unwrap();
    soon("the result", async {
        while stored(&rig.bus, "results").await == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    running.drain(SECOND).await.unwrap();
    let (message, _) = rig.all("results").await.remove(0);
    assert_eq!(message.key.as_deref(), Some(&b"own-0"[..]));
    let traces = message.headers.iter().filter(|(n, _)| *n == b"traceparent");
    assert_eq!(traces.map(|(_, v)| v.unwrap()).collect::<Vec<_>>(), [b"own"]);
}

#[tokio::test(start_paused = true)]
async fn permanent_failures_are_not_tried_again_and_others_when_they_say() {
    let mut rig = Rig::new().await;
    let running = worker(rig.worker()).start(&rig.bus).await.unwrap();
    rig.publish(1, "for good").await;
    let told = rig.until(|told| matches!(told, Told::Error(..))).await;
    assert_eq!((told.len(), calls(&told)), (2, vec![0]));
    rig.publish(2, "later").await;
    let told = rig.until(|told| matches!(told, Told::Success(..))).await;
    assert_eq!(calls(&told), [0, 10]);
    rig.end(running).await;
    let letters = rig.all("tasks-dlq").await;
    assert_eq!(letters.len(), 1);
    let said = ["bus-attempts", "bus-reason", "bus-error"].map(|h| text(&letters[0].0, h));
    assert_eq!(said, ["1", "rejected", "never again"]);
}

#[tokio::test(start_paused = true)]
async fn panics_are_failures_and_those_of_hooks_change_nothing() {
    let mut rig = Rig::new().await;
    let retry = Retry::fixed(SECOND).max_retries(1);
    let running = worker(rig.worker()).retry(retry).start(&rig.bus).await.unwrap();
    rig.publish(666, "panic").await;
    let told = rig.until(|told| matches!(told, Told::Error(..))).await;
    assert_eq!(calls(&told), [0, 1]);
    assert_eq!(told[2], Told::Error(666, "panicked: as told".to_owned(), 0));
    rig.publish(666, None).await;
    let told = rig.until(|told| matches!(told, Told::Success(..))).await;
    assert_eq!(calls(&told).len(), 1);
    rig.end(running).await;
    assert_eq!(
        (rig.all("tasks-dlq").await.len(), rig.all("results").await.len()),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn batches_go_when_full_or_of_age_and_only_what_failed_is_tried_again() {
    let mut rig = Rig::new().await;
    for number in 0..25 {
        rig.publish(number, (number == 12).then_some("once")).await;
    }
    let batched = worker(rig.worker()).batch_size(10).batch_timeout(SECOND * 2);
    let running = batched.start(&rig.bus).await.unwrap();
    let (mut batches, mut successes) = (Vec::new(), 0);
    while successes < 25 {
        match rig.told().await {
            Told::Batch(numbers, at) => batches.push((numbers, at.as_millis() / 100)),
            Told::Success(..) => successes += 1,
            told => panic!("{told:?}"),
        }
    }
    let sizes: Vec<_> = batches.iter().map(|(numbers, at)| (numbers.len(), *at)).collect();
    // The failed one could run again after a second, and is of age two seconds later.
    assert_eq!(sizes, [(10, 0), (10, 0), (6, 20)]);
    assert_eq!(
        batches[2].0.iter().filter(|n| **n == 12).count(),
        1,
        "it joined the last"
    );
    rig.end(running).await;
    assert_eq!(rig.all("results").await.len(), 25);

    // With nothing to join, it is alone.
    rig.publish(100, "once").await;
    let running = worker(rig.worker()).batch_size(10).start(&rig.bus).await.unwrap();
    let told = rig.until(|told| matches!(told, Told::Success(..))).await;
    let at = |told: &Told| match told {
        Told::Batch(numbers, at) => Some((numbers.clone(), at.as_secs())),
        _ => None,
    };
    let batches: Vec<_> = told.iter().filter_map(at).collect();
    assert_eq!(batches, [(vec![100], 1), (vec![100], 3)]);
    rig.end(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_number_of_outcomes_fails_the_batch() {
    let mut rig = Rig::new().await;
    for number in 0..3 {
        rig.publish(number, None).await;
    }
    let worker_of_two = TaskWorker {
        gives: 2,
        ..rig.worker()
    };
    let runner = worker(worker_of_two).batch_size(3).retry(Retry::never());
    let running = runner.start(&rig.bus).await.unwrap();
    let mut errors = Vec::new();
    while errors.len() < 3 {
        match rig.told().await {
            Told::Batch(numbers, _) => assert_eq!(numbers.len(), 3),
            Told::Error(number, error, 0) => {
                assert!(error.contains("gave 2 outcomes for a batch of 3"), "{error}");
                errors.push(number);
            }
            told => panic!("{told:?}"),
        }
    }
    rig.end(running).await;
    errors.sort_unstable();
    assert_eq!(errors, [0, 1, 2]);
    assert!(rig.all("results").await.is_empty());
    assert_eq!(rig.all("tasks-dlq").await.len(), 3);
}

struct Parallel {
    starting: mpsc::UnboundedSender<(String, u32)>,
    go: Arc<Semaphore>,
    seen: Arc<Mutex<HashMap<String, Vec<u32>>>>,
}

impl Worker for Parallel {
    type Input = Task;
    type Output = ();
    const NAME: &'static str = "parallel";
    const CONCURRENCY: usize = 4;
    fn topic(&self) -> Topic<Task> {
        TASKS.clone()
    }
    async fn process(&self, task: &Delivery<Task>) -> Result<Option<()>, Failure> {
        let key = String::from_utf8(task.key().unwrap().to_vec())?;
        self.starting.send((key.clone(), task.number))?;
        self.go.acquire().await?.forget();
        self.seen
            .lock()
            .unwrap()
            .entry(key)
            .or_default()
            .push(task.number);
        Ok(None)
    }
}

#[tokio::test(start_paused = true)]
async fn four_at_a_time_over_eight_keys_are_four_in_flight_and_one_of_a_key() {
    let rig = Rig::new().await;
    for number in 0..40 {
        let task = Task { number, fails: None };
        let publish = rig.bus.publish(&TASKS, &task);
        publish.key(format!("k{}", number % 8)).await.unwrap();
    }
    let (starting, mut started) = mpsc::unbounded_channel();
    let (go, seen) = (Arc::new(Semaphore::new(0)), Arc::default());
    let parallel = Parallel {
        starting,
        go: go.clone(),
        seen: Arc::clone(&seen),
    };
    let running = worker(parallel).start(&rig.bus).await.unwrap();
    let mut keys = Vec::new();
    for _ in 0..4 {
        keys.push(soon("one of four", started.recv()).await.unwrap().0);
    }
    idle().await;
    assert!(started.try_recv().is_err(), "a fifth does not start");
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4, "one of a key");
    go.add_permits(40);
    for _ in 4..40 {
        soon("the rest", started.recv()).await.unwrap();
    }
    running.drain(SECOND).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!((seen.len(), seen.values().map(Vec::len).sum::<usize>()), (8, 40));
    assert!(seen.values().all(|numbers| numbers.is_sorted()));
}

#[tokio::test(start_paused = true)]
async fn settings_that_cannot_be_are_refused_with_the_place_before_anything_starts() {
    let rig = Rig::new().await;
    let refused = [
        (worker(rig.worker()).concurrency(0), "concurrency is 0"),
        (worker(rig.worker()).batch_size(0), "batch_size is 0"),
        (
            worker(rig.worker()).batch_size(2).batch_timeout(Duration::ZERO),
            "batch_timeout is 0",
        ),
        (worker(rig.worker()).group("my group"), "illegal name `my group`"),
        (worker(rig.worker()).dead_letter("tasks"), "`tasks`"),
    ];
    for (runner, expected) in refused {
        let error = runner.start(&rig.bus).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = worker(rig.worker())
        .concurrency(0)
        .start(&rig.bus)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("worker `TaskWorker` at tests/worker.rs:"),
        "{error}"
    );

    let missing = Bus::connect("memory://").await.unwrap();
    missing.ensure_topics([TASKS.spec()]).await.unwrap();
    let error = worker(rig.worker()).start(&missing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TopicMissing);
    assert!(
        error
            .to_string()
            .starts_with("outputs of worker `TaskWorker`: topic `results`"),
        "{error}"
    );
    // A worker without outputs needs no topic for them.
    let without = TaskWorker {
        outputs: false,
        ..rig.worker()
    };
    let runner = worker(without).subscription(|s| s.order(Order::None));
    runner.start(&missing).await.unwrap().drain(SECOND).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn dead_letters_go_where_the_worker_says_by_template_and_by_class() {
    let mut rig = Rig::new().await;
    let runner = worker(rig.worker()).dead_letter("dead/{group}/{topic}");
    let runner = runner.subscription(|s| {
        s.dead_letter_for("validation", "invalid.{topic}")
            .dead_letter_for("undecodable", "broken")
    });
    let running = runner.start(&rig.bus).await.unwrap();
    rig.bus.publish_bytes("tasks", "{broken").await.unwrap();
    for (number, fails) in [(1, "for good"), (2, "class")] {
        rig.publish(number, fails).await;
        let told = rig.until(|told| matches!(told, Told::Error(..))).await;
        assert_eq!(
            told.len(),
            2,
            "one call, one hook, and none for what cannot be decoded"
        );
    }
    rig.end(running).await;
    for (topic, reason) in [
        ("dead_TaskWorker_tasks", "rejected"),
        ("invalid.tasks", "validation"),
    ] {
        let letters = rig.all(topic).await;
        assert_eq!(letters.len(), 1, "{topic}");
        assert_eq!(text(&letters[0].0, "bus-reason"), reason);
    }
    assert_eq!(
        (
            stored(&rig.bus, "broken").await,
            stored(&rig.bus, "tasks-dlq").await
        ),
        (1, 0)
    );
}
