//! Publishers are twenty times faster than handlers, messages are large, and one handler is stuck: memory stays
//! bounded, and nobody loses a partition.

use crate::{
    server::Server,
    stage::Stage,
    test::{Numbers, Test},
};
use bus_core::conformance::{Failure, What};
use std::time::{Duration, Instant};

/// Bytes of a message: what a Kafka broker takes by default, all but a little.
const SIZE: usize = 1_000_000;
/// How many.
const COUNT: u64 = 240;

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let mut stage = Stage::open(test, &server).await?;
    stage.tune_consume = |role| {
        // Three members with two handlers each: about 20 messages a second.
        role.handlers = 2;
        role.work = (200, 400);
    };
    stage.tune_produce = |role| {
        role.size = SIZE;
        role.count = Some(COUNT / 2);
    };
    for _ in 0..3 {
        stage.consume()?;
    }
    let owners = stage.all_share().await?;
    let stuck = stage.key_in(0, &format!("slow-{}", test.time.as_millis()));
    let from = Instant::now();
    stage.send(&stuck, 1).await?;
    for _ in 0..2 {
        stage.produce(200)?;
    }
    while from.elapsed() < test.time {
        stage.look()?;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let after = stage.owners().await?;
    if after != owners {
        return Err(Failure::new(format_args!(
            "partitions moved from {owners:?} to {after:?}"
        )));
    }
    stage.bury_the_done()?;
    let numbers = stage.finish().await?;
    let evidence = stage.evidence()?;
    if let Some(h) = evidence.handled.iter().find(|h| h.what == What::Returned) {
        return Err(Failure::new(format_args!("the handler of {} was stopped", h.id)));
    }
    Ok(numbers)
}
