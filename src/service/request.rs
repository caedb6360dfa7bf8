//! Asking.

use super::{ErrorReply, Inbox, Reply, RequestError, reply::header, waiting::Expected};
use crate::{
    Bus,
    event::{self, EventExt},
};
use bus_core::{Bytes, Error, ErrorKind, Headers, Message, Outcome, Publish};
use futures_util::future::BoxFuture;
use std::{fmt, future::IntoFuture, time::Duration};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// How long a reply is waited for: as long as most clients of anything do.
const LIMIT: Duration = Duration::from_secs(30);

/// A request to be: set what it needs, then await its [`Reply`], or [`gather`](Self::gather) several.
#[must_use = "a request is sent when it is awaited"]
pub struct Request<'a> {
    bus: &'a Bus,
    publish: Publish<'a, Bus>,
    limit: Duration,
}

impl<'a> Request<'a> {
    pub(crate) fn new(bus: &'a Bus, publish: Publish<'a, Bus>) -> Self {
        Self {
            bus,
            publish,
            limit: LIMIT,
        }
    }
    /// How long a reply is waited for, counted from the call (default 30 s).
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
    /// Sets the key: requests of one key keep their order.
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.publish = self.publish.key(key);
        self
    }
    /// Adds a header.
    pub fn header(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.publish = self.publish.header(name, value);
        self
    }
    /// Waits for so many replies, from as many who were asked: all of them, or those that came in time. An error reply is one
    /// of them.
    /// # Errors
    /// `Bus`: it was not sent; `Timeout`: nor was it in time.
    pub async fn gather(self, replies: usize) -> Result<Vec<Result<Reply, ErrorReply>>, RequestError> {
        let (limit, until) = (self.limit, Instant::now() + self.limit);
        let mut expected = timeout_at(until, self.send(replies))
            .await
            .map_err(|_| RequestError::Timeout(limit))??;
        let mut there = Vec::new();
        while there.len() < replies
            && let Ok(Some(reply)) = timeout_at(until, expected.next()).await
        {
            there.push(reply.into_result());
        }
        Ok(there)
    }
    async fn one(self) -> Result<Reply, RequestError> {
        let (limit, until) = (self.limit, Instant::now() + self.limit);
        let asking = async {
            let mut expected = self.send(1).await?;
            let closed = || RequestError::Bus(Error::closed("the inbox of replies"));
            expected.next().await.ok_or_else(closed)
        };
        let reply = timeout_at(until, asking)
            .await
            .map_err(|_| RequestError::Timeout(limit))??;
        reply.into_result().map_err(RequestError::Refused)
    }
    async fn send(self, replies: usize) -> Result<Expected, RequestError> {
        let inbox = self.bus.inbox().await?;
        let mut id = String::new();
        let publish = self.publish.with(|message| {
            let said = message.headers.get(event::header::CORRELATION);
            let said = said
                .and_then(|id| std::str::from_utf8(id).ok())
                .filter(|id| !id.is_empty());
            id = said.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
            addressed(message, &inbox).correlation_id(&*id)
        });
        let expected = inbox.expect(&id, replies)?;
        match publish.await? {
            Outcome::Disabled => {
                let text = "the bus is switched off: nobody can be asked";
                Err(Error::new(ErrorKind::Disabled, text).into())
            }
            _ => Ok(expected),
        }
    }
}

/// Says where an answer is to go.
pub(super) fn addressed(message: Message, inbox: &Inbox) -> Message {
    message.reply_to(&*inbox.topic).edit_headers(|headers| {
        headers.set(header::PARTITION, inbox.partition.to_string());
        headers.set(header::INSTANCE, inbox.instance.clone());
    })
}

impl<'a> IntoFuture for Request<'a> {
    type Output = Result<Reply, RequestError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.one())
    }
}

/// A correlation id that is set here must be nobody else's; by default each request has a new one.
impl EventExt for Request<'_> {
    fn edit_headers(mut self, change: impl FnOnce(&mut Headers)) -> Self {
        self.publish = self.publish.edit_headers(change);
        self
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("publish", &self.publish)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
