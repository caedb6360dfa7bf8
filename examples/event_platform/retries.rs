//! A task that always fails: when it is tried, and what becomes of it. One that does not gives a result.

use crate::{
    names::{name, stored, topic},
    tasks::{Task, TaskWorker, group},
};
use bus::{Bus, Bytes, Raw, Retry, Topic, TopicSpec, worker::worker};
use std::{error::Error, time::Duration};

const SECOND: Duration = Duration::from_secs(1);

pub(crate) async fn run(bus: &Bus) -> Result<(), Box<dyn Error>> {
    println!("== retries");
    // At the same time: the waits are real ones where the broker is.
    let (exponential, linear) = tokio::join!(
        failing(bus, "tasks", Retry::exponential(SECOND)),
        failing(bus, "tasks-linear", Retry::linear(SECOND)),
    );
    println!("exponential: {}", exponential?);
    println!("linear: {}", linear?);

    let worker_of_tasks = TaskWorker::of("tasks");
    let hooks = worker_of_tasks.hooks.clone();
    let running = worker(worker_of_tasks).group(group("tasks")).start(bus).await?;
    let report = Task {
        name: "report".to_owned(),
        fails: false,
    };
    bus.publish(&topic("tasks"), &report).await?;
    let mut results = bus.observe(&Topic::<String, Raw>::named(name("results"))).await?;
    if let Some(result) = results.next().await.transpose()? {
        println!("results: {}", *result);
    }
    running.drain(SECOND * 5).await?;
    println!("{}", hooks.all().join("\n"));
    Ok(())
}

/// When a task was tried that always fails, and what became of it.
async fn failing(bus: &Bus, tasks: &'static str, retry: Retry) -> bus::Result<String> {
    let dead: Topic<Bytes, Raw> = Topic::named(format!("{}-dlq", name(tasks)));
    let topics = [
        TopicSpec::new(name(tasks)),
        TopicSpec::new(name("results")),
        dead.spec(),
    ];
    bus.ensure_topics(topics).await?;
    let worker_of_tasks = TaskWorker::of(tasks);
    let (calls, hooks) = (worker_of_tasks.calls.clone(), worker_of_tasks.hooks.clone());
    let running = worker(worker_of_tasks)
        .group(group(tasks))
        .retry(retry.max_retries(3))
        .start(bus)
        .await?;

    let broken = Task {
        name: "broken".to_owned(),
        fails: true,
    };
    bus.publish(&topic(tasks), &broken).await?;
    let mut letters = bus.observe(&dead).await?;
    let letter = letters.next().await.transpose()?;
    running.drain(SECOND * 5).await?;

    let mut at = 0;
    let mut text = "called at 0".to_owned();
    for pair in calls.all().windows(2) {
        at += (pair[1] - pair[0]).as_secs();
        text += &format!(", {at}");
    }
    let attempts = letter
        .as_ref()
        .and_then(|letter| letter.headers().text("bus-attempts"));
    let (count, hooks) = (stored(bus, dead.name()).await?.len(), hooks.all().join("; "));
    Ok(format!(
        "{text} s; {count} message in {tasks}-dlq, attempts {}; {hooks}",
        attempts.unwrap_or("missing")
    ))
}
