//! Three topics, from each to the next a group that consumes, transforms and produces: exactly once under everything
//! at once, and at least once while members come and go.

use crate::{
    chain::Chain,
    server::Server,
    stage::Stage,
    test::{Numbers, On, Test},
};
use bus_core::conformance::Failure;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Messages of the long run.
const MANY: u64 = 100_000;

/// Kills, stops, a bounce of the broker, lost answers and late requests; output equals input, once and in order.
pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let mut stage = Stage::open(test, &server).await?;
    let chain = Chain::open(&mut stage, true).await?;
    chain.cast(&mut stage, 400, None).await?;
    let from = Instant::now();
    lossy(&server, 0.01)?;
    let mut turns = test.turns(1_000..=3_000);
    let (mut kills, mut stops, mut bounced) = (0, 0, false);
    while turns.next().await {
        stage.look()?;
        match test.random(0..=3) {
            0 if test.on != On::Memory => {
                let member = chain.any(&stage);
                stage.actor(member).signal(Signal::STOP)?;
                tokio::time::sleep(server.session() + Duration::from_secs(2)).await;
                stage.actor(member).signal(Signal::CONT)?;
                stops += 1;
            }
            1 if test.on != On::Memory
                && !bounced
                && from.elapsed() > test.time / 3
                && test.time.as_secs() > 20 =>
            {
                bounce(&server).await?;
                bounced = true;
            }
            _ => {
                chain.replace(&mut stage)?;
                kills += 1;
            }
        }
    }
    lossy(&server, 0.0)?;
    if test.on != On::Memory {
        stage.may_lose(None, from);
    }
    let mut numbers = chain.finish(&mut stage).await?;
    numbers.add("kills", kills);
    numbers.add("stops", stops);
    numbers.add("bounces", u32::from(bounced));
    count(&server, &mut numbers);
    Ok(numbers)
}

/// A hundred thousand messages through the chain while processes are killed and answers lost.
pub(crate) async fn many(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let mut stage = Stage::open(test, &server).await?;
    // On Kafka each kill in the middle of a transaction holds its partitions up for ten to twenty seconds, so that most of
    // the messages wait until the kills are over.
    stage.patience = Duration::from_secs(360);
    let chain = Chain::open(&mut stage, true).await?;
    let from = Instant::now();
    chain.cast(&mut stage, 1_000, Some(MANY)).await?;
    lossy(&server, 0.01)?;
    let mut kills = 0;
    while !stage.publishers().is_empty() {
        tokio::time::sleep(Duration::from_millis(test.random(2_000..=5_000))).await;
        stage.look()?;
        stage.bury_the_done()?;
        chain.replace(&mut stage)?;
        kills += 1;
    }
    lossy(&server, 0.0)?;
    if test.on != On::Memory {
        stage.may_lose(None, from);
    }
    let mut numbers = chain.finish(&mut stage).await?;
    numbers.add("kills", kills);
    count(&server, &mut numbers);
    Ok(numbers)
}

/// Members of every level join and leave, some without a word; every level is complete.
pub(crate) async fn levels(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let mut stage = Stage::open(test, &server).await?;
    let chain = Chain::open(&mut stage, false).await?;
    chain.cast(&mut stage, 400, None).await?;
    let mut turns = test.turns(1_000..=3_000);
    let (mut kills, mut leaves) = (0, 0);
    while turns.next().await {
        stage.look()?;
        if test.random(0..=1) == 0 {
            chain.replace(&mut stage)?;
            kills += 1;
        } else {
            chain.leave_and_join(&mut stage).await?;
            leaves += 1;
        }
    }
    let mut numbers = chain.finish(&mut stage).await?;
    numbers.add("kills", kills);
    numbers.add("leaves", leaves);
    Ok(numbers)
}

/// Loses this share of answers and delays as many requests; on memory there are none.
fn lossy(server: &Server, share: f64) -> Result<(), Failure> {
    if server.on != On::Memory {
        let rules = if share > 0.0 {
            server.lossy(share)
        } else {
            Vec::new()
        };
        server.proxy()?.change(|f| f.rules = rules);
    }
    Ok(())
}

fn count(server: &Server, numbers: &mut Numbers) {
    if let Ok(proxy) = server.proxy() {
        numbers.add("lost answers", proxy.counters().dropped_replies);
        numbers.add("late requests", proxy.counters().held_requests);
    }
}

async fn bounce(server: &Server) -> Result<(), Failure> {
    let daemon = server.daemon()?;
    tokio::task::block_in_place(|| daemon.kill9().and_then(|()| daemon.restart())).map_err(Failure::new)
}
