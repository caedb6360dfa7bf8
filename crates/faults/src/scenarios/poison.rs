//! Messages that always fail, a key whose handler takes long, and a message that ends its process.

use crate::{
    server::Server,
    stage::{PARTITIONS, Stage},
    test::{Numbers, On, Test},
};
use bus_core::conformance::{Failure, What};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Attempts before a message is given up.
const ATTEMPTS: usize = 3;
/// Processes that the bad message ends before it is mended.
const ABORTS: usize = 2;

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let mut stage = Stage::open(test, &server).await?;
    stage.tune_consume = |role| role.attempts = Some(ATTEMPTS as u32);
    stage.cast(400).await?;
    let from = Instant::now();
    let blocked = test.time / 2;
    let slow = stage.key_in(0, &format!("slow-{}", blocked.as_millis()));
    let mut poison = BTreeSet::new();
    for partition in 0..PARTITIONS {
        let key = stage.key_in(partition, "poison");
        for counter in 1..=2 {
            poison.insert(stage.send(&key, counter).await?);
        }
    }
    for counter in 1..=5 {
        stage.send(&slow, counter).await?;
    }
    let mut aborted = 0;
    if test.on != On::Memory {
        let key = stage.key_in(1, &format!("abort-{ABORTS}"));
        stage.send(&key, 1).await?;
    }
    let deadline = from + test.time + (server.session() + Duration::from_secs(6)) * ABORTS as u32;
    while Instant::now() < deadline
        && (from.elapsed() < test.time || test.on != On::Memory && aborted < ABORTS)
    {
        aborted += stage.revive()?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let until = Instant::now();
    let mut numbers = stage.finish().await?;
    let evidence = stage.evidence()?;

    let mut failed: BTreeMap<&str, usize> = BTreeMap::new();
    for h in evidence
        .handled
        .iter()
        .filter(|h| matches!(h.what, What::Nacked { .. }))
    {
        *failed.entry(&h.id).or_default() += 1;
    }
    let dead: BTreeSet<String> = stage
        .dead_letters()
        .await?
        .iter()
        .map(|l| l.id.to_string())
        .collect();
    if dead != poison {
        return Err(Failure::new(format_args!(
            "dead letters are {dead:?}, and should be {poison:?}"
        )));
    }
    for id in &poison {
        let tries = failed.get(&**id).copied().unwrap_or(0);
        // A crash may lose the attempts of the last commit interval, and never raises them.
        if tries < ATTEMPTS || (aborted == 0 && tries > ATTEMPTS) {
            return Err(Failure::new(format_args!(
                "{id} was tried {tries} times, and should be {ATTEMPTS}"
            )));
        }
    }
    if test.on != On::Memory && aborted != ABORTS {
        return Err(Failure::new(format_args!(
            "{aborted} processes were ended by their message, not {ABORTS}"
        )));
    }
    let stall = evidence.stall(from, until, |key| !key.starts_with("slow"));
    // Whoever was killed by its message is taken over after its session; the rest is what a busy machine takes for that.
    let most = server.session() + Duration::from_secs(10);
    numbers.add("aborted", aborted);
    numbers.add(
        "longest stall of others",
        format_args!("{:.1} s", stall.as_secs_f64()),
    );
    if stall > most {
        return Err(Failure::new(format_args!(
            "others waited for {stall:?}, more than {most:?}"
        )));
    }
    Ok(numbers)
}
