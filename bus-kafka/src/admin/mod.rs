//! Topics and groups.

mod coordinators;
mod facts;
mod groups;
mod positions;
mod requests;
mod shared;
mod topics;

pub(crate) use positions::{BEGINNING, END, Lookup, Spec};
pub(crate) use requests::Requests;

use async_trait::async_trait;
use bus_core::{Admin, GroupSpec, Name, Result, Start, TopicLag, TopicSpec};
use std::{fmt, sync::Arc};

/// [`bus_core::Admin`] on Kafka.
pub(crate) struct KafkaAdmin {
    requests: Arc<Requests>,
}

impl KafkaAdmin {
    pub(crate) fn new(requests: Arc<Requests>) -> Self {
        Self { requests }
    }
}

impl fmt::Debug for KafkaAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaAdmin").finish_non_exhaustive()
    }
}

#[async_trait]
impl Admin for KafkaAdmin {
    async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        self.requests.create(topics).await
    }
    async fn delete(&self, topic: &str) -> Result<()> {
        self.requests.delete(topic).await
    }
    async fn topics(&self) -> Result<Vec<TopicSpec>> {
        self.requests.topics().await
    }
    async fn grow(&self, topic: &str, partitions: u32) -> Result<()> {
        self.requests.grow(topic, partitions).await
    }
    async fn positions(&self, topic: &str, at: Start) -> Result<Vec<(u32, u128)>> {
        self.requests.positions(topic, &at).await
    }
    async fn groups(&self) -> Result<Vec<Name>> {
        self.requests.groups().await
    }
    async fn group(&self, group: &str) -> Result<GroupSpec> {
        self.requests.group(group).await
    }
    async fn delete_group(&self, group: &str) -> Result<()> {
        self.requests.delete_group(group).await
    }
    async fn facts(&self) -> Result<Vec<(Name, String)>> {
        self.requests.facts().await
    }
    async fn lag(&self, group: &str) -> Result<Vec<TopicLag>> {
        self.requests.lag(group).await
    }
    async fn reset(&self, group: &str, topic: &str, to: Start) -> Result<()> {
        self.requests.reset(group, topic, &to).await
    }
}
