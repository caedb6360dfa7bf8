//! The broker's disk is full: nothing is confirmed that cannot be read once there is room again.

use crate::{
    server::Server,
    stage::Stage,
    test::{Numbers, On, Test},
};
use bus_brokers::{Fsync, KafkaOptions, RedisOptions};
use bus_core::conformance::Failure;
use std::time::{Duration, Instant};

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    if test.on == On::Kafka {
        // Its indexes are made at full size otherwise.
        let options = KafkaOptions::new()
            .disk(192)
            .property("log.index.size.max.bytes", "65536");
        let server = Server::kafka(test, options).await?;
        return fill(test, &server).await;
    }
    // One refuses while its disk is full, the other ends.
    let mut numbers = Numbers::default();
    for (name, fsync) in [("everysec", Fsync::EverySecond), ("always", Fsync::Always)] {
        let test = test.part(name)?;
        let server = Server::redis(&test, RedisOptions::new().fsync(fsync).disk(16)).await?;
        numbers.add(name, fill(&test, &server).await.map_err(|e| e.context(name))?);
    }
    Ok(numbers)
}

async fn fill(test: &Test, server: &Server) -> Result<Numbers, Failure> {
    let mut stage = Stage::open(test, server).await?;
    stage.cast(300).await?;
    let (daemon, mut fills, mut deaths) = (server.daemon()?, 0, 0);
    let disk = daemon.disk().ok_or_else(|| Failure::new("no small disk"))?;
    let mut turns = test.turns(1_500..=3_000);
    while fills == 0 || turns.next().await {
        stage.look()?;
        let from = Instant::now();
        tokio::task::block_in_place(|| disk.fill()).map_err(Failure::new)?;
        tokio::time::sleep(Duration::from_millis(test.random(2_000..=4_000))).await;
        disk.free().map_err(Failure::new)?;
        // Who ended because of it is started again; who did not goes on by himself.
        if daemon.pid().is_none() {
            tokio::task::block_in_place(|| daemon.restart()).map_err(Failure::new)?;
            deaths += 1;
        }
        stage.may_lose(None, from);
        fills += 1;
    }
    // A broker may have ended a moment after there was room.
    tokio::time::sleep(Duration::from_secs(2)).await;
    if daemon.pid().is_none() {
        tokio::task::block_in_place(|| daemon.restart()).map_err(Failure::new)?;
        deaths += 1;
    }
    let mut numbers = stage.finish().await?;
    numbers.add("times full", fills);
    numbers.add("ended by it", deaths);
    Ok(numbers)
}
