//! The broker is killed and started again, again and again: nothing that it acknowledged is lost.

use crate::{
    server::Server,
    stage::Stage,
    test::{Numbers, On, Test},
};
use bus_brokers::{Fsync, RedisOptions};
use bus_core::conformance::Failure;
use std::time::{Duration, Instant};

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    // What a process wrote survives its death, whether or not it was forced to the disk.
    let server = match test.on {
        On::Redis => Server::redis(test, RedisOptions::new().fsync(Fsync::EverySecond)).await?,
        _ => Server::start(test).await?,
    };
    let mut stage = Stage::open(test, &server).await?;
    stage.cast(500).await?;
    let mut kills = 0;
    let mut turns = test.turns(6_000..=12_000);
    while turns.next().await {
        stage.look()?;
        let from = Instant::now();
        server.daemon()?.kill9().map_err(Failure::new)?;
        tokio::time::sleep(Duration::from_millis(test.random(100..=2_000))).await;
        // Blocks until it answers.
        tokio::task::block_in_place(|| server.daemon()?.restart().map_err(Failure::new))?;
        stage.may_lose(None, from);
        kills += 1;
    }
    let mut numbers = stage.finish().await?;
    numbers.add("kills", kills);
    match kills {
        0 => Err(Failure::new("nothing was killed: this proves nothing")),
        _ => Ok(numbers),
    }
}
