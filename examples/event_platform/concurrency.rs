//! Four tasks at a time, never two of one key.

use crate::names::{name, topic};
use bus::{Bus, Message, worker};
use std::{
    error::Error,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{sync::Barrier, time::sleep};

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
static MEETING: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(4));

/// Waits until four of its kind are in flight.
#[worker(topic = topic("meetings"), name = "Meeting", concurrency = 4)]
async fn meet(_: &u32) {
    let running = RUNNING.fetch_add(1, SeqCst) + 1;
    MOST.fetch_max(running, SeqCst);
    MEETING.wait().await;
    sleep(Duration::from_millis(50)).await;
    RUNNING.fetch_sub(1, SeqCst);
}

pub(crate) async fn run(bus: &Bus) -> Result<(), Box<dyn Error>> {
    println!("== concurrency");
    let meetings = topic::<u32>("meetings");
    bus.ensure_topics([meetings.spec()]).await?;
    let batch = (0..8)
        .map(|key| Message::new(key.to_string()).keyed(format!("key-{key}")))
        .collect();
    for outcome in bus.publish_batch(meetings.name(), batch).await {
        outcome?;
    }
    let running = meet().group(name("Meeting")).start(bus).await?;
    running.control().caught_up().await?;
    running.drain(Duration::from_secs(5)).await?;
    println!("8 keys, concurrency 4: {} in flight", MOST.load(SeqCst));
    Ok(())
}
