//! A private Kafka of three nodes.

use std::time::Duration;

use super::{Kafka, KafkaOptions, KafkaPartition};
use crate::error::{Error, Result};
use crate::{probe, wait};

/// How long the nodes may take to see each other once each of them answers.
const TOGETHER: Duration = Duration::from_secs(60);

/// Three Kafka nodes of the caller's own: each is broker and controller, every topic is stored on all three unless
/// it is created otherwise, and two of them must have a message before it counts as stored (`min.insync.replicas`).
///
/// Two nodes are a quorum: with one of them down everything works, with two down nothing is elected.
#[derive(Debug)]
pub struct KafkaCluster {
    nodes: Vec<Kafka>,
}

impl KafkaCluster {
    /// Starts three nodes at once and waits until each knows of the others. Blocks for about 10 s on an idle machine,
    /// and takes about 1 GB of memory.
    ///
    /// # Errors
    ///
    /// When Java or Kafka cannot be installed, or a node does not come up.
    pub fn start(options: KafkaOptions) -> Result<Self> {
        Self::start_with(options, [None, None, None])
    }

    /// The same, each node behind a proxy: clients are told these addresses, `host:port`, of the nodes 1 to 3. Each
    /// proxy forwards to the [`Kafka::address`] of its node.
    ///
    /// # Errors
    ///
    /// As [`KafkaCluster::start`].
    pub fn start_behind(options: KafkaOptions, proxies: [String; 3]) -> Result<Self> {
        Self::start_with(options, proxies.map(Some))
    }

    fn start_with(options: KafkaOptions, proxies: [Option<String>; 3]) -> Result<Self> {
        let heap = options.heap.min(256);
        let options = options.heap(heap).defaults(REPLICATED).quick_restart();
        let mut places = Vec::new();
        for (id, proxy) in (1..).zip(proxies) {
            let mut options = options.clone();
            options.advertised = proxy;
            places.push((id, Kafka::private_place()?, options));
        }
        let voters: Vec<_> = places
            .iter()
            .map(|(id, place, _)| Kafka::voter(*id, place))
            .collect();
        let voters = voters.join(",");
        // All at once: none of them answers before there is a quorum.
        let nodes = std::thread::scope(|scope| {
            let starts: Vec<_> = places
                .into_iter()
                .map(|(id, place, options)| {
                    let voters = voters.clone();
                    scope.spawn(move || Kafka::start_at(place, options, id, voters))
                })
                .collect();
            let ended = starts.into_iter().map(std::thread::ScopedJoinHandle::join);
            ended
                .map(|end| end.unwrap_or_else(|_| Err(Error::State("the start of a node panicked".into()))))
                .collect::<Result<Vec<_>>>()
        })?;
        let cluster = Self { nodes };
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    /// The nodes; the first has id 1.
    pub fn nodes(&self) -> &[Kafka] {
        &self.nodes
    }

    /// The node of that id.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn node(&self, id: u32) -> Result<&Kafka> {
        let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        let node = index.and_then(|index| self.nodes.get(index));
        node.ok_or_else(|| Error::State(format!("a cluster has nodes 1 to 3, not {id}")))
    }

    /// The addresses of all nodes, with commas between.
    pub fn address(&self) -> String {
        let addresses: Vec<&str> = self.nodes.iter().map(Kafka::address).collect();
        addresses.join(",")
    }

    /// The partitions of a topic, asked of the first node that answers. After a fault it may tell what was true a
    /// moment ago: ask again until it fits.
    ///
    /// # Errors
    ///
    /// When no node answers, or the topic does not exist.
    pub fn partitions(&self, topic: &str) -> Result<Vec<KafkaPartition>> {
        let mut seen = "no node runs".to_owned();
        for node in self.nodes.iter().filter(|node| node.pid().is_some()) {
            match probe::kafka_partitions(node.inner_address(), topic) {
                Ok(partitions) => return Ok(partitions),
                Err(why) => seen = why,
            }
        }
        Err(Error::State(format!(
            "nobody tells the partitions of {topic}: {seen}"
        )))
    }

    /// The node that leads a partition, waiting for an election for as long as `limit`.
    ///
    /// # Errors
    ///
    /// When there is no leader until then; the message says what was seen last.
    pub fn leader(&self, topic: &str, partition: u32, limit: Duration) -> Result<u32> {
        let mut seen = String::new();
        let found = wait::poll(limit, || match self.partitions(topic) {
            Ok(partitions) => {
                seen = format!("{partitions:?}");
                let mut those = partitions.iter().filter(|p| p.partition == partition);
                those.find_map(|p| p.leader.filter(|id| self.runs(*id)))
            }
            Err(error) => {
                seen = error.to_string();
                None
            }
        });
        found.ok_or_else(|| {
            let seconds = limit.as_secs();
            Error::State(format!(
                "{topic}/{partition} has no leader after {seconds} s: {seen}"
            ))
        })
    }

    /// Waits until every node counts three.
    ///
    /// # Errors
    ///
    /// When one does not within a minute.
    pub fn wait_until_whole(&self) -> Result<()> {
        let mut seen = String::new();
        let whole = wait::poll(TOGETHER, || {
            self.nodes
                .iter()
                .all(|node| match probe::kafka_brokers(node.inner_address()) {
                    Ok(3) => true,
                    other => {
                        seen = format!("node at {} sees {other:?}", node.address());
                        false
                    }
                })
                .then_some(())
        });
        whole.ok_or_else(|| Error::State(format!("the three nodes do not see each other: {seen}")))
    }

    fn runs(&self, id: u32) -> bool {
        self.node(id).is_ok_and(|node| node.pid().is_some())
    }
}

const REPLICATED: [(&str, &str); 8] = [
    ("offsets.topic.replication.factor", "3"),
    ("transaction.state.log.replication.factor", "3"),
    ("transaction.state.log.min.isr", "2"),
    ("share.coordinator.state.topic.replication.factor", "3"),
    ("share.coordinator.state.topic.min.isr", "2"),
    ("default.replication.factor", "3"),
    ("min.insync.replicas", "2"),
    // A follower that stands still leaves the in-sync set after 3 s instead of 30.
    ("replica.lag.time.max.ms", "3000"),
];
