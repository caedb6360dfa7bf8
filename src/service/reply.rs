//! What comes back to whoever asked.

use crate::event::{Envelope, Trail};
use bus_core::{Bytes, Error, ErrorKind, Record, Unsent};
use serde::de::DeserializeOwned;
use std::{
    error::Error as StdError,
    fmt,
    time::{Duration, SystemTime},
};

/// The headers of requests and replies, beside [those of events](crate::event::header).
pub mod header {
    /// On a request: the partition of the topic of replies that whoever asked reads.
    pub const PARTITION: &str = "bus-reply-partition";
    /// On a request and its reply: which of those who read that partition asked.
    pub const INSTANCE: &str = "bus-reply-instance";
    /// On a reply: its status code; one from 400 on is an error. None: 200.
    pub const STATUS: &str = "bus-reply-status";
    /// On an error reply: what went wrong.
    pub const ERROR: &str = "bus-reply-error";
}

/// A reply.
#[derive(Clone, Debug)]
pub struct Reply {
    record: Record,
    received: SystemTime,
}

impl Reply {
    pub(super) fn new(record: Record) -> Self {
        let received = SystemTime::now();
        Self { record, received }
    }
    /// Its payload.
    pub fn bytes(&self) -> Bytes {
        self.record.payload_bytes().unwrap_or_default()
    }
    /// Its payload, from JSON.
    /// # Errors
    /// `Undecodable`.
    pub fn json<T: DeserializeOwned>(&self) -> bus_core::Result<T> {
        crate::codec::from_json(&self.record)
    }
    /// Its status code: below 400 for every reply that is no error.
    pub fn status(&self) -> u16 {
        let status = self.record.headers().text(header::STATUS);
        status.and_then(|status| status.parse().ok()).unwrap_or(200)
    }
    /// What is said of it.
    pub fn envelope(&self) -> Envelope {
        Envelope::of(self.record.headers())
    }
    /// Where it, and what it is the reply to, has been.
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
    /// An error reply is one.
    pub(super) fn into_result(self) -> Result<Self, ErrorReply> {
        let status = self.status();
        if status < 400 {
            return Ok(self);
        }
        let message = self.record.headers().text(header::ERROR).unwrap_or_default();
        Err(ErrorReply {
            status,
            message: message.to_owned(),
            payload: self.bytes(),
        })
    }
}

/// A reply that says that the request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReply {
    /// The status code, from 400 on; 500 unless the handler's failure says otherwise.
    pub status: u16,
    /// What went wrong.
    pub message: String,
    /// What else was said ([`Failure::with_payload`](crate::handler::Failure::with_payload)), mostly nothing.
    pub payload: Bytes,
}

impl ErrorReply {
    /// Its payload, from JSON.
    /// # Errors
    /// `Undecodable`.
    pub fn json<T: DeserializeOwned>(&self) -> bus_core::Result<T> {
        let failed = |e| Error::new(ErrorKind::Undecodable, "payload is not the expected JSON").source(e);
        serde_json::from_slice(&self.payload).map_err(failed)
    }
}

impl fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {} {:?}", self.status, self.message)
    }
}

impl StdError for ErrorReply {}

/// Why a request has no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum RequestError {
    /// Whoever was asked says that it failed.
    Refused(ErrorReply),
    /// Nobody answered in this time. The request may still be handled.
    Timeout(Duration),
    /// It was not sent, or replies cannot be read.
    Bus(Error),
}

impl RequestError {
    pub(super) fn invalid(message: String) -> Self {
        Self::Bus(Error::new(ErrorKind::Invalid, message))
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reply) => reply.fmt(f),
            Self::Timeout(limit) => write!(f, "timeout after {limit:?}"),
            Self::Bus(error) => error.fmt(f),
        }
    }
}

impl StdError for RequestError {}

impl From<Error> for RequestError {
    fn from(error: Error) -> Self {
        Self::Bus(error)
    }
}

impl From<Unsent> for RequestError {
    fn from(unsent: Unsent) -> Self {
        Self::Bus(unsent.into())
    }
}
