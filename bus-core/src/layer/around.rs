//! The wrappers, once for every layer: a layer says what happens around a call, and the driver's traits are implemented
//! here alone.
#![deny(clippy::missing_trait_methods)]

use super::Op;
use crate::{
    Ack, Admin, Backend, Done, Event, GroupSpec, Limits, Message, Name, Pending, Publisher, Result, Room,
    Shard, Source, Start, Subscriber, TopicLag, TopicSpec,
};
use async_trait::async_trait;
use std::{fmt::Debug, future::Future, sync::Arc};

/// A call with one answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) op: Op,
    /// Empty: it is about no single topic.
    pub(super) topic: &'a str,
    /// Empty: it is about no group.
    pub(super) group: &'a str,
}

/// What a layer does around the calls of a backend.
pub(super) trait Around: Debug + Send + Sync + 'static {
    /// What it keeps for one subscription, as long as either half of it lives.
    type Seat: Debug + Send + Sync + 'static;
    /// A subscription was made.
    fn seat(&self, source: &Source, ack: &Arc<dyn Ack>) -> Arc<Self::Seat>;
    /// A call with one answer.
    fn call<T: Send>(
        &self,
        call: Call<'_>,
        inner: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send;
    /// A batch to publish, which the inner publisher has to take during the call.
    fn publish(self: &Arc<Self>, inner: &dyn Publisher, topic: &str, batch: Vec<Message>) -> Pending;
    /// Cancel-safe, as [`Subscriber::receive`] is.
    fn receive(
        &self,
        seat: &Self::Seat,
        inner: &mut dyn Subscriber,
        room: Room,
        events: &mut Vec<Event>,
    ) -> impl Future<Output = Result<()>> + Send;
    /// A shard was paused or resumed.
    fn paused(&self, seat: &Self::Seat, shard: Shard, paused: bool);
    /// A commit.
    fn commit(
        &self,
        seat: &Self::Seat,
        inner: &dyn Ack,
        done: Vec<Done>,
    ) -> impl Future<Output = Vec<Result<()>>> + Send;
    /// What the backend says of itself, and what becomes of it.
    fn health(&self, inner: Result<()>) -> Result<()>;
}

/// A backend with a layer around it.
#[derive(Debug)]
pub(super) struct Wrapped<A> {
    pub(super) inner: Arc<dyn Backend>,
    pub(super) around: Arc<A>,
}

#[allow(clippy::missing_trait_methods, reason = "it is no trait of the driver")]
impl<A> Clone for Wrapped<A> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            around: self.around.clone(),
        }
    }
}

#[async_trait]
impl<A: Around> Backend for Wrapped<A> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn limits(&self) -> Limits {
        self.inner.limits()
    }
    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        let call = Op::OpenPublisher.alone();
        let inner = self.around.call(call, self.inner.publisher()).await?;
        let around = self.around.clone();
        Ok(Arc::new(WrappedPublisher { inner, around }))
    }
    async fn subscribe(&self, source: Source) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
        let copy = source.clone();
        let call = Call {
            op: Op::Subscribe,
            topic: copy.topics.first().map_or("", |topic| topic),
            group: super::group_of(&copy),
        };
        let (inner, ack) = self.around.call(call, self.inner.subscribe(source)).await?;
        let seat = self.around.seat(&copy, &ack);
        let subscriber = WrappedSubscriber {
            inner,
            around: self.around.clone(),
            seat: seat.clone(),
            topics: copy.topics.clone(),
        };
        let ack = WrappedAck {
            inner: ack,
            around: self.around.clone(),
            seat,
            topics: copy.topics,
        };
        Ok((Box::new(subscriber), Arc::new(ack)))
    }
    fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(WrappedAdmin {
            inner: self.inner.admin(),
            around: self.around.clone(),
        })
    }
    fn health(&self) -> Result<()> {
        self.around.health(self.inner.health())
    }
}

#[derive(Debug)]
struct WrappedPublisher<A> {
    inner: Arc<dyn Publisher>,
    around: Arc<A>,
}

#[async_trait]
impl<A: Around> Publisher for WrappedPublisher<A> {
    fn publish_batch(&self, topic: &str, batch: Vec<Message>) -> Pending {
        self.around.publish(&*self.inner, topic, batch)
    }
    async fn close(&self) -> Result<()> {
        self.around
            .call(Op::ClosePublisher.alone(), self.inner.close())
            .await
    }
}

#[derive(Debug)]
struct WrappedSubscriber<A: Around> {
    inner: Box<dyn Subscriber>,
    around: Arc<A>,
    seat: Arc<A::Seat>,
    topics: Vec<Name>,
}

