//! A Redis fails over to a replica that lags: the old lease is refused, no position is given out twice, and what the
//! replica had not got is told to who had it confirmed or had read it.

use crate::{
    observer,
    server::Server,
    stage::Stage,
    test::{Numbers, Test},
};
use bus_brokers::RedisOptions;
use bus_core::conformance::Failure;
use std::time::{Duration, Instant};

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::pair(test, RedisOptions::new()).await?;
    let mut stage = Stage::open(test, &server).await?;
    stage.lossy = true;
    stage.tune_consume = |role| role.go_on = true;
    stage.cast(500).await?;
    tokio::time::sleep(test.time / 3).await;
    stage.look()?;
    let pair = server.both()?;
    pair.link.change(|faults| faults.to_client.hold = true);
    let lag = Duration::from_millis(test.random(1_000..=3_000));
    tokio::time::sleep(lag).await;
    let from = Instant::now();
    pair.redis.first.kill9().map_err(Failure::new)?;
    pair.link.reset();
    pair.redis.promote_second().map_err(Failure::new)?;
    tokio::time::sleep(Duration::from_millis(test.random(100..=1_500))).await;
    pair.lead_to_second(&[server.proxy()?, &pair.watch]);
    stage.may_lose(None, from);
    tokio::time::sleep(test.time / 3).await;
    let mut numbers = stage.finish().await?;
    numbers.add("lag", format_args!("{:.1} s", lag.as_secs_f64()));
    numbers.add("confirmed and lost", stage.lost.count());
    if stage.lost.count() == 0 {
        return Err(Failure::new("the failover took nothing: this proves nothing"));
    }
    let log = observer::log(&stage.bus, &stage.topic).await?;
    stage.lost.was_given_out_once(&log)?;
    stage.lost.was_told(&stage.actors)?;
    Ok(numbers)
}
