//! What a private Kafka is started with.

use std::path::Path;

use crate::preload::Clock;

/// How to start a private Kafka: broker and controller in one process.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    properties: Vec<(String, String)>,
    pub(super) advertised: Option<String>,
    pub(super) heap: u32,
    pub(super) clock: Option<Clock>,
    pub(super) disk: Option<u32>,
}

impl KafkaOptions {
    /// The settings of a test broker: every replication factor 1, no delay before the first rebalance, few internal
    /// partitions, topics made only on request. Those of a [`KafkaCluster`](crate::KafkaCluster) of three: replication
    /// factor 3, of which two must be in sync.
    pub fn new() -> Self {
        Self {
            properties: Vec::new(),
            advertised: None,
            heap: 512,
            clock: None,
            disk: None,
        }
    }

    /// One more line of `server.properties`; it wins over the line of that name that is there already.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// Sends clients to this address, `host:port`, instead of the broker's own: a proxy stands there.
    pub fn advertised(mut self, address: impl Into<String>) -> Self {
        self.advertised = Some(address.into());
        self
    }

    /// The most that its heap may grow to, in megabytes: 512 where nothing is said, 256 for the node of a cluster.
    pub fn heap(mut self, megabytes: u32) -> Self {
        self.heap = megabytes;
        self
    }

    /// Puts it under a wall clock that can be moved.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// Puts its data on a small disk of that many megabytes (needs root), see [`Disk`](crate::Disk).
    pub fn disk(mut self, megabytes: u32) -> Self {
        self.disk = Some(megabytes);
        self
    }

    /// Settings that give way to what the caller asked for.
    pub(super) fn defaults<const N: usize>(mut self, defaults: [(&str, &str); N]) -> Self {
        let defaults = defaults.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.properties.splice(0..0, defaults);
        self
    }

    /// For a broker that is going to be killed: the controller must forget the killed one before it lets the restarted
    /// one in, which takes 9 s by default. The price is that a broker starved for 3 s is fenced for a moment.
    pub(super) fn quick_restart(self) -> Self {
        self.defaults([
            ("broker.session.timeout.ms", "3000"),
            ("broker.heartbeat.interval.ms", "500"),
        ])
    }

    /// `server.properties`. Later lines win, as Java reads them.
    pub(crate) fn file(&self, listeners: &Listeners, data: &Path) -> String {
        let lines = self.lines(listeners, data).into_iter();
        lines.map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    /// The settings of the node that listens there.
    pub(crate) fn lines(&self, listeners: &Listeners, data: &Path) -> Vec<(String, String)> {
        let fixed = FIXED.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let Listeners {
            id,
            bind,
            advertised,
            ports: [client, controller, inner],
            voters,
        } = listeners;
        let all = format!(
            "PLAINTEXT://{bind}:{client},CONTROLLER://127.0.0.1:{controller},INNER://127.0.0.1:{inner}"
        );
        let advertised = format!("PLAINTEXT://{advertised},INNER://127.0.0.1:{inner}");
        let placed = [
            ("node.id", id.to_string()),
            ("controller.quorum.voters", voters.clone()),
            ("listeners", all),
            ("advertised.listeners", advertised),
            ("log.dirs", data.display().to_string()),
        ];
        let placed = placed.map(|(name, value)| (name.to_owned(), value));
        let own = self.properties.iter().cloned();
        fixed.into_iter().chain(placed).chain(own).collect()
    }
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a node listens, and where clients are told that it does.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) id: u32,
    /// The address that clients' connections are accepted on.
    pub(crate) bind: String,
    /// `host:port` that clients are told, which may be a proxy.
    pub(crate) advertised: String,
    /// For clients, for the controllers, and for the brokers among themselves: faults between a client and the
    /// brokers must not reach the third.
    pub(crate) ports: [u16; 3],
    /// The controllers of the cluster, as `controller.quorum.voters` has them.
    pub(crate) voters: String,
}

/// What does not depend on where it runs.
const FIXED: [(&str, &str); 17] = [
    // Half of a small heap by default, and there is little to compact.
    ("log.cleaner.dedupe.buffer.size", "4194304"),
    ("process.roles", "broker,controller"),
    ("controller.listener.names", "CONTROLLER"),
    ("inter.broker.listener.name", "INNER"),
    (
        "listener.security.protocol.map",
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INNER:PLAINTEXT",
    ),
    ("offsets.topic.num.partitions", "5"),
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.num.partitions", "5"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("share.coordinator.state.topic.num.partitions", "5"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
    ("default.replication.factor", "1"),
    ("min.insync.replicas", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("auto.create.topics.enable", "false"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_lines_come_last() {
        let listeners = Listeners {
            id: 1,
            bind: "127.0.0.1".into(),
            advertised: "proxy:7".into(),
            ports: [19_092, 19_093, 19_094],
            voters: "1@127.0.0.1:19093".into(),
        };
        let options = KafkaOptions::new()
            .property("message.max.bytes", "100")
            .quick_restart();
        let file = options.file(&listeners, Path::new("data"));
        assert!(file.ends_with("message.max.bytes=100\n"), "{file}");
        assert!(file.contains("listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093,INNER:"));
        assert!(file.contains("advertised.listeners=PLAINTEXT://proxy:7,INNER://127.0.0.1:19094\n"));
        assert!(file.contains("log.dirs=data\n"));
    }
}
