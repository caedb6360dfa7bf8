//! Wall clocks jump by an hour and flicker, the actors' and the server's: no live owner loses a partition.

use crate::{
    server::Server,
    stage::Stage,
    test::{Numbers, On, Test},
};
use bus_brokers::{Clock, KafkaOptions, RedisOptions};
use bus_core::conformance::{Failure, What};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

const HOUR: i64 = 3_600_000;

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let (servers, actors) = (
        Clock::new().map_err(Failure::new)?,
        Clock::new().map_err(Failure::new)?,
    );
    let server = match test.on {
        On::Kafka => Server::kafka(test, KafkaOptions::new().clock(&servers)).await?,
        _ => Server::redis(test, RedisOptions::new().clock(&servers)).await?,
    };
    let mut stage = Stage::open(test, &server).await?;
    stage.environment = actors.environment();
    stage.cast(500).await?;
    // The first member had everything until the others were there.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let shared = Instant::now();
    let mut jumps = 0;
    let mut turns = test.turns(500..=2_000);
    while turns.next().await {
        stage.look()?;
        let clock = if test.random(0..=1) == 0 {
            &servers
        } else {
            &actors
        };
        let to = [-HOUR, 0, HOUR][test.random(0..=2) as usize];
        // Now and then it flickers between two times first.
        if test.random(0..=2) == 0 {
            for step in 0..20 {
                clock
                    .set(if step % 2 == 0 { HOUR } else { -HOUR })
                    .map_err(Failure::new)?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        clock.set(to).map_err(Failure::new)?;
        jumps += 1;
    }
    servers
        .set(0)
        .and_then(|()| actors.set(0))
        .map_err(Failure::new)?;
    let mut numbers = stage.finish().await?;
    numbers.add("jumps", jumps);
    let takeovers = takeovers(&stage, shared)?;
    match (jumps, takeovers) {
        (0, _) => Err(Failure::new("no clock jumped: this proves nothing")),
        (_, 0) => Ok(numbers),
        (_, n) => Err(Failure::new(format_args!(
            "{n} times somebody else took a live owner's partition"
        ))),
    }
}

/// How often after that moment a partition's deliveries went from one member to another.
fn takeovers(stage: &Stage<'_>, since: Instant) -> Result<usize, Failure> {
    let mut owners: HashMap<u32, u32> = HashMap::new();
    let mut takeovers = 0;
    for h in &stage.evidence()?.handled {
        if let (What::Delivered { member, .. }, Some(place)) = (h.what, h.place) {
            let before = owners.insert(place.partition, member);
            takeovers += usize::from(h.at > since && before.is_some_and(|before| before != member));
        }
    }
    Ok(takeovers)
}
