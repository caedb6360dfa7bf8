//! How a payload becomes a value and back.

use crate::{Encoded, Error, Need, Record, Result, error::ErrorKind};
use bytes::Bytes;
use futures_util::future::BoxFuture;

/// Turns values into payloads and records into values. One's own takes two functions.
///
/// ```
/// use bus_core::{Bytes, Codec, Record, Result, Stateless};
///
/// #[derive(Clone, Copy, Debug)]
/// struct Upper;
/// impl Stateless for Upper {
///     const CODEC: Self = Upper;
/// }
/// impl Codec<String> for Upper {
///     fn encode(&self, value: &String) -> Result<Bytes> {
///         Ok(value.to_uppercase().into())
///     }
///     fn decode(&self, record: &Record) -> Result<String> {
///         Ok(String::from_utf8_lossy(record.payload().unwrap_or_default()).into_owned())
///     }
/// }
/// ```
pub trait Codec<T>: Clone + Send + Sync + 'static {
    /// The payload of `value`.
    /// # Errors
    /// `Invalid` where the value cannot be represented; nothing is published then.
    fn encode(&self, value: &T) -> Result<Bytes>;
    /// The value in `record`, which also has the key and the headers.
    /// # Errors
    /// Any error sends the record to the dead letters with its raw bytes, but one that [needs](Error::needs) something:
    /// the record is decoded again once [`ready`](Self::ready) has fetched that.
    fn decode(&self, record: &Record) -> Result<T>;
    /// What the `content-type` header says (default: no header).
    fn content_type(&self) -> Option<&'static str> {
        None
    }
    /// The payload of `value` for this topic (default: what [`encode`](Self::encode) says). For a codec whose bytes depend on
    /// the topic, or on what has to be fetched first: whoever publishes waits for [`Encoded::Later`], and publishes to the same
    /// topic keep their order behind it.
    /// # Errors
    /// As `encode`.
    fn encode_for(&self, topic: &str, value: &T) -> Result<Encoded> {
        let _ = topic;
        self.encode(value).map(Encoded::Now)
    }
    /// Fetches what [`decode`](Self::decode) said it [needs](Error::needs); `None`, the default: nothing can be fetched, and
    /// the record is undecodable.
    ///
    /// The record waits for it outside of every handler, without an attempt, and with it those of its key; other keys go
    /// on. Each thing is asked for once at a time by a subscription. A transient error is told once, and asked for again
    /// after 0.1 s, twice that, and so on up to 10 s; any other error is the one for which waiting records go to the dead
    /// letters. The future may be dropped at any time.
    fn ready(&self, need: &Need) -> Option<BoxFuture<'static, Result<()>>> {
        let _ = need;
        None
    }
}

/// A codec without state, so that a topic can be a constant.
pub trait Stateless: Sized {
    /// The codec.
    const CODEC: Self;
}

/// Bytes as they are: `Bytes`, `Vec<u8>` or `String`. A tombstone reads as empty ([`Record::payload`] tells the two apart),
/// and is written as [`Message::tombstone`](crate::Message::tombstone).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

impl Stateless for Raw {
    const CODEC: Self = Raw;
}

impl Codec<Bytes> for Raw {
    fn encode(&self, value: &Bytes) -> Result<Bytes> {
        Ok(value.clone())
    }
    fn decode(&self, record: &Record) -> Result<Bytes> {
        Ok(record.payload_bytes().unwrap_or_default())
    }
}

impl Codec<Vec<u8>> for Raw {
    fn encode(&self, value: &Vec<u8>) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(value))
    }
    fn decode(&self, record: &Record) -> Result<Vec<u8>> {
        Ok(record.payload().unwrap_or_default().to_vec())
    }
}

impl Codec<String> for Raw {
    fn encode(&self, value: &String) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(value.as_bytes()))
    }
    fn decode(&self, record: &Record) -> Result<String> {
        match std::str::from_utf8(record.payload().unwrap_or_default()) {
            Ok(text) => Ok(text.to_owned()),
            Err(e) => Err(Error::new(ErrorKind::Undecodable, "payload is not UTF-8").source(e)),
        }
    }
}
