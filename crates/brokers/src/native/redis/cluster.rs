//! A cluster.

use std::time::Duration;

use super::{Redis, RedisOptions};
use crate::error::{Error, Result};
use crate::wait;

/// How long the nodes may take to agree on who is there and who has what.
const AGREE: Duration = Duration::from_secs(30);
/// Slots of a cluster.
const SLOTS: u16 = 16_384;

/// Three primaries that have a third of the slots each, the first ones of which the replicas follow. Whoever misses one
/// for two seconds calls it gone.
#[derive(Debug)]
pub struct RedisCluster {
    /// The primaries, whatever they became.
    pub primaries: Vec<Redis>,
    /// One replica each of the first primaries.
    pub replicas: Vec<Redis>,
}

impl RedisCluster {
    /// Starts three primaries and so many replicas with the same options, and waits until all of them find the cluster
    /// well.
    ///
    /// # Errors
    ///
    /// When a server does not come up or they do not agree.
    pub fn start(options: RedisOptions, replicas: usize) -> Result<Self> {
        let start = |_| Redis::start(options.clone().cluster());
        let cluster = Self {
            primaries: (0..3).map(start).collect::<Result<_>>()?,
            replicas: (0..replicas.min(3)).map(start).collect::<Result<_>>()?,
        };
        for (number, primary) in cluster.primaries.iter().enumerate() {
            let first = (number * usize::from(SLOTS) / 3).to_string();
            let last = ((number + 1) * usize::from(SLOTS) / 3 - 1).to_string();
            primary.ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])?;
            // Whose word counts where two disagree.
            primary.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()])?;
        }
        for node in cluster.nodes().skip(1) {
            let first = cluster.primaries[0].peer;
            let (host, port) = (first.ip().to_string(), first.port().to_string());
            let bus = cluster.primaries[0].bus.unwrap_or_default().to_string();
            node.ask(&["CLUSTER", "MEET", &host, &port, &bus])?;
        }
        cluster.agree()?;
        for (replica, primary) in cluster.replicas.iter().zip(&cluster.primaries) {
            let id = primary.ask(&["CLUSTER", "MYID"])?;
            replica.ask(&["CLUSTER", "REPLICATE", &id])?;
        }
        let linked = |replica: &Redis| {
            let link = replica.info("master_link_status").ok()?;
            (link == "up").then_some(())
        };
        wait::poll(AGREE, || cluster.replicas.iter().try_for_each(linked)).ok_or_else(late)?;
        cluster.agree()?;
        Ok(cluster)
    }

    /// One node that has every slot.
    ///
    /// # Errors
    ///
    /// When it does not come up or does not find itself well.
    pub fn alone(options: RedisOptions) -> Result<Redis> {
        let node = Redis::start(options.cluster())?;
        let last = (SLOTS - 1).to_string();
        node.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", &last])?;
        let well = || {
            let info = node.ask(&["CLUSTER", "INFO"]).ok()?;
            info.contains("cluster_state:ok").then_some(())
        };
        wait::poll(AGREE, well).ok_or_else(late)?;
        Ok(node)
    }

    fn nodes(&self) -> impl Iterator<Item = &Redis> {
        self.primaries.iter().chain(&self.replicas)
    }

    /// Waits until every node knows all others and finds the cluster well.
    fn agree(&self) -> Result<()> {
        let known = format!("cluster_known_nodes:{}", self.nodes().count());
        let well = |node: &Redis| {
            let info = node.ask(&["CLUSTER", "INFO"]).ok()?;
            let says = |line: &str| info.lines().any(|l| l.trim() == line);
            (says("cluster_state:ok") && says(&known)).then_some(())
        };
        wait::poll(AGREE, || self.nodes().try_for_each(well)).ok_or_else(late)
    }

    /// The primary that has a slot, by its place in `primaries`; the nodes that are asked are those that answer.
    ///
    /// # Errors
    ///
    /// When nobody has it.
    pub fn owner(&self, slot: u16) -> Result<usize> {
        for (number, primary) in self.primaries.iter().enumerate() {
            let Ok(nodes) = primary.ask(&["CLUSTER", "NODES"]) else {
                continue;
            };
            let mine = nodes.lines().find(|line| line.contains("myself,master"));
            let ranges = mine.map(|line| line.split(' ').skip(8)).into_iter().flatten();
            for range in ranges.filter(|range| !range.starts_with('[')) {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>())
                    && (first..=last).contains(&slot)
                {
                    return Ok(number);
                }
            }
        }
        Err(Error::State(format!("nobody has slot {slot}")))
    }

    /// Begins to move a slot between two primaries: its keys go by [`move_keys`](Self::move_keys).
    ///
    /// # Errors
    ///
    /// When one of them refuses it.
    pub fn begin_move(&self, slot: u16, from: usize, to: usize) -> Result<()> {
        let slot = slot.to_string();
        let ids = [from, to].map(|number| self.primaries[number].ask(&["CLUSTER", "MYID"]));
        let [source, target] = ids;
        let words = ["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source?];
        self.primaries[to].ask(&words)?;
        let words = ["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target?];
        self.primaries[from].ask(&words).map(drop)
    }

    /// Moves so many of a slot's keys, one after the other; how many there were.
    ///
    /// # Errors
    ///
    /// When one cannot be moved.
    pub fn move_keys(&self, slot: u16, from: usize, to: usize, most: usize) -> Result<usize> {
        let (slot, most) = (slot.to_string(), most.to_string());
        let keys = self.primaries[from].ask(&["CLUSTER", "GETKEYSINSLOT", &slot, &most])?;
        let at = self.primaries[to].peer;
        let (host, port) = (at.ip().to_string(), at.port().to_string());
        for key in keys.lines() {
            self.primaries[from].ask(&["MIGRATE", &host, &port, key, "0", "5000"])?;
        }
        Ok(keys.lines().count())
    }

    /// Ends the move of a slot whose keys are gone over.
    ///
    /// # Errors
    ///
    /// When one of them refuses it.
    pub fn end_move(&self, slot: u16, from: usize, to: usize) -> Result<()> {
        let (slot, target) = (slot.to_string(), self.primaries[to].ask(&["CLUSTER", "MYID"])?);
        for number in [to, from] {
            let words = ["CLUSTER", "SETSLOT", &slot, "NODE", &target];
            self.primaries[number].ask(&words)?;
        }
        Ok(())
    }

    /// The hosts of a URL: `127.0.0.1:port,…`, of the primaries.
    pub fn hosts(&self) -> String {
        let hosts: Vec<String> = self.primaries.iter().map(|p| p.peer.to_string()).collect();
        hosts.join(",")
    }
}

fn late() -> Error {
    let seconds = AGREE.as_secs();
    Error::State(format!("the nodes of a cluster do not agree after {seconds} s"))
}
