//! Two of three nodes are gone while two must have a message: no publish is confirmed until one is back.

use crate::{
    record::{self, Entry},
    server::Server,
    stage::Stage,
    test::{Numbers, Test},
};
use bus_brokers::{KafkaCluster, Result};
use bus_core::conformance::Failure;
use std::time::{Duration, Instant};

/// What was on its way when the nodes died may still be answered so long.
const UNDER_WAY: Duration = Duration::from_millis(500);

pub(crate) async fn run(test: &Test) -> std::result::Result<Numbers, Failure> {
    // Short, so that publishes end while the nodes are away, and are refused or unclear.
    let server = Server::cluster("&delivery.timeout.ms=5000").await?;
    let mut stage = Stage::open(test, &server).await?;
    stage.cast(300).await?;
    server.all_in_sync(&stage.topic).await?;
    let mut away = Vec::new();
    let mut turns = test.turns(1_000..=3_000);
    while away.is_empty() || turns.next().await {
        stage.look()?;
        let (cluster, from) = (server.nodes()?, Instant::now());
        let stays = test.random(1..=3) as u32;
        let gone = (1..=3).filter(|id| *id != stays).collect::<Vec<u32>>();
        for id in &gone {
            cluster
                .node(*id)
                .and_then(|node| node.kill9())
                .map_err(Failure::new)?;
        }
        let since = record::now() + UNDER_WAY.as_nanos() as u64;
        tokio::time::sleep(Duration::from_millis(test.random(8_000..=12_000))).await;
        away.push((since, record::now()));
        tokio::task::block_in_place(|| back(cluster, &gone)).map_err(Failure::new)?;
        server.all_in_sync(&stage.topic).await?;
        stage.may_lose(None, from);
    }
    let mut numbers = stage.finish().await?;
    let (mut tried, mut ended) = (0, 0);
    for actor in &stage.actors {
        for line in record::read(&actor.spec.record, actor.killed.is_some())? {
            if !away.iter().any(|(from, to)| (from..to).contains(&&line.at)) {
                continue;
            }
            match line.what {
                Entry::Stored { id } => {
                    let text = format!("{id} was confirmed while one node was left, and two must have it");
                    return Err(Failure::new(text));
                }
                Entry::Intent { .. } => tried += 1,
                Entry::NotStored { .. } | Entry::Unknown { .. } => ended += 1,
                _ => {}
            }
        }
    }
    numbers.add("times", away.len());
    numbers.add("tried meanwhile", tried);
    numbers.add("refused or unclear meanwhile", ended);
    match tried.min(ended) {
        0 => Err(Failure::new("nothing was tried meanwhile: this proves nothing")),
        _ => Ok(numbers),
    }
}

/// Both at once: neither answers before there is a quorum.
fn back(cluster: &KafkaCluster, gone: &[u32]) -> Result<()> {
    std::thread::scope(|scope| {
        let starts: Vec<_> = gone
            .iter()
            .map(|id| scope.spawn(|| cluster.node(*id)?.restart()))
            .collect();
        let mut ended = starts.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended.try_for_each(|end| end.unwrap_or(Ok(())))
    })
}
