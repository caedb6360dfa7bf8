//! A backend whose topics and groups bear a prefix of their own, so that tests on one broker do not meet.
#![deny(clippy::missing_trait_methods)]

use async_trait::async_trait;
use bus_core::{
    Ack, Admin, Backend, Done, Event, GroupSpec, Limits, MemberSpec, Message, Name, Pending, Publisher,
    Result, Room, Scope, Shard, Source, Start, Subscriber, TopicLag, TopicSpec,
};
use std::sync::Arc;

/// What stands in front of every name.
#[derive(Clone, Debug)]
pub(super) struct Prefix(Name);

impl Prefix {
    pub(super) fn new(prefix: impl Into<Name>) -> Self {
        Self(prefix.into())
    }
    /// The broker's name of what the test calls so.
    fn put(&self, name: &str) -> Name {
        format!("{}{name}", self.0).into()
    }
    /// What the test calls it; `None`: it is another test's.
    fn take(&self, name: &str) -> Option<Name> {
        name.strip_prefix(&*self.0).map(Name::from)
    }
    fn positions(&self, positions: Vec<TopicLag>) -> Vec<TopicLag> {
        let ours = |mut lag: TopicLag| {
            lag.topic = self.take(&lag.topic)?;
            Some(lag)
        };
        positions.into_iter().filter_map(ours).collect()
    }
    fn member(&self, member: MemberSpec) -> MemberSpec {
        let partitions = member.partitions.iter();
        let partitions = partitions.filter_map(|(topic, partition)| Some((self.take(topic)?, *partition)));
        MemberSpec::new(member.id, member.host, partitions.collect())
    }
}

/// Some part of a backend under that prefix.
#[derive(Debug)]
pub(super) struct Namespaced<B> {
    inner: B,
    prefix: Prefix,
}

impl<B> Namespaced<B> {
    pub(super) fn new(inner: B, prefix: Prefix) -> Self {
        Self { inner, prefix }
    }
    fn with<O>(&self, inner: O) -> Namespaced<O> {
        Namespaced::new(inner, self.prefix.clone())
    }
}

#[async_trait]
impl Backend for Namespaced<Arc<dyn Backend>> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn limits(&self) -> Limits {
        self.inner.limits()
    }
    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        Ok(Arc::new(self.with(self.inner.publisher().await?)))
    }
    async fn subscribe(&self, mut source: Source) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
        for topic in &mut source.topics {
            *topic = self.prefix.put(topic);
        }
        if let Scope::Group(group) = &mut source.scope {
            *group = self.prefix.put(group);
        }
        let (subscriber, ack) = self.inner.subscribe(source).await?;
        Ok((Box::new(self.with(subscriber)), Arc::new(self.with(ack))))
    }
    fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(self.with(self.inner.admin()))
    }
    fn health(&self) -> Result<()> {
        self.inner.health()
    }
}

#[async_trait]
impl Publisher for Namespaced<Arc<dyn Publisher>> {
    fn publish_batch(&self, topic: &str, batch: Vec<Message>) -> Pending {
        self.inner.publish_batch(&self.prefix.put(topic), batch)
    }
    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

#[async_trait]
impl Subscriber for Namespaced<Box<dyn Subscriber>> {
    /// As cancel-safe as the inner one: nothing is awaited behind it.
    async fn receive(&mut self, room: Room, events: &mut Vec<Event>) -> Result<()> {
        let before = events.len();
        let received = self.inner.receive(room, events).await;
        for event in &mut events[before..] {
            let (Event::Gained { topic, .. }
            | Event::TopicLost(topic)
            | Event::PartitionsChanged { topic, .. }) = event
            else {
                continue;
            };
            if let Some(ours) = self.prefix.take(topic) {
                *topic = ours;
            }
        }
        received
    }
    fn pause(&mut self, shard: Shard, paused: bool) {
        self.inner.pause(shard, paused);
    }
    async fn seek(&mut self, shard: Shard, to: Start) -> Result<()> {
        self.inner.seek(shard, to).await
    }
    async fn close(&mut self) -> Result<()> {
        self.inner.close().await
    }
}

#[async_trait]
impl Ack for Namespaced<Arc<dyn Ack>> {
    async fn commit(&self, mut done: Vec<Done>) -> Vec<Result<()>> {
        for (topic, _) in done.iter_mut().flat_map(|done| &mut done.outputs) {
            *topic = self.prefix.put(topic);
        }
        self.inner.commit(done).await
    }
    async fn release(&self, shard: Shard) -> Result<()> {
        self.inner.release(shard).await
    }
}

#[async_trait]
impl Admin for Namespaced<Arc<dyn Admin>> {
    async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        let mut topics = topics.to_vec();
        for topic in &mut topics {
            topic.check()?;
            topic.name = self.prefix.put(&topic.name);
        }
        self.inner.create(&topics).await
    }
    async fn delete(&self, topic: &str) -> Result<()> {
        self.inner.delete(&self.prefix.put(topic)).await
    }
    async fn topics(&self) -> Result<Vec<TopicSpec>> {
        let ours = |mut topic: TopicSpec| {
            topic.name = self.prefix.take(&topic.name)?;
            Some(topic)
        };
        Ok(self.inner.topics().await?.into_iter().filter_map(ours).collect())
    }
    async fn grow(&self, topic: &str, partitions: u32) -> Result<()> {
        self.inner.grow(&self.prefix.put(topic), partitions).await
    }
    async fn positions(&self, topic: &str, at: Start) -> Result<Vec<(u32, u128)>> {
        self.inner.positions(&self.prefix.put(topic), at).await
    }
    async fn groups(&self) -> Result<Vec<Name>> {
        let all = self.inner.groups().await?;
        Ok(all.iter().filter_map(|group| self.prefix.take(group)).collect())
    }
    async fn group(&self, group: &str) -> Result<GroupSpec> {
        let found = self.inner.group(&self.prefix.put(group)).await?;
        let members = found.members.into_iter().map(|m| self.prefix.member(m)).collect();
        Ok(GroupSpec::new(
            group,
            members,
            self.prefix.positions(found.positions),
        ))
    }
    async fn delete_group(&self, group: &str) -> Result<()> {
        self.inner.delete_group(&self.prefix.put(group)).await
    }
    async fn facts(&self) -> Result<Vec<(Name, String)>> {
        self.inner.facts().await
    }
    async fn lag(&self, group: &str) -> Result<Vec<TopicLag>> {
        let lag = self.inner.lag(&self.prefix.put(group)).await?;
        Ok(self.prefix.positions(lag))
    }
    async fn reset(&self, group: &str, topic: &str, to: Start) -> Result<()> {
        let (group, topic) = (self.prefix.put(group), self.prefix.put(topic));
        self.inner.reset(&group, &topic, to).await
    }
}
