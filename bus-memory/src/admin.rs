//! Topics and groups, for administrators.

use crate::{group::Group, hub::Hub};
use async_trait::async_trait;
use bus_core::{Admin, Error, ErrorKind, GroupSpec, Name, Result, Start, TopicLag, TopicSpec};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct MemoryAdmin {
    hub: Arc<Hub>,
}

impl MemoryAdmin {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }
    fn find(&self, group: &str) -> Result<Arc<Group>> {
        self.hub
            .groups
            .lock()
            .get(group)
            .cloned()
            .ok_or_else(|| missing(group))
    }
}

#[async_trait]
impl Admin for MemoryAdmin {
    async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        topics.iter().try_for_each(TopicSpec::check)?;
        self.hub.create(topics);
        Ok(())
    }
    async fn delete(&self, topic: &str) -> Result<()> {
        self.hub.delete(topic)
    }
    async fn topics(&self) -> Result<Vec<TopicSpec>> {
        Ok(self.hub.topics().iter().map(|t| t.spec()).collect())
    }
    async fn grow(&self, topic: &str, partitions: u32) -> Result<()> {
        self.hub.grow(topic, partitions)
    }
    async fn positions(&self, topic: &str, at: Start) -> Result<Vec<(u32, u128)>> {
        let partitions = self.hub.topic(topic)?.partitions();
        partitions
            .iter()
            .map(|p| Ok((p.number, p.resolve(&at, None)?)))
            .collect()
    }
    async fn groups(&self) -> Result<Vec<Name>> {
        Ok(self.hub.groups.lock().keys().cloned().collect())
    }
    async fn group(&self, group: &str) -> Result<GroupSpec> {
        Ok(self.find(group)?.spec(&self.hub))
    }
    async fn delete_group(&self, group: &str) -> Result<()> {
        // Held all the while: nobody joins what is being deleted.
        let mut groups = self.hub.groups.lock();
        let found = groups.get(group).ok_or_else(|| missing(group))?;
        if found.has_members(&self.hub) {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("group `{group}` has live members; stop them before it is deleted"),
            ));
        }
        groups.remove(group);
        drop(groups);
        self.hub.serve_queues();
        Ok(())
    }
    async fn facts(&self) -> Result<Vec<(Name, String)>> {
        let config = &self.hub.config;
        let fact = |name: &str, value: String| (Name::from(name), value);
        Ok(vec![
            fact("backend", "memory".into()),
            fact("bus", self.hub.name.clone().unwrap_or_else(|| "private".into())),
            fact("durability", "lives as long as the process".into()),
            fact("max_messages", config.max_messages.to_string()),
            fact("max_bytes", config.max_bytes.to_string()),
            fact("when_full", format!("{:?}", config.when_full)),
            fact("clock", self.hub.clock.millis().to_string()),
        ])
    }
    async fn lag(&self, group: &str) -> Result<Vec<TopicLag>> {
        Ok(self.find(group)?.lag())
    }
    async fn reset(&self, group: &str, topic: &str, to: Start) -> Result<()> {
        let found = self.find(group)?;
        // Nobody joins or deletes the topic meanwhile.
        let groups = self.hub.groups.lock();
        let topic = self.hub.topic(topic)?;
        found.reset(&self.hub, &topic, &to)?;
        drop(groups);
        self.hub.serve_queues();
        Ok(())
    }
}

fn missing(group: &str) -> Error {
    Error::new(
        ErrorKind::GroupMissing,
        format!("group `{group}` does not exist; it is made when somebody subscribes"),
    )
}
