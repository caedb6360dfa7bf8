//! The attributes: what they make. What they say of mistakes is tried in `crates/refused`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use bus::{
    Bus, Delivery, Retry, Start, Topic,
    app::{App, Runnable},
    consumer,
    handler::{Failure, Payload},
    worker,
    worker::{Runner, Worker},
};
use doubles::soon;
use std::{
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    time::Duration,
};

static NUMBERS: Topic<i64> = Topic::new("numbers").partitions(4);
static SQUARES: Topic<i64> = Topic::new("squares").partitions(4);
static SUCCESSES: AtomicU32 = AtomicU32::new(0);
static ERRORS: AtomicU32 = AtomicU32::new(0);
static HEARD: AtomicU32 = AtomicU32::new(0);

/// Squares numbers.
#[worker(
    topic = NUMBERS,
    output = SQUARES,
    name = "squares",
    group = "squaring",
    concurrency = 4,
    max_retries = 2,
    backoff = linear,
    initial = "500ms",
    cap = "1m",
    jitter = 10,
    dead_letter = "{topic}.bad",
    on_success = succeeded,
    on_error = failed
)]
async fn square(number: &Delivery<i64>) -> Result<Option<i64>, Failure> {
    let square = number.checked_mul(**number);
    Ok(Some(square.ok_or_else(|| Failure::permanent("too large"))?))
}

async fn succeeded(number: &Delivery<i64>, output: Option<&i64>) {
    assert_eq!(output, Some(&(**number * **number)));
    SUCCESSES.fetch_add(1, SeqCst);
}

async fn failed(_: &Delivery<i64>, error: &Failure) {
    assert_eq!(error.to_string(), "too large");
    ERRORS.fetch_add(1, SeqCst);
}

// The older names.
#[worker(
    topic = "numbers",
    output_topic = "texts",
    group_id = "g",
    retry_backoff = "fixed",
    dlq_topic = "bad"
)]
async fn text(number: &i64) -> String {
    number.to_string()
}

#[worker(topic = NUMBERS, batch_size = 10, batch_timeout = "50ms", output = "halves")]
async fn halve(numbers: &[Delivery<i64>]) -> Vec<Result<i64, std::num::ParseIntError>> {
    numbers.iter().map(|number| Ok(**number / 2)).collect()
}

#[worker(topic = NUMBERS)]
async fn ignore(_: &i64) {}

#[consumer(topic = SQUARES, group = "ears", concurrency = 2)]
async fn hear(Payload(_): Payload<i64>) {
    HEARD.fetch_add(1, SeqCst);
}

#[test]
fn options_become_constants() {
    type Of = (
        &'static str,
        Option<&'static str>,
        usize,
        Retry,
        Option<&'static str>,
        usize,
        Duration,
    );
    fn of<W: Worker>(_: Runner<W>) -> Of {
        let (size, age) = (W::BATCH_SIZE, W::BATCH_TIMEOUT);
        (
            W::NAME,
            W::GROUP,
            W::CONCURRENCY,
            W::RETRY,
            W::DEAD_LETTER,
            size,
            age,
        )
    }
    let second = Duration::from_secs(1);
    let retry = Retry::linear(second / 2)
        .max_retries(2)
        .jitter(10)
        .cap(second * 60);
    let group = Some("squaring");
    assert_eq!(
        of(square()),
        ("squares", group, 4, retry, Some("{topic}.bad"), 1, second)
    );
    assert_eq!(
        of(text()),
        ("text", Some("g"), 1, Retry::fixed(second), Some("bad"), 1, second)
    );
    let age = Duration::from_millis(50);
    assert_eq!(of(halve()), ("halve", None, 1, Retry::default(), None, 10, age));
    let topics = |topics: Vec<bus::TopicSpec>| topics.iter().map(|t| t.name.to_string()).collect::<Vec<_>>();
    assert_eq!(topics(text().topics()), ["numbers", "texts"]);
    assert_eq!(topics(ignore().topics()), ["numbers"]);
    assert_eq!(
        (hear().group(), Runnable::name(&hear())),
        ("ears", "squares --group ears".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn they_run_in_an_app() {
    let bus = Bus::connect("memory://").await.unwrap();
    let app = App::builder("numbers").bus(&bus);
    let app = app.register(square()).register(text()).register(halve());
    let started = app.register(hear()).build().unwrap().start().await.unwrap();
    for number in (1..=20).chain([i64::MAX]) {
        bus.publish(&NUMBERS, &number).await.unwrap();
    }
    for (topic, count) in [("squares", 20), ("texts", 21), ("halves", 21), ("numbers.bad", 1)] {
        soon(topic, async {
            loop {
                let ends = bus.admin().positions(topic, Start::Latest).await.unwrap();
                if ends.iter().map(|(_, end)| end).sum::<u128>() == count {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
    soon("they are heard", async {
        while HEARD.load(SeqCst) < 20 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    started.stop(Duration::from_secs(5)).await.unwrap();
    assert_eq!((SUCCESSES.load(SeqCst), ERRORS.load(SeqCst)), (20, 1));
}