#[async_trait]
impl<A: Around> Subscriber for WrappedSubscriber<A> {
    async fn receive(&mut self, room: Room, events: &mut Vec<Event>) -> Result<()> {
        self.around
            .receive(&self.seat, &mut *self.inner, room, events)
            .await
    }
    fn pause(&mut self, shard: Shard, paused: bool) {
        self.inner.pause(shard, paused);
        self.around.paused(&self.seat, shard, paused);
    }
    async fn seek(&mut self, shard: Shard, to: Start) -> Result<()> {
        let call = Op::Seek.on(topic_of(&self.topics, shard));
        self.around.call(call, self.inner.seek(shard, to)).await
    }
    async fn close(&mut self) -> Result<()> {
        let call = Op::Unsubscribe.alone();
        self.around.call(call, self.inner.close()).await
    }
}

#[derive(Debug)]
struct WrappedAck<A: Around> {
    inner: Arc<dyn Ack>,
    around: Arc<A>,
    seat: Arc<A::Seat>,
    topics: Vec<Name>,
}

#[async_trait]
impl<A: Around> Ack for WrappedAck<A> {
    async fn commit(&self, done: Vec<Done>) -> Vec<Result<()>> {
        self.around.commit(&self.seat, &*self.inner, done).await
    }
    async fn release(&self, shard: Shard) -> Result<()> {
        let call = Op::Release.on(topic_of(&self.topics, shard));
        self.around.call(call, self.inner.release(shard)).await
    }
}

#[derive(Debug)]
struct WrappedAdmin<A> {
    inner: Arc<dyn Admin>,
    around: Arc<A>,
}

#[async_trait]
impl<A: Around> Admin for WrappedAdmin<A> {
    async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        let first = topics.first().map_or("", |topic| &topic.name);
        let inner = self.inner.create(topics);
        self.around.call(Op::CreateTopics.on(first), inner).await
    }
    async fn delete(&self, topic: &str) -> Result<()> {
        let inner = self.inner.delete(topic);
        self.around.call(Op::DeleteTopic.on(topic), inner).await
    }
    async fn topics(&self) -> Result<Vec<TopicSpec>> {
        let inner = self.inner.topics();
        self.around.call(Op::ListTopics.alone(), inner).await
    }
    async fn grow(&self, topic: &str, partitions: u32) -> Result<()> {
        let inner = self.inner.grow(topic, partitions);
        self.around.call(Op::GrowTopic.on(topic), inner).await
    }
    async fn positions(&self, topic: &str, at: Start) -> Result<Vec<(u32, u128)>> {
        let inner = self.inner.positions(topic, at);
        self.around.call(Op::FindPositions.on(topic), inner).await
    }
    async fn groups(&self) -> Result<Vec<Name>> {
        let inner = self.inner.groups();
        self.around.call(Op::ListGroups.alone(), inner).await
    }
    async fn group(&self, group: &str) -> Result<GroupSpec> {
        let inner = self.inner.group(group);
        self.around.call(Op::DescribeGroup.of(group), inner).await
    }
    async fn delete_group(&self, group: &str) -> Result<()> {
        let inner = self.inner.delete_group(group);
        self.around.call(Op::DeleteGroup.of(group), inner).await
    }
    async fn facts(&self) -> Result<Vec<(Name, String)>> {
        let inner = self.inner.facts();
        self.around.call(Op::AskFacts.alone(), inner).await
    }
    async fn lag(&self, group: &str) -> Result<Vec<TopicLag>> {
        let inner = self.inner.lag(group);
        self.around.call(Op::AskLag.of(group), inner).await
    }
    async fn reset(&self, group: &str, topic: &str, to: Start) -> Result<()> {
        let op = Op::ResetGroup;
        let inner = self.inner.reset(group, topic, to);
        self.around.call(Call { op, topic, group }, inner).await
    }
}

/// The shard's topic.
pub(super) fn topic_of(topics: &[Name], shard: Shard) -> &str {
    topics.get(shard.topic as usize).map_or("", |topic| topic)
}

/// Makes a layer a backend: by the one inside of it.
macro_rules! is_backend {
    ($layer:ty) => {
        #[async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl crate::Backend for $layer {
            fn name(&self) -> &'static str {
                self.wrapped.name()
            }
            fn limits(&self) -> crate::Limits {
                self.wrapped.limits()
            }
            async fn publisher(&self) -> crate::Result<std::sync::Arc<dyn crate::Publisher>> {
                self.wrapped.publisher().await
            }
            async fn subscribe(
                &self,
                source: crate::Source,
            ) -> crate::Result<(Box<dyn crate::Subscriber>, std::sync::Arc<dyn crate::Ack>)> {
                self.wrapped.subscribe(source).await
            }
            fn admin(&self) -> std::sync::Arc<dyn crate::Admin> {
                self.wrapped.admin()
            }
            fn health(&self) -> crate::Result<()> {
                self.wrapped.health()
            }
        }
    };
}
