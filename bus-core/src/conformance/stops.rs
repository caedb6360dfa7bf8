//! A backend at each of whose calls its caller can be stopped, also where the one behind it answers at once: so that a
//! call of the bus has the same moments at which it can be given up on every backend.

use crate::{
    Ack, Admin, Backend, Done, Event, GroupSpec, Limits, Message, Name, Pending, Publisher, Result, Room,
    Shard, Source, Start, Subscriber, TopicLag, TopicSpec,
};
use async_trait::async_trait;
use std::{future::Future, sync::Arc};
use tokio::task::yield_now;

/// Its caller waits once before and once behind each call.
#[derive(Debug)]
pub(super) struct Stops<T: ?Sized>(pub(super) Arc<T>);

async fn stop<T>(call: impl Future<Output = T>) -> T {
    yield_now().await;
    let came = call.await;
    yield_now().await;
    came
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Stops<dyn Backend> {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn limits(&self) -> Limits {
        self.0.limits()
    }
    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        Ok(Arc::new(Stops(stop(self.0.publisher()).await?)))
    }
    async fn subscribe(&self, source: Source) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
        let (subscriber, ack) = stop(self.0.subscribe(source)).await?;
        Ok((Box::new(Stopped(subscriber)), Arc::new(Stops(ack))))
    }
    fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(Stops(self.0.admin()))
    }
    fn health(&self) -> Result<()> {
        self.0.health()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Publisher for Stops<dyn Publisher> {
    fn publish_batch(&self, topic: &str, batch: Vec<Message>) -> Pending {
        Pending::new(stop(self.0.publish_batch(topic, batch)))
    }
    async fn close(&self) -> Result<()> {
        stop(self.0.close()).await
    }
}

#[derive(Debug)]
struct Stopped(Box<dyn Subscriber>);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Subscriber for Stopped {
    async fn receive(&mut self, room: Room, events: &mut Vec<Event>) -> Result<()> {
        yield_now().await;
        // What is in the caller's hands was received: no stop behind it.
        self.0.receive(room, events).await
    }
    fn pause(&mut self, shard: Shard, paused: bool) {
        self.0.pause(shard, paused);
    }
    async fn seek(&mut self, shard: Shard, to: Start) -> Result<()> {
        stop(self.0.seek(shard, to)).await
    }
    async fn close(&mut self) -> Result<()> {
        stop(self.0.close()).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Ack for Stops<dyn Ack> {
    async fn commit(&self, done: Vec<Done>) -> Vec<Result<()>> {
        stop(self.0.commit(done)).await
    }
    async fn release(&self, shard: Shard) -> Result<()> {
        stop(self.0.release(shard)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Admin for Stops<dyn Admin> {
    async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        stop(self.0.create(topics)).await
    }
    async fn delete(&self, topic: &str) -> Result<()> {
        stop(self.0.delete(topic)).await
    }
    async fn topics(&self) -> Result<Vec<TopicSpec>> {
        stop(self.0.topics()).await
    }
    async fn grow(&self, topic: &str, partitions: u32) -> Result<()> {
        stop(self.0.grow(topic, partitions)).await
    }
    async fn positions(&self, topic: &str, at: Start) -> Result<Vec<(u32, u128)>> {
        stop(self.0.positions(topic, at)).await
    }
    async fn groups(&self) -> Result<Vec<Name>> {
        stop(self.0.groups()).await
    }
    async fn group(&self, group: &str) -> Result<GroupSpec> {
        stop(self.0.group(group)).await
    }
    async fn delete_group(&self, group: &str) -> Result<()> {
        stop(self.0.delete_group(group)).await
    }
    async fn facts(&self) -> Result<Vec<(Name, String)>> {
        stop(self.0.facts()).await
    }
    async fn lag(&self, group: &str) -> Result<Vec<TopicLag>> {
        stop(self.0.lag(group)).await
    }
    async fn reset(&self, group: &str, topic: &str, to: Start) -> Result<()> {
        stop(self.0.reset(group, topic, to)).await
    }
}
