//! The builder of a publish.

use crate::{Codec, Draft, Error, ErrorKind, Message, Outcome, Pending, Publisher, Topic, Unsent};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

/// Publishing of typed values through any [`Publisher`]: the bus, a broker, a layer, a test double.
pub trait PublisherExt: Publisher {
    /// Publishes one value; add what is needed, then await it. A codec that has to fetch something first, such as the id of
    /// its schema, needs a [`Bus`](crate::Bus), which can wait: here it is an error until then.
    fn publish<'a, T, C: Codec<T>>(&'a self, topic: &'a Topic<T, C>, value: &T) -> Publish<'a, Self> {
        Publish::new(self, topic.name(), topic.message(value))
    }
    /// Publishes one message as it is.
    fn publish_message<'a>(&'a self, topic: &'a str, message: Message) -> Publish<'a, Self> {
        Publish::new(self, topic, Ok(message))
    }
}

impl<P: Publisher + ?Sized> PublisherExt for P {}

/// A message to be published: set its key and headers, then await it.
///
/// The message is taken when this is turned into a future. That future owns its message and borrows nothing, so
/// `.into_future()` can be spawned; dropping it cancels nothing.
#[must_use = "a message is published when it is awaited"]
pub struct Publish<'a, P: ?Sized> {
    publisher: &'a P,
    topic: &'a str,
    message: Result<Message, Unsent>,
    /// Its payload, where it is still to come.
    payload: Option<Box<Payload<P>>>,
}

struct Payload<P: ?Sized> {
    payload: BoxFuture<'static, crate::Result<Bytes>>,
    publish: Later<P>,
}

/// Publishes a message once its payload is there, and keeps its place meanwhile.
type Later<P> = fn(&P, &str, Message, BoxFuture<'static, crate::Result<Bytes>>) -> Pending;

impl<'a, P: Publisher + ?Sized> Publish<'a, P> {
    /// A publish of this message, for whoever makes messages in a way of his own; an error is what awaiting it says.
    pub fn new(publisher: &'a P, topic: &'a str, message: crate::Result<Message>) -> Self {
        Self {
            publisher,
            topic,
            message: message.map_err(Unsent::not_stored),
            payload: None,
        }
    }
    /// As [`new`](Self::new), of a message whose payload may be still to come: `later` publishes it then. It takes the message
    /// during the call, as every publish does.
    pub fn waiting(publisher: &'a P, topic: &'a str, draft: crate::Result<Draft>, later: Later<P>) -> Self {
        let (message, payload) = match draft {
            Ok(Draft { message, payload }) => (Ok(message), payload),
            Err(error) => (Err(error), None),
        };
        let later = |payload| {
            Box::new(Payload {
                payload,
                publish: later,
            })
        };
        Self {
            payload: payload.map(later),
            ..Self::new(publisher, topic, message)
        }
    }
    /// Changes the message, for what has no setter here.
    pub fn with(mut self, change: impl FnOnce(Message) -> Message) -> Self {
        self.message = self.message.map(change);
        self
    }
    /// The topic it goes to.
    pub fn topic(&self) -> &'a str {
        self.topic
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
        self.with(|m| m.timestamp(milliseconds))
    }
    /// Holds it back for `wait`, counted from now: it comes to its topic no earlier, by the clocks of whoever publishes and
    /// whoever moves it, and soon after. It waits in `<topic>.delay`, where it outlives every process, with key, partition,
    /// headers and payload as they are; the receipt says where that is. Messages of one key with equal waits stay in order.
    /// [`Bus::create_delay_topics`](crate::Bus::create_delay_topics) says whether that topic is made at the first such publish.
    ///
    /// The publisher must be a [`Bus`](crate::Bus): a backend's own publisher stores it at once, with its headers.
    pub fn delay(self, wait: Duration) -> Self {
        self.with(|m| m.delay(wait))
    }
    /// As [`delay`](Self::delay), until a time; one that has come already delays nothing.
    pub fn at(self, time: SystemTime) -> Self {
        self.with(|m| m.at(time))
    }
    /// It is worth nothing once this time has passed, counted from now, and is then not delivered any more, nor tried
    /// again: see [`Expired`](crate::Expired).
    pub fn expires(self, after: Duration) -> Self {
        self.with(|m| m.expires(after))
    }
    /// As [`expires`](Self::expires), at a time.
    pub fn expires_at(self, time: SystemTime) -> Self {
        self.with(|m| m.expires_at(time))
    }
}

impl<P: Publisher + ?Sized> IntoFuture for Publish<'_, P> {
    /// Where it was stored. An error says whether it may be stored all the same ([`Unsent::is_unknown`]).
    type Output = Result<Outcome, Unsent>;
    type IntoFuture = Published;
    fn into_future(self) -> Published {
        let Self { publisher, topic, .. } = self;
        let publish = |message| match self.payload {
            None => publisher.publish_batch(topic, vec![message]),
            Some(later) => (later.publish)(publisher, topic, message, later.payload),
        };
        Published(self.message.map(publish).map_err(Some))
    }
}

impl<P: ?Sized> fmt::Debug for Publish<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// A message on its way. Dropping it cancels nothing.
#[must_use = "the outcome comes when it is awaited"]
pub struct Published(Result<Pending, Option<Unsent>>);

impl Future for Published {
    type Output = Result<Outcome, Unsent>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let silent = || Unsent::unknown(Error::new(ErrorKind::Other, "the backend gave no outcome"));
        Poll::Ready(match &mut self.0 {
            Ok(pending) => ready!(Pin::new(pending).poll(cx))
                .pop()
                .unwrap_or_else(|| Err(silent())),
            Err(unsent) => Err(unsent.take().unwrap_or_else(silent)),
        })
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published").finish_non_exhaustive()
    }
}
