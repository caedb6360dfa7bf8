//! Creating, deleting, listing, growing.

use super::Requests;
use crate::{
    error,
    native::{Code, NewTopic, Resource},
};
use bus_core::{Error, ErrorKind, Name, Result, TopicSpec};
use std::time::{Duration, Instant};

/// Topics that belong to brokers.
fn internal(name: &str) -> bool {
    name.starts_with("__")
}

impl Requests {
    pub(super) async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        for topic in topics {
            topic.check()?;
        }
        if topics.is_empty() {
            return Ok(());
        }
        let new: Vec<NewTopic> = topics.iter().map(new_topic).collect();
        let timeout = self.timeout;
        let results = self
            .ask(
                |client, queue, tag| client.create_topics(&new, queue, tag, timeout),
                |event| match event.failure() {
                    Some(failure) => Err(failure),
                    None => Ok(event.topic_results()),
                },
            )
            .await?
            .map_err(|failure| self.failed("creating topics", &failure))?;
        for (topic, result) in topics.iter().zip(results) {
            match result.failure {
                Some(failure) if failure.code != Code::TOPIC_EXISTS => {
                    return Err(error::classify(
                        format_args!("creating topic `{}`", topic.name),
                        &failure,
                    ));
                }
                _ => {}
            }
        }
        let names: Vec<Name> = topics.iter().map(|t| t.name.clone()).collect();
        self.until(&names, |info| {
            info.failure.is_none() && info.partitions > 0 && info.led == info.partitions
        })
        .await
    }

    /// Waits until the cluster describes all these topics as wanted.
    async fn until(&self, names: &[Name], wanted: impl Fn(&crate::native::TopicInfo) -> bool) -> Result<()> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let found = self.describe(names).await?;
            if found.len() == names.len() && found.iter().all(&wanted) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    format!(
                        "topics {names:?} are not as wanted at {} after {:?}",
                        self.brokers, self.timeout
                    ),
                )
                .transient(true));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn delete(&self, topic: &str) -> Result<()> {
        let timeout = self.timeout;
        let results = self
            .ask(
                |client, queue, tag| {
                    client.delete_topic(topic, queue, tag, timeout);
                    Ok(())
                },
                |event| match event.failure() {
                    Some(failure) => Err(failure),
                    None => Ok(event.topic_results()),
                },
            )
            .await?
            .map_err(|failure| self.failed("deleting a topic", &failure))?;
        match results.into_iter().next().and_then(|r| r.failure) {
            Some(failure) if failure.code == Code::UNKNOWN_TOPIC_OR_PART => Err(Error::topic_missing(topic)),
            Some(failure) => Err(error::classify(
                format_args!("deleting topic `{topic}`"),
                &failure,
            )),
            None => {
                self.until(&[Name::from(topic)], |info| {
                    info.failure
                        .as_ref()
                        .is_some_and(|f| f.code == Code::UNKNOWN_TOPIC_OR_PART)
                })
                .await
            }
        }
    }

    pub(super) async fn grow(&self, topic: &str, partitions: u32) -> Result<()> {
        let now = self.partitions(topic).await?;
        if partitions < now {
            return Err(Error::invalid(format!(
                "topic `{topic}` has {now} partitions; they can grow but not shrink to {partitions}"
            )));
        }
        if partitions == now {
            return Ok(());
        }
        let timeout = self.timeout;
        let results = self
            .ask(
                |client, queue, tag| client.create_partitions(topic, partitions, queue, tag, timeout),
                |event| match event.failure() {
                    Some(failure) => Err(failure),
                    None => Ok(event.topic_results()),
                },
            )
            .await?
            .map_err(|failure| self.failed("adding partitions", &failure))?;
        if let Some(failure) = results.into_iter().next().and_then(|r| r.failure) {
            return Err(error::classify(
                format_args!("adding partitions to topic `{topic}`"),
                &failure,
            ));
        }
        self.until(&[Name::from(topic)], |info| {
            info.partitions >= partitions && info.led == info.partitions
        })
        .await
    }

    pub(super) async fn topics(&self) -> Result<Vec<TopicSpec>> {
        let (client, timeout) = (self.client(), self.timeout);
        let mut found = super::requests::blocking(move || client.metadata(timeout))
            .await
            .map_err(|failure| self.failed("listing topics", &failure))?;
        found.retain(|t| !internal(&t.name));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let resources: Vec<Resource> = found.iter().map(|t| Resource::Topic(t.name.clone())).collect();
        let configs = self.configs(&resources).await.unwrap_or_else(|why| {
            // Names and partitions are worth having without the right to read configurations.
            tracing::warn!(target: "bus::kafka", "listing topics without their configurations: {why}");
            Vec::new()
        });
        Ok(found
            .into_iter()
            .map(|topic| {
                let config = configs.iter().find(|c| c.name == topic.name);
                let value = |key: &str| {
                    let entries = config.map(|c| &c.entries[..]).unwrap_or_default();
                    entries.iter().find(|(k, _)| k == key).map(|(_, v)| &**v)
                };
                let mut spec = TopicSpec::new(topic.name.as_str())
                    .partitions(topic.partitions)
                    .replication(topic.replication)
                    .compact(value("cleanup.policy").is_some_and(|v| v.split(',').any(|p| p == "compact")));
                if let Some(retention) = value("retention.ms").and_then(|v| v.parse().ok()) {
                    spec = spec.retention(Duration::from_millis(retention));
                }
                spec
            })
            .collect())
    }

    /// Configurations, in no order; those that may not be read carry their failure.
    pub(super) async fn configs(&self, of: &[Resource]) -> Result<Vec<crate::native::ConfigSet>> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let timeout = self.timeout;
        self.ask(
            |client, queue, tag| {
                client.describe_configs(of, queue, tag, timeout);
                Ok(())
            },
            |event| match event.failure() {
                Some(failure) => Err(failure),
                None => Ok(event.configs()),
            },
        )
        .await?
        .map_err(|failure| self.failed("reading configurations", &failure))
    }
}

fn new_topic(spec: &TopicSpec) -> NewTopic {
    let mut config = Vec::new();
    if let Some(retention) = spec.retention {
        config.push(("retention.ms", retention.as_millis().to_string()));
    }
    if spec.compact {
        config.push(("cleanup.policy", "compact".to_owned()));
    }
    NewTopic {
        name: spec.name.to_string(),
        partitions: spec.partitions,
        replication: spec.replication,
        config,
    }
}
