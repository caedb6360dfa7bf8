//! Answering.

use super::reply::header;
use crate::{
    Bus,
    codec::json,
    event::{self, EventExt},
    handler::{Failure, FromParts, Parts, Response, Verdict},
};
use bus_core::{Message, Record, Result, Unsent};
use serde::Serialize;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// Where an answer is to go.
#[derive(Clone, Debug)]
pub(super) struct Address {
    topic: String,
    partition: Option<u32>,
    instance: Option<String>,
    correlation: String,
}

impl Address {
    /// `None`: it is no request.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let headers = record.headers();
        let text = |name| headers.text(name).map(str::to_owned);
        Some(Self {
            topic: text(event::header::REPLY_TO)?,
            partition: headers.text(header::PARTITION).and_then(|p| p.parse().ok()),
            instance: text(header::INSTANCE),
            correlation: text(event::header::CORRELATION).or_else(|| text(event::header::ID))?,
        })
    }
    /// Lets the answer to a message go where the answer to this one was to go.
    pub(super) fn write(&self, message: Message) -> Message {
        message.reply_to(&*self.topic).edit_headers(|headers| {
            let said = [
                (header::PARTITION, self.partition.map(|p| p.to_string())),
                (header::INSTANCE, self.instance.clone()),
            ];
            for (name, value) in said {
                if let Some(value) = value {
                    headers.set(name, value);
                }
            }
        })
    }
}

/// Answers a request, as an argument of a handler that answers by hand: before it returns, several times, or elsewhere. What
/// the handler returns is then no answer any more. A message that asks for nothing takes the answers to nobody.
#[derive(Clone)]
pub struct Responder {
    bus: Bus,
    address: Option<Address>,
    answered: Arc<AtomicBool>,
}

impl Responder {
    pub(crate) fn of(bus: &Bus, record: &Record) -> Self {
        Self {
            bus: bus.clone(),
            address: Address::of(record),
            answered: Arc::default(),
        }
    }
    pub(crate) fn answered(&self) -> Arc<AtomicBool> {
        self.answered.clone()
    }
    /// Whether somebody waits for an answer.
    pub fn is_asked(&self) -> bool {
        self.address.is_some()
    }
    /// The answer comes later and from elsewhere, through a clone of this: what the handler returns is none. A crash in
    /// between leaves the request without one, since its message is done.
    pub fn later(&self) {
        self.answered.store(true, Relaxed);
    }
    /// Answers with a value, as JSON; returns once the answer is stored.
    /// # Errors
    /// What publishing says.
    pub async fn respond<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        let message = Message::new(json(value)?).header("content-type", "application/json");
        self.send(message, 200).await
    }
    /// Answers that it failed.
    /// # Errors
    /// What publishing says.
    pub async fn fail(&self, failure: &Failure) -> Result<()> {
        let mut message = match failure.payload() {
            Some(payload) => Message::new(payload.clone()).header("content-type", "application/json"),
            None => Message::new(""),
        };
        message.headers.push(header::ERROR, failure.to_string());
        self.send(message, failure.status().max(400)).await
    }
    async fn send(&self, message: Message, status: u16) -> Result<()> {
        let Some(address) = &self.address else {
            self.answered.store(true, Relaxed);
            return Ok(());
        };
        let mut message = message.event("respond").correlation_id(&*address.correlation);
        message.headers.set(header::STATUS, status.to_string());
        if let Some(instance) = &address.instance {
            message.headers.set(header::INSTANCE, instance.clone());
        }
        message.partition = address.partition;
        let sent = self.bus.publish_message(&address.topic, message).await;
        // An answer that was not stored is none: what the handler returns is the next try.
        if sent.as_ref().map_or_else(Unsent::is_unknown, |_| true) {
            self.answered.store(true, Relaxed);
        }
        sent?;
        Ok(())
    }
    /// Answers with what a handler returned, unless it did so by hand. A request is done with its answer, also with one
    /// that says that it failed: whoever asked decides about another try.
    pub(crate) async fn answer(&self, response: &mut Response) {
        if !self.is_asked() {
            return;
        }
        // A handler may say it with a verdict of its own, too.
        let failure = response.failure.take().or_else(|| refusal(&response.verdict));
        if failure.is_some() && !matches!(response.verdict, Verdict::AckWith(_)) {
            response.verdict = Verdict::Ack;
        }
        if self.answered.load(Relaxed) {
            if let Some(failure) = failure {
                tracing::warn!(%failure, "a request failed after it was answered or passed on; nobody is told");
            }
            return;
        }
        let sent = match (failure, response.reply.take()) {
            (Some(failure), _) => {
                tracing::warn!(%failure, "a request failed; whoever asked is told");
                self.fail(&failure).await
            }
            (None, Some(reply)) => self.send(reply, 200).await,
            (None, None) => self.respond(&()).await,
        };
        if let Err(error) = sent {
            tracing::warn!(%error, "an answer was not stored; whoever asked will wait in vain");
        }
    }
}

/// What a verdict that settles nothing means for whoever asked.
fn refusal(verdict: &Verdict) -> Option<Failure> {
    match verdict {
        Verdict::Ack | Verdict::AckWith(_) => None,
        Verdict::Nack { error, .. } | Verdict::Reject { error, .. } => Some(Failure::new(error.clone())),
    }
}

impl<S: Sync> FromParts<S> for Responder {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let missing = || Failure::new("only a consumer that answers requests has a `Responder`");
        parts.extensions.get().cloned().ok_or_else(missing)
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
