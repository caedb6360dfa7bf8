//! A message on its way to a topic.

use crate::{Headers, clock, delay::marks};
use bytes::Bytes;
use std::time::{Duration, SystemTime};

/// A message to publish. An absent key and an empty key are different, and so are a null payload (a tombstone)
/// and an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The key: messages of one key keep their order. `None`: no key, spread over the partitions.
    pub key: Option<Bytes>,
    /// The payload; `None` is a tombstone.
    pub payload: Option<Bytes>,
    /// Headers, in order.
    pub headers: Headers,
    /// Milliseconds since 1970 UTC; `None`: the backend's time of storing.
    pub timestamp: Option<i64>,
    /// An explicit partition wins over the key.
    pub partition: Option<u32>,
}

impl Message {
    /// A message with this payload, no key and no headers.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: Some(payload.into()),
            ..Self::default()
        }
    }
    /// A message with a null payload: on a compacted topic it deletes its key.
    pub fn tombstone() -> Self {
        Self::default()
    }
    /// Sets the key. An empty key is a key.
    pub fn keyed(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }
    /// Adds a header; an equal name before it stays.
    pub fn header(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.headers.push(name, value);
        self
    }
    /// Sends it to this partition, whatever its key.
    pub fn to_partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }
    /// Sets the timestamp: milliseconds since 1970 UTC.
    pub fn timestamp(mut self, milliseconds: i64) -> Self {
        self.timestamp = Some(milliseconds);
        self
    }
    /// Holds it back: no earlier than after this wait, counted from now, does it come to its topic. It survives every
    /// process; see [`Publish::delay`](crate::Publish::delay). Works wherever a [`Bus`](crate::Bus) publishes it, alone or in
    /// a batch, and as an output of [`ack_with`](crate::Delivery::ack_with).
    pub fn delay(mut self, wait: Duration) -> Self {
        marks::delay(&mut self.headers, wait);
        self
    }
    /// As [`delay`](Self::delay), until a time; one that has come already delays nothing.
    pub fn at(mut self, time: SystemTime) -> Self {
        marks::at(&mut self.headers, time);
        self
    }
    /// It is worth nothing once this time has passed, counted from now: see [`Expired`](crate::Expired) for what becomes of
    /// it then. A header, `bus-expires`, which whoever publishes takes along.
    pub fn expires(mut self, after: Duration) -> Self {
        marks::expires(&mut self.headers, clock::millis_after(after));
        self
    }
    /// As [`expires`](Self::expires), at a time.
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        marks::expires(&mut self.headers, clock::millis_of(time));
        self
    }
    /// Bytes of key, payload and headers: what limits count.
    pub fn size(&self) -> usize {
        let bytes = |b: &Option<Bytes>| b.as_ref().map_or(0, |b| b.len());
        bytes(&self.key) + bytes(&self.payload) + self.headers.size()
    }
}
