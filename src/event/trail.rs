//! Where an event has been: the hops that its trail records.

use super::{Context, header, time};
use crate::handler::{Failure, FromParts, Parts};
use base64::{Engine, engine::general_purpose::STANDARD};
use bus_core::{Bytes, Record};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, ops::Deref, time::SystemTime};

/// Where an event has been, hop by hop, the oldest first: what its audit trail says ([`Bus::audit_trail`](crate::Bus::audit_trail)).
/// An argument of a handler, and to be had of a [`Reply`](crate::service::Reply), a [`Letter`](crate::service::Letter)
/// and the running [`Context`].
///
/// It is empty for a message that carries none, or one that cannot be read: foreign senders owe us no trail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trail(Vec<Hop>);

/// One message of a trail: who sent what, and when it was sent and received.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hop {
    /// Its number in the trail, from 1. A trail that begins with a higher one has lost its oldest hops to the cap.
    pub number: u32,
    /// The type of the event; empty for a message without one.
    pub event: String,
    /// Who sent it: its source.
    pub sender: String,
    /// When it was sent, by the sender's clock.
    #[serde(with = "rfc3339", skip_serializing_if = "Option::is_none")]
    pub sent: Option<SystemTime>,
    /// When it was received, by the receiver's clock; `None` until it is.
    #[serde(with = "rfc3339", skip_serializing_if = "Option::is_none")]
    pub received: Option<SystemTime>,
    /// The payload's SHA-256 in hexadecimal digits, where the sender records digests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The payload, where the sender records copies.
    #[serde(with = "bytes", skip_serializing_if = "Option::is_none")]
    pub payload: Option<Bytes>,
}

impl Trail {
    /// Of a message that was read by other means than this crate's handlers. Nobody has received it yet.
    pub fn of(record: &Record) -> Self {
        let said = record.headers().get(header::TRAIL);
        said.map(|said| serde_json::from_slice(said).unwrap_or_default())
            .unwrap_or_default()
    }
    /// As received then.
    pub(crate) fn received(record: &Record, at: SystemTime) -> Self {
        let mut trail = Self::of(record);
        if let Some(last) = trail.0.last_mut() {
            last.received.get_or_insert(at);
        }
        trail
    }
    pub(super) fn hops(&mut self) -> &mut Vec<Hop> {
        &mut self.0
    }
}

impl Deref for Trail {
    type Target = [Hop];
    fn deref(&self) -> &[Hop] {
        &self.0
    }
}

impl IntoIterator for Trail {
    type Item = Hop;
    type IntoIter = std::vec::IntoIter<Hop>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Sender and event.
impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sender, self.event)
    }
}

impl<S: Sync> FromParts<S> for Trail {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let here = Context::current().map(|context| context.trail());
        Ok(here.unwrap_or_else(|| Self::received(&parts.record, SystemTime::now())))
    }
}

mod rfc3339 {
    use super::*;

    pub(super) fn serialize<S: Serializer>(at: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
        at.and_then(time::write).serialize(to)
    }
    /// What is no time is none.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.and_then(|text| time::read(&text)))
    }
}

mod bytes {
    use super::*;

    pub(super) fn serialize<S: Serializer>(payload: &Option<Bytes>, to: S) -> Result<S::Ok, S::Error> {
        payload
            .as_ref()
            .map(|payload| STANDARD.encode(payload))
            .serialize(to)
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Bytes>, D::Error> {
        let text: Option<String> = Deserialize::deserialize(from)?;
        let decoded = text.map(|text| STANDARD.decode(text)).transpose();
        Ok(decoded.map_err(D::Error::custom)?.map(Bytes::from))
    }
}
