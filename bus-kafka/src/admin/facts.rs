//! What `bus check` looks at.

use super::Requests;
use crate::native::Resource;
use bus_core::{Name, Result};

/// Broker settings worth knowing, and the names they get.
const SETTINGS: &[(&str, &str)] = &[
    ("message.max.bytes", "message.max.bytes"),
    ("min.insync.replicas", "min.insync.replicas"),
    ("default.replication.factor", "default.replication.factor"),
    ("unclean.leader.election.enable", "unclean.leader.election"),
    ("auto.create.topics.enable", "auto.create.topics"),
    ("offsets.retention.minutes", "offsets.retention.minutes"),
    ("offset.metadata.max.bytes", "offset.metadata.max.bytes"),
    ("group.min.session.timeout.ms", "group.min.session.timeout.ms"),
    ("log.retention.ms", "log.retention.ms"),
    ("log.retention.hours", "log.retention.hours"),
    ("log.message.timestamp.type", "log.message.timestamp.type"),
];

impl Requests {
    pub(super) async fn facts(&self) -> Result<Vec<(Name, String)>> {
        let cluster = self
            .cluster(self.timeout)
            .await
            .map_err(|failure| self.failed("describing the cluster", &failure))?;
        let mut facts: Vec<(Name, String)> = vec![
            ("backend".into(), "kafka".to_owned()),
            ("address".into(), self.brokers.clone()),
            ("cluster".into(), cluster.id),
            ("controller".into(), cluster.controller.to_string()),
            ("brokers".into(), cluster.nodes.len().to_string()),
            (
                "client".into(),
                format!("librdkafka {}", crate::native::version()),
            ),
        ];
        for (id, address) in &cluster.nodes {
            facts.push((format!("broker.{id}").into(), address.clone()));
        }
        let brokers: Vec<Resource> = cluster
            .nodes
            .iter()
            .take(1)
            .map(|(id, _)| Resource::Broker(*id))
            .collect();
        for set in self.configs(&brokers).await? {
            if let Some(failure) = &set.failure {
                facts.push(("settings".into(), format!("not readable: {}", failure.text)));
            }
            for (setting, name) in SETTINGS {
                if let Some((_, value)) = set.entries.iter().find(|(k, _)| k == setting) {
                    facts.push(((*name).into(), value.clone()));
                }
            }
        }
        Ok(facts)
    }
}
