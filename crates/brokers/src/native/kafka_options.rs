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

    /// `server.properties`. Later lines win, as Java reads them.
    pub(crate) fn file(&self, broker: u16, controller: u16, data: &Path) -> String {
        let mut lines = vec![
            "process.roles=broker,controller".to_owned(),
            "node.id=1".to_owned(),
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            format!("listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}"),
            format!("advertised.listeners=PLAINTEXT://127.0.0.1:{broker}"),
            "controller.listener.names=CONTROLLER".to_owned(),
            "inter.broker.listener.name=PLAINTEXT".to_owned(),
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT".to_owned(),
            format!("log.dirs={}", data.display()),
            "offsets.topic.num.partitions=5".to_owned(),
            "offsets.topic.replication.factor=1".to_owned(),
            "transaction.state.log.num.partitions=5".to_owned(),
            "transaction.state.log.replication.factor=1".to_owned(),
            "transaction.state.log.min.isr=1".to_owned(),
            "share.coordinator.state.topic.num.partitions=5".to_owned(),
            "share.coordinator.state.topic.replication.factor=1".to_owned(),
            "share.coordinator.state.topic.min.isr=1".to_owned(),
            "default.replication.factor=1".to_owned(),
            "min.insync.replicas=1".to_owned(),
            "group.initial.rebalance.delay.ms=0".to_owned(),
            "auto.create.topics.enable=false".to_owned(),
        ];
        lines.extend(self.properties.iter().map(|(name, value)| format!("{name}={value}")));
        lines.push(String::new());
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_lines_come_last() {
        let options = KafkaOptions::new().property("message.max.bytes", "100");
        let file = options.file(19_092, 19_093, Path::new("data"));
        assert!(file.ends_with("message.max.bytes=100\n"), "{file}");
        assert!(file.contains("listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093\n"));
        assert!(file.contains("log.dirs=data\n"));
    }
}
