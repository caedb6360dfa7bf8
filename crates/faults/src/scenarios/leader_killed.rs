//! Leaders of a three-node Kafka are killed, five times: nothing is lost, nothing comes twice.

use crate::{
    server::{Server, blocking},
    stage::{PARTITIONS, Stage},
    test::{Numbers, On, Test, until},
};
use bus_brokers::{KafkaCluster, KafkaOptions};
use bus_core::conformance::Failure;
use std::time::{Duration, Instant};

/// How long an election, or a restarted node's way back into the in-sync sets, may take on a busy machine.
const ELECTION: Duration = Duration::from_secs(90);
const KILLS: u32 = 5;

impl Server {
    /// A Kafka of three nodes; the URL's options are appended as they are.
    pub(crate) async fn cluster(options: &str) -> Result<Self, Failure> {
        let cluster = blocking(|| KafkaCluster::start(KafkaOptions::new())).await?;
        Ok(Self {
            cluster: Some(cluster),
            options: options.to_owned(),
            ..Self::nothing(On::Kafka)
        })
    }
    /// The three nodes.
    /// # Errors
    /// When there is only one.
    pub(crate) fn nodes(&self) -> Result<&KafkaCluster, Failure> {
        self.cluster
            .as_ref()
            .ok_or_else(|| Failure::new("this server is no cluster"))
    }
    /// Waits until every partition of a topic has three nodes in sync.
    pub(crate) async fn all_in_sync(&self, topic: &str) -> Result<(), Failure> {
        let cluster = self.nodes()?;
        until("every node is in sync", ELECTION, || async {
            match tokio::task::block_in_place(|| cluster.partitions(topic)) {
                Ok(seen) if seen.iter().all(|p| p.in_sync.len() == 3) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }
}

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::cluster("").await?;
    let mut stage = Stage::open(test, &server).await?;
    stage.cast(500).await?;
    let (mut kills, mut slowest) = (0, Duration::ZERO);
    let mut turns = test.turns(500..=1_500);
    // Five, however long a node takes to come back; more where there is time for them.
    while kills < KILLS || turns.next().await {
        stage.look()?;
        let partition = test.random(0..=u64::from(PARTITIONS) - 1) as u32;
        let (cluster, from) = (server.nodes()?, Instant::now());
        tokio::task::block_in_place(|| {
            let leader = cluster.leader(&stage.topic, partition, ELECTION)?;
            cluster.node(leader)?.kill9()?;
            let killed = Instant::now();
            let next = cluster.leader(&stage.topic, partition, ELECTION)?;
            slowest = slowest.max(killed.elapsed());
            assert_ne!(leader, next, "a dead node leads");
            std::thread::sleep(Duration::from_millis(test.random(0..=2_000)));
            cluster.node(leader)?.restart()
        })
        .map_err(Failure::new)?;
        server.all_in_sync(&stage.topic).await?;
        stage.may_lose(None, from);
        kills += 1;
    }
    let mut numbers = stage.finish().await?;
    numbers.add("leaders killed", kills);
    numbers.add("slowest election", format_args!("{:.1} s", slowest.as_secs_f64()));
    Ok(numbers)
}
