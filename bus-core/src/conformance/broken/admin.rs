//! An administrator that does not do what it says.

use super::{Fault, shared::Shared};
use crate::{Admin, Error, ErrorKind, GroupSpec, Name, Result, Start, TopicLag, TopicSpec};
use async_trait::async_trait;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct BrokenAdmin {
    pub(super) inner: Arc<dyn Admin>,
    pub(super) shared: Arc<Shared>,
}

impl BrokenAdmin {
    fn told<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error: Error| self.shared.error(error))
    }
}

#[async_trait]
impl Admin for BrokenAdmin {
    async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        let mut topics = topics.to_vec();
        match self.shared.fault {
            Fault::OnePartitionTopics => topics.iter_mut().for_each(|topic| topic.partitions = 1),
            Fault::HalfMade => {
                let whole: Vec<_> = topics.iter().map(|t| (t.name.clone(), t.partitions)).collect();
                topics.iter_mut().for_each(|topic| topic.partitions = 1);
                let there = self.inner.topics().await?;
                self.told(self.inner.create(&topics).await)?;
                tokio::task::yield_now().await;
                for (name, partitions) in whole {
                    if partitions > 1 && !there.iter().any(|t| t.name == name) {
                        self.told(self.inner.grow(&name, partitions).await)?;
                    }
                }
                return Ok(());
            }
            Fault::AnyName => topics.retain(|topic| topic.check().is_ok()),
            _ => {}
        }
        self.told(self.inner.create(&topics).await)
    }
    async fn delete(&self, topic: &str) -> Result<()> {
        self.told(self.inner.delete(topic).await)
    }
    async fn topics(&self) -> Result<Vec<TopicSpec>> {
        self.told(self.inner.topics().await)
    }
    async fn grow(&self, topic: &str, partitions: u32) -> Result<()> {
        self.told(self.inner.grow(topic, partitions).await)
    }
    async fn positions(&self, topic: &str, at: Start) -> Result<Vec<(u32, u128)>> {
        self.told(self.inner.positions(topic, at).await)
    }
    async fn groups(&self) -> Result<Vec<Name>> {
        self.told(self.inner.groups().await)
    }
    async fn group(&self, group: &str) -> Result<GroupSpec> {
        self.told(self.inner.group(group).await)
    }
    async fn delete_group(&self, group: &str) -> Result<()> {
        if self.shared.is(Fault::DeleteLive) {
            return Ok(());
        }
        self.told(self.inner.delete_group(group).await)
    }
    async fn facts(&self) -> Result<Vec<(Name, String)>> {
        self.told(self.inner.facts().await)
    }
    async fn lag(&self, group: &str) -> Result<Vec<TopicLag>> {
        self.told(self.inner.lag(group).await)
    }
    async fn reset(&self, group: &str, topic: &str, to: Start) -> Result<()> {
        let live = || self.told(Err(Error::new(ErrorKind::Conflict, "there are live members")));
        match self.shared.fault {
            Fault::IgnoreReset => match self.inner.group(group).await {
                Ok(spec) if !spec.members.is_empty() => live(),
                _ => Ok(()),
            },
            _ => self.told(self.inner.reset(group, topic, to).await),
        }
    }
}
