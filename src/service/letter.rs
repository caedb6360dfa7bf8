//! What came for a service.

use super::{ErrorReply, Reply};
use crate::{
    codec::from_json,
    event::{Envelope, Trail, header},
};
use bus_core::{Bytes, Delivery, Record};
use serde::de::DeserializeOwned;
use std::time::SystemTime;

/// What came for a service and is taken by hand: an event, or a reply that nobody awaited. [`ack`](Self::ack) an event when it
/// is done; one that is dropped comes again, as every delivery does. A reply is not stored for anybody.
#[derive(Debug)]
pub struct Letter {
    id: String,
    record: Record,
    received: SystemTime,
    /// Of an event.
    pub(super) delivery: Option<Delivery<Bytes>>,
}

impl Letter {
    pub(super) fn event(record: Record, delivery: Delivery<Bytes>) -> Self {
        let delivery = Some(delivery);
        Self {
            id: id(&record),
            record,
            received: SystemTime::now(),
            delivery,
        }
    }
    pub(super) fn reply(reply: &Reply) -> Self {
        let record = reply.record().clone();
        Self {
            id: id(&record),
            record,
            received: reply.received(),
            delivery: None,
        }
    }
    /// What it belongs to: its correlation id, else its own id; empty where it has neither.
    pub fn id(&self) -> &str {
        &self.id
    }
    /// Whether it is a reply.
    pub fn is_reply(&self) -> bool {
        self.delivery.is_none()
    }
    /// An event whose partition was taken by another member, which gets it too: stop, what is done for it will be done
    /// again. One that waits here to be taken is then let go by itself.
    pub fn is_lost(&self) -> bool {
        self.delivery.as_ref().is_some_and(Delivery::is_lost)
    }
    /// Nobody has tried it: an event is left to whoever gets it next.
    pub(super) fn put_back(self) {
        if let Some(delivery) = self.delivery {
            delivery.put_back();
        }
    }
    /// What is said of it.
    pub fn envelope(&self) -> Envelope {
        Envelope::of(self.record.headers())
    }
    /// Where it has been.
    pub fn trail(&self) -> Trail {
        Trail::received(&self.record, self.received)
    }
    pub(super) fn received(&self) -> SystemTime {
        self.received
    }
    /// Everything that came.
    pub fn record(&self) -> &Record {
        &self.record
    }
    /// Its payload, from JSON.
    /// # Errors
    /// `Undecodable`.
    pub fn json<T: DeserializeOwned>(&self) -> bus_core::Result<T> {
        from_json(&self.record)
    }
    /// An error reply is one.
    /// # Errors
    /// The error that was replied.
    pub fn into_result(self) -> Result<Self, ErrorReply> {
        Reply::new(self.record.clone()).into_result().map(|_| self)
    }
    /// It is done.
    pub fn ack(self) {
        if let Some(delivery) = self.delivery {
            delivery.ack();
        }
    }
}

fn id(record: &Record) -> String {
    let headers = record.headers();
    let said = headers
        .text(header::CORRELATION)
        .or_else(|| headers.text(header::ID));
    said.unwrap_or_default().to_owned()
}
