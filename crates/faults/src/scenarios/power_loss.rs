//! A Redis loses its power. What was forced to the disk before each reply is all there; with `everysec` the last moment is
//! gone, and everybody who knew of it is told.

use crate::{
    observer,
    server::Server,
    stage::Stage,
    test::{Numbers, Test},
};
use bus_brokers::{Fsync, RedisOptions};
use bus_core::conformance::Failure;
use std::time::{Duration, Instant};

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let mut numbers = one(&test.part("always")?, Fsync::Always)
        .await
        .map_err(|e| e.context("always"))?;
    let more = one(&test.part("everysec")?, Fsync::EverySecond)
        .await
        .map_err(|e| e.context("everysec"))?;
    numbers.add("everysec", more);
    Ok(numbers)
}

async fn one(test: &Test, fsync: Fsync) -> Result<Numbers, Failure> {
    let server = Server::redis(test, RedisOptions::new().fsync(fsync).power_loss()).await?;
    let mut stage = Stage::open(test, &server).await?;
    let lossy = fsync == Fsync::EverySecond;
    stage.lossy = lossy;
    stage.tune_consume = |role| role.go_on = true;
    stage.cast(500).await?;
    let (mut cuts, mut bytes) = (0, 0);
    let mut turns = test.turns(2_000..=5_000);
    while turns.next().await {
        stage.look()?;
        let from = Instant::now();
        let redis = server.redis.as_ref().ok_or_else(|| Failure::new("no Redis"))?;
        bytes += tokio::task::block_in_place(|| redis.lose_power()).map_err(Failure::new)?;
        tokio::time::sleep(Duration::from_millis(test.random(100..=1_000))).await;
        tokio::task::block_in_place(|| redis.restart()).map_err(Failure::new)?;
        stage.may_lose(None, from);
        cuts += 1;
    }
    let mut numbers = stage.finish().await?;
    numbers.add("power losses", cuts);
    numbers.add("bytes cut", bytes);
    if lossy {
        numbers.add("confirmed and lost", stage.lost.count());
        if stage.lost.count() == 0 {
            return Err(Failure::new("no power loss took anything: this proves nothing"));
        }
        let log = observer::log(&stage.bus, &stage.topic).await?;
        stage.lost.was_given_out_once(&log)?;
        stage.lost.was_told(&stage.actors)?;
    }
    Ok(numbers)
}
