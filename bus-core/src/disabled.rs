//! A bus that is switched off: it connects to nothing, and says so.

use crate::{
    Ack, Admin, Backend, Done, Error, ErrorKind, Event, GroupSpec, Limits, Message, Name, Outcome, Pending,
    Publisher, Result, Room, Scope, Shard, Source, Start, Subscriber, TopicLag, TopicSpec,
};
use async_trait::async_trait;
use std::{future::pending, sync::Arc};

/// Behind [`Bus::disabled`](crate::Bus::disabled). Its topics have no partitions, so there is nothing to read, and an
/// observer has caught up at once.
#[derive(Debug)]
pub(crate) struct Disabled;

fn off(what: &str) -> Error {
    Error::new(
        ErrorKind::Disabled,
        format!("the bus is disabled (`enabled` is false in its settings), so there is no {what}"),
    )
}

#[async_trait]
impl Backend for Disabled {
    fn name(&self) -> &'static str {
        "disabled"
    }
    fn limits(&self) -> Limits {
        Limits {
            notes: usize::MAX >> 1,
            message: usize::MAX >> 1,
            outputs: usize::MAX >> 1,
        }
    }
    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        Ok(Arc::new(Self))
    }
    async fn subscribe(&self, source: Source) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
        let group = match &source.scope {
            Scope::Group(group) => &**group,
            Scope::Everyone { .. } => "",
        };
        tracing::info!(topics = ?source.topics, group, "consumer not started: the bus is disabled");
        Ok((Box::new(Self), Arc::new(Self)))
    }
    fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(Self)
    }
    fn health(&self) -> Result<()> {
        Err(Error::new(
            ErrorKind::Disabled,
            "the bus is disabled (`enabled` is false in its settings)",
        ))
    }
}

#[async_trait]
impl Publisher for Disabled {
    fn publish_batch(&self, topic: &str, batch: Vec<Message>) -> Pending {
        tracing::debug!(messages = batch.len(), "skipping publish to {topic}");
        Pending::ready(batch.iter().map(|_| Ok(Outcome::Disabled)).collect())
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Subscriber for Disabled {
    async fn receive(&mut self, _: Room, _: &mut Vec<Event>) -> Result<()> {
        pending().await
    }
    fn pause(&mut self, _: Shard, _: bool) {}
    async fn seek(&mut self, _: Shard, _: Start) -> Result<()> {
        Err(off("position to seek"))
    }
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Ack for Disabled {
    async fn commit(&self, done: Vec<Done>) -> Vec<Result<()>> {
        done.iter().map(|_| Err(off("commit"))).collect()
    }
    async fn release(&self, _: Shard) -> Result<()> {
        Ok(())
    }
}

/// What an application asks on its way up succeeds; questions whose answer would be a guess do not.
#[async_trait]
impl Admin for Disabled {
    async fn create(&self, _: &[TopicSpec]) -> Result<()> {
        Ok(())
    }
    async fn delete(&self, _: &str) -> Result<()> {
        Err(off("topic to delete"))
    }
    async fn topics(&self) -> Result<Vec<TopicSpec>> {
        Ok(Vec::new())
    }
    async fn grow(&self, _: &str, _: u32) -> Result<()> {
        Err(off("topic to grow"))
    }
    async fn positions(&self, _: &str, _: Start) -> Result<Vec<(u32, u128)>> {
        Ok(Vec::new())
    }
    async fn groups(&self) -> Result<Vec<Name>> {
        Ok(Vec::new())
    }
    async fn group(&self, _: &str) -> Result<GroupSpec> {
        Err(off("group"))
    }
    async fn delete_group(&self, _: &str) -> Result<()> {
        Err(off("group to delete"))
    }
    async fn facts(&self) -> Result<Vec<(Name, String)>> {
        Ok(Vec::new())
    }
    async fn lag(&self, _: &str) -> Result<Vec<TopicLag>> {
        Err(off("lag"))
    }
    async fn reset(&self, _: &str, _: &str, _: Start) -> Result<()> {
        Err(off("group to reset"))
    }
}
