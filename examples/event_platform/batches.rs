//! A worker of batches: full ones, one that is as old as it may be, and an item that fails alone.

use crate::{
    names::{name, stored, topic},
    notes::Notes,
};
use bus::{Bus, Delivery, Message, worker};
use std::{error::Error, sync::LazyLock, time::Duration};
use tokio::time::{Instant, sleep};

/// How large each was, and when it came.
static BATCHES: LazyLock<Notes<(usize, Instant)>> = LazyLock::new(Notes::default);

#[worker(
    topic = topic("items"),
    output = topic("checked"),
    name = "BatchWorker",
    batch_size = 10,
    batch_timeout = "1s",
    backoff = fixed,
    initial = "2s"
)]
async fn check(items: &[Delivery<u32>]) -> Vec<Result<u32, String>> {
    BATCHES.add((items.len(), Instant::now()));
    let outcome = |item: &Delivery<u32>| match (**item, item.attempt()) {
        (13, 1) => Err("13 fails the first time".to_owned()),
        (number, _) => Ok(number),
    };
    items.iter().map(outcome).collect()
}

pub(crate) fn batch_worker() -> impl bus::app::Runnable {
    check().group(name("BatchWorker"))
}

pub(crate) async fn run(bus: &Bus) -> Result<(), Box<dyn Error>> {
    println!("== batches");
    let (items, checked) = (topic::<u32>("items"), topic::<u32>("checked"));
    bus.ensure_topics([items.spec(), checked.spec()]).await?;
    let batch = (1..=25).map(|item| Message::new(item.to_string())).collect();
    for outcome in bus.publish_batch(items.name(), batch).await {
        outcome?;
    }
    let running = check().group(name("BatchWorker")).start(bus).await?;
    let mut results = Vec::new();
    while results.len() < 25 {
        sleep(Duration::from_millis(100)).await;
        results = stored(bus, checked.name()).await?;
    }
    running.drain(Duration::from_secs(5)).await?;

    let batches = BATCHES.all();
    let sizes: Vec<_> = batches.iter().map(|(size, _)| size.to_string()).collect();
    println!("batches of {}", sizes.join(", "));
    if let [(_, first), _, (_, last), ..] = batches[..] {
        let aged = last - first >= Duration::from_millis(900);
        println!(
            "the batch of 5 went {}",
            if aged { "at its maximum age" } else { "too early" }
        );
    }
    println!("{} results", results.len());
    Ok(())
}
