//! What is said of an event beside its payload.

use super::{structured, time};
use bus_core::{Headers, HeadersView, Record, Result};
use std::time::SystemTime;
use uuid::Uuid;

/// The names of the headers, by the Kafka binding of CloudEvents 1.0 in binary mode.
pub mod header {
    /// The version of the specification: `1.0`.
    pub const VERSION: &str = "ce_specversion";
    /// The event's id, unique for its source.
    pub const ID: &str = "ce_id";
    /// Its type.
    pub const TYPE: &str = "ce_type";
    /// Who sent it.
    pub const SOURCE: &str = "ce_source";
    /// When it happened, by RFC 3339.
    pub const TIME: &str = "ce_time";
    /// What it is about.
    pub const SUBJECT: &str = "ce_subject";
    /// What belongs together (the extension "correlation").
    pub const CORRELATION: &str = "ce_correlationid";
    /// The id of the event that caused it (the extension "correlation").
    pub const CAUSATION: &str = "ce_causationid";
    /// The payload's media type.
    pub const CONTENT_TYPE: &str = "content-type";
    /// The topic to which an answer is to go.
    pub const REPLY_TO: &str = "bus-reply-to";
    /// Where the event has been ([`Trail`](crate::event::Trail)), as JSON.
    pub const TRAIL: &str = "bus-trail";
}

/// What is said of an event beside its payload. Everything may be absent, since a topic carries foreign messages too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Its id; a UUID of version 7 where the bus gave it.
    pub id: Option<String>,
    /// Its type, such as `user.created`.
    pub event: Option<String>,
    /// Who sent it.
    pub source: Option<String>,
    /// When it happened.
    pub time: Option<SystemTime>,
    /// What it is about, such as `user-1`.
    pub subject: Option<String>,
    /// What belongs together: carried along by everything that follows from the first event.
    pub correlation_id: Option<String>,
    /// The id of the event that caused this one.
    pub causation_id: Option<String>,
    /// The payload's media type.
    pub content_type: Option<String>,
}

impl Envelope {
    /// Of a new event of this type: with an id and the time.
    pub fn new(event: impl Into<String>) -> Self {
        Self {
            id: Some(Uuid::now_v7().to_string()),
            event: Some(event.into()),
            time: Some(SystemTime::now()),
            ..Self::default()
        }
    }
    /// Of a message that was read, in either mode. A value that is no UTF-8, and a time that is none, are absent.
    /// # Errors
    /// `Undecodable`: the content type says that it is a structured event, and the payload is none.
    pub fn read(record: &Record) -> Result<Self> {
        Ok(match structured::binary(record)? {
            Some(binary) => Self::of(binary.headers()),
            None => Self::of(record.headers()),
        })
    }
    /// What headers in the binary mode say.
    pub fn of(headers: HeadersView<'_>) -> Self {
        let text = |name| headers.text(name).map(str::to_owned);
        Self {
            id: text(header::ID),
            event: text(header::TYPE),
            source: text(header::SOURCE),
            time: headers.text(header::TIME).and_then(time::read),
            subject: text(header::SUBJECT),
            correlation_id: text(header::CORRELATION),
            causation_id: text(header::CAUSATION),
            content_type: text(header::CONTENT_TYPE),
        }
    }
    /// Sets the headers of what is there, and the version; what is absent here stays as it is.
    pub fn write(&self, headers: &mut Headers) {
        headers.set(header::VERSION, "1.0");
        let time = self.time.and_then(time::write);
        let said = [
            (header::ID, &self.id),
            (header::TYPE, &self.event),
            (header::SOURCE, &self.source),
            (header::TIME, &time),
            (header::SUBJECT, &self.subject),
            (header::CORRELATION, &self.correlation_id),
            (header::CAUSATION, &self.causation_id),
            (header::CONTENT_TYPE, &self.content_type),
        ];
        for (name, value) in said {
            if let Some(value) = value {
                headers.set(name, value.clone());
            }
        }
    }
}
