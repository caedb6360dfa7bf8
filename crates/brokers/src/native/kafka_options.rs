//! What a private Kafka is started with.

use std::path::Path;

/// How to start a private Kafka: one node, broker and controller in one process.
#[derive(Debug, Clone, Default)]
pub struct KafkaOptions {
    properties: Vec<(String, String)>,
}

impl KafkaOptions {
    /// The settings of a test broker: every replication factor 1, no delay before the first rebalance, few internal
    /// partitions, topics made only on request.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more line of `server.properties`; it wins over the line of that name that is there already.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// For a broker that is going to be killed: the controller must forget the killed one before it lets the restarted
    /// one in, which takes 9 s by default. The price is that a broker starved for 3 s is fenced for a moment.
    pub(crate) fn quick_restart(mut self) -> Self {
        let quick = [
            ("broker.session.timeout.ms", "3000"),
            ("broker.heartbeat.interval.ms", "500"),
        ];
        let quick = quick.map(|(name, value)| (name.to_owned(), value.to_owned()));
        // In front, so that what the caller asked for wins.
        self.properties.splice(0..0, quick);
        self
    }

    /// `server.properties`. Later lines win, as Java reads them.
    pub(crate) fn file(&self, ports: (u16, u16), data: &Path) -> String {
        let lines = self.lines("127.0.0.1", "127.0.0.1", ports, data);
        lines
            .into_iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect()
    }

    /// The settings, for a broker that listens on the address `bind` and that its clients reach at `host`; `ports`
    /// are the broker's and the controller's.
    pub(crate) fn lines(
        &self,
        bind: &str,
        host: &str,
        ports: (u16, u16),
        data: &Path,
    ) -> Vec<(String, String)> {
        let (broker, controller) = ports;
        let fixed = FIXED.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let placed = [
            ("controller.quorum.voters", format!("1@127.0.0.1:{controller}")),
            (
                "listeners",
                format!("PLAINTEXT://{bind}:{broker},CONTROLLER://127.0.0.1:{controller}"),
            ),
            ("advertised.listeners", format!("PLAINTEXT://{host}:{broker}")),
            ("log.dirs", data.display().to_string()),
        ];
        let placed = placed.map(|(name, value)| (name.to_owned(), value));
        fixed
            .into_iter()
            .chain(placed)
            .chain(self.properties.iter().cloned())
            .collect()
    }
}

/// What does not depend on where it runs.
const FIXED: [(&str, &str); 17] = [
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("inter.broker.listener.name", "PLAINTEXT"),
    (
        "listener.security.protocol.map",
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
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
        let options = KafkaOptions::new()
            .property("message.max.bytes", "100")
            .quick_restart();
        let file = options.file((19_092, 19_093), Path::new("data"));
        assert!(file.ends_with("message.max.bytes=100\n"), "{file}");
        assert!(file.contains("listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093\n"));
        assert!(file.contains("log.dirs=data\n"));
    }
}
