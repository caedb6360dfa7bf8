//! What a private Kafka is started with.

use std::path::Path;

use super::KafkaListener;
use crate::preload::Clock;

/// How to start a private Kafka: broker and controller in one process.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    properties: Vec<(String, String)>,
    pub(super) advertised: Option<String>,
    pub(super) heap: u32,
    pub(super) clock: Option<Clock>,
    pub(super) disk: Option<u32>,
    pub(super) listeners: Vec<KafkaListener>,
    pub(super) users: Vec<(String, String)>,
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
            listeners: Vec::new(),
            users: Vec::new(),
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

    /// A further listener for clients, found by its name with [`Kafka::listener`](crate::Kafka::listener). The plain one
    /// is always there.
    pub fn listener(mut self, listener: KafkaListener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Somebody who may log in to every listener that has a login, by every mechanism of it.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.push((name.into(), password.into()));
        self
    }

    /// Whoever logs in may do only what [`Kafka::allow`](crate::Kafka::allow) says, except for these, such as
    /// `User:admin`, and for those who did not log in at all: they may do everything.
    pub fn guarded(self, masters: &[&str]) -> Self {
        let masters = std::iter::once("User:ANONYMOUS").chain(masters.iter().copied());
        let masters: Vec<_> = masters.collect();
        self.property(
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        )
        .property("super.users", masters.join(";"))
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
            more,
            voters,
        } = listeners;
        let mut all = format!(
            "PLAINTEXT://{bind}:{client},CONTROLLER://127.0.0.1:{controller},INNER://127.0.0.1:{inner}"
        );
        let mut advertised = format!("PLAINTEXT://{advertised},INNER://127.0.0.1:{inner}");
        let mut protocols = "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INNER:PLAINTEXT".to_owned();
        for (listener, port) in self.listeners.iter().zip(more) {
            let name = listener.name();
            all += &format!(",{name}://{bind}:{port}");
            advertised += &format!(",{name}://{}:{port}", super::listener::HOST);
            protocols += &format!(",{name}:{}", listener.protocol());
        }
        let placed = [
            ("node.id", id.to_string()),
            ("controller.quorum.voters", voters.clone()),
            ("listeners", all),
            ("advertised.listeners", advertised),
            ("listener.security.protocol.map", protocols),
            ("log.dirs", data.display().to_string()),
        ];
        let placed = placed.map(|(name, value)| (name.to_owned(), value));
        let mut lines: Vec<_> = fixed.into_iter().chain(placed).collect();
        for listener in &self.listeners {
            lines.extend(listener.lines(&self.users));
        }
        lines.extend(self.properties.iter().cloned());
        lines
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
    /// For the further listeners, one each.
    pub(crate) more: Vec<u16>,
    /// The controllers of the cluster, as `controller.quorum.voters` has them.
    pub(crate) voters: String,
}

/// What does not depend on where it runs.
const FIXED: [(&str, &str); 16] = [
    // Half of a small heap by default, and there is little to compact.
    ("log.cleaner.dedupe.buffer.size", "4194304"),
    ("process.roles", "broker,controller"),
    ("controller.listener.names", "CONTROLLER"),
    ("inter.broker.listener.name", "INNER"),
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
            more: vec![19_095],
            voters: "1@127.0.0.1:19093".into(),
        };
        let options = KafkaOptions::new()
            .property("message.max.bytes", "100")
            .listener(KafkaListener::new("LOGIN").mechanisms(&["PLAIN"]))
            .user("me", "secret")
            .quick_restart();
        let file = options.file(&listeners, Path::new("data"));
        assert!(file.ends_with("message.max.bytes=100\n"), "{file}");
        assert!(file.contains("listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093,INNER:"));
        assert!(file.contains(
            "advertised.listeners=PLAINTEXT://proxy:7,INNER://127.0.0.1:19094,LOGIN://localhost:19095\n"
        ));
        assert!(
            file.contains("LOGIN:SASL_PLAINTEXT") && file.contains("user_me=\"secret\""),
            "{file}"
        );
        assert!(file.contains("log.dirs=data\n"));
    }
}
