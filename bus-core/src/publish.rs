//! The builder of a publish.

use crate::{Codec, Message, Outcome, Pending, Publisher, Topic, Unsent};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::{fmt, future::IntoFuture};

/// Publishing of typed values through any [`Publisher`]: the bus, a broker, a layer, a test double.
pub trait PublisherExt: Publisher {
    /// Publishes one value; add what is needed, then await it.
    fn publish<T, C: Codec<T>>(&self, topic: &Topic<T, C>, value: &T) -> Publish<'_, Self> {
        Publish {
            publisher: self,
            topic: topic.name().to_owned(),
            message: topic.message(value).map_err(Unsent::not_stored),
        }
    }
    /// Publishes one message as it is.
    fn publish_message(&self, topic: &str, message: Message) -> Publish<'_, Self> {
        Publish {
            publisher: self,
            topic: topic.to_owned(),
            message: Ok(message),
        }
    }
}

impl<P: Publisher + ?Sized> PublisherExt for P {}

/// A message to be published: set its key and headers, then await it.
///
/// The future owns its message and borrows nothing, so `.into_future()` can be spawned. The message is taken when
/// it is turned into a future; dropping that cancels nothing.
#[must_use = "a message is published when it is awaited"]
pub struct Publish<'a, P: ?Sized> {
    publisher: &'a P,
    topic: String,
    message: Result<Message, Unsent>,
}

impl<P: Publisher + ?Sized> Publish<'_, P> {
    fn with(mut self, change: impl FnOnce(Message) -> Message) -> Self {
        self.message = self.message.map(change);
        self
    }
    /// Sets the key: messages of one key keep their order. An empty key is a key.
    pub fn key(self, key: impl Into<Bytes>) -> Self {
        self.with(|m| m.keyed(key))
    }
    /// Adds a header; an equal name before it stays.
    pub fn header(self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.with(|m| m.header(name, value))
    }
    /// Sends it to this partition, whatever its key.
    pub fn partition(self, partition: u32) -> Self {
        self.with(|m| m.to_partition(partition))
    }
    /// Sets the timestamp: milliseconds since 1970 UTC (default: the backend's time of storing).
    pub fn timestamp(self, milliseconds: i64) -> Self {
        self.with(|m| m.at(milliseconds))
    }
}

impl<P: Publisher + ?Sized> IntoFuture for Publish<'_, P> {
    /// Where it was stored. An error says whether it may be stored all the same ([`Unsent::is_unknown`]).
    type Output = Result<Outcome, Unsent>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        match self.message {
            Ok(message) => Box::pin(one(self.publisher.publish_batch(&self.topic, vec![message]))),
            Err(unsent) => Box::pin(std::future::ready(Err(unsent))),
        }
    }
}

async fn one(pending: Pending) -> Result<Outcome, Unsent> {
    let none = || {
        Err(Unsent::unknown(crate::Error::new(
            crate::ErrorKind::Other,
            "the backend gave no outcome",
        )))
    };
    pending.await.pop().unwrap_or_else(none)
}

impl<P: ?Sized> fmt::Debug for Publish<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
