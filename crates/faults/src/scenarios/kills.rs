//! Consumers are killed and started again every one to three seconds.

use crate::{
    server::Server,
    stage::{PARTITIONS, Stage},
    test::{Numbers, Test},
};
use bus_core::conformance::{Failure, What};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How much longer than a session a takeover may take: joining, and reading the first records, two seconds; and as much
/// again on a machine that is busy with all the processes of the test.
const SLACK: Duration = Duration::from_secs(4);
/// Kills of the long run.
const MANY: usize = 200;

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    shoot(test, usize::MAX).await
}

/// Two hundred kills, however long they take.
pub(crate) async fn many(test: &Test) -> Result<Numbers, Failure> {
    shoot(test, MANY).await
}

async fn shoot(test: &Test, most: usize) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let mut stage = Stage::open(test, &server).await?;
    stage.cast(1_000).await?;
    let mut turns = test.turns(1_000..=3_000);
    let mut kills = 0;
    while kills < most && turns.next().await {
        stage.look()?;
        stage.replace_a_member()?;
        kills += 1;
    }
    let last = stage
        .kills()
        .iter()
        .map(|k| k.at)
        .max()
        .unwrap_or_else(Instant::now);
    // The load goes on until every partition must have a new owner that handles what comes.
    let limit = server.session() + SLACK;
    tokio::time::sleep((limit + Duration::from_secs(2)).saturating_sub(last.elapsed())).await;
    let mut numbers = stage.finish().await?;
    let takeover = takeover(&stage, last)?;
    numbers.add("kills", kills);
    numbers.add("takeover", format_args!("{:.1} s", takeover.as_secs_f64()));
    // The long run is about what is lost and what comes again.
    if takeover > limit && most != MANY {
        let text = format!("after the last kill a partition rested for {takeover:?}, more than {limit:?}");
        return Err(Failure::new(text));
    }
    Ok(numbers)
}

/// How long after that moment the last partition had its next delivery.
fn takeover(stage: &Stage<'_>, since: Instant) -> Result<Duration, Failure> {
    let evidence = stage.evidence()?;
    let mut first: HashMap<u32, Instant> = HashMap::new();
    for h in evidence.handled.iter().filter(|h| h.at > since) {
        if let (What::Delivered { .. }, Some(place)) = (h.what, h.place) {
            first.entry(place.partition).or_insert(h.at);
        }
    }
    match first.values().max() {
        Some(last) if first.len() == PARTITIONS as usize => Ok(*last - since),
        _ => Err(Failure::new(
            "after the last kill not every partition was handled",
        )),
    }
}
