//! Topics and groups, from outside.

mod facts;
mod groups;
mod topics;

use crate::Context;
use async_trait::async_trait;
use bus_core::{Admin, Error, GroupSpec, Name, Result, Start, TopicLag, TopicSpec};
use std::sync::Arc;

/// The administrator's calls.
#[derive(Debug)]
pub(crate) struct RedisAdmin {
    context: Arc<Context>,
}

impl RedisAdmin {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
    fn address(&self) -> String {
        self.context.config.address()
    }
    fn group_missing(&self, group: &str) -> Error {
        let sentence = format!(
            "group `{group}` does not exist on redis at {}; it is made by its first subscription",
            self.address()
        );
        Error::new(bus_core::ErrorKind::GroupMissing, sentence)
    }
}

#[async_trait]
impl Admin for RedisAdmin {
    async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        topics.iter().try_for_each(TopicSpec::check)?;
        for spec in topics {
            self.create_one(spec, topics).await?;
        }
        Ok(())
    }
    async fn delete(&self, topic: &str) -> Result<()> {
        self.delete_topic(topic).await
    }
    async fn topics(&self) -> Result<Vec<TopicSpec>> {
        self.list_topics().await
    }
    async fn grow(&self, topic: &str, partitions: u32) -> Result<()> {
        self.grow_topic(topic, partitions).await
    }
    async fn positions(&self, topic: &str, at: Start) -> Result<Vec<(u32, u128)>> {
        self.find_positions(topic, &at).await
    }
    async fn groups(&self) -> Result<Vec<Name>> {
        self.list_groups().await
    }
    async fn group(&self, group: &str) -> Result<GroupSpec> {
        self.describe(group).await
    }
    async fn delete_group(&self, group: &str) -> Result<()> {
        self.remove_group(group).await
    }
    async fn facts(&self) -> Result<Vec<(Name, String)>> {
        self.server_facts().await
    }
    async fn lag(&self, group: &str) -> Result<Vec<TopicLag>> {
        self.lags(group).await
    }
    async fn reset(&self, group: &str, topic: &str, to: Start) -> Result<()> {
        self.reset_group(group, topic, &to).await
    }
}
