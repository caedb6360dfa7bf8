//! JSON through serde.

use super::scratch::written;
use bus_core::{Bytes, Codec, Error, ErrorKind, Record, Result, Stateless};
use serde::{Serialize, de::DeserializeOwned};

/// A value as JSON.
pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> Result<Bytes> {
    let failed = |e| Error::invalid("the value cannot be written as JSON").source(e);
    written(|buffer| serde_json::to_writer(buffer, value)).map_err(failed)
}

/// The value that a record has as JSON.
pub(crate) fn from_json<T: DeserializeOwned>(record: &Record) -> Result<T> {
    let failed = |e| Error::new(ErrorKind::Undecodable, "payload is not the expected JSON").source(e);
    serde_json::from_slice(record.payload().unwrap_or(b"null")).map_err(failed)
}

/// JSON (UTF-8, compact). A tombstone reads as `null`, so a topic of `Option<T>` tells it from a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Stateless for Json {
    const CODEC: Self = Json;
}

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    fn encode(&self, value: &T) -> Result<Bytes> {
        json(value)
    }
    /// An event in the structured mode of CloudEvents is read as its data.
    fn decode(&self, record: &Record) -> Result<T> {
        #[cfg(feature = "app")]
        if let Some(record) = crate::event::binary(record)? {
            return from_json(&record);
        }
        from_json(record)
    }
    fn content_type(&self) -> Option<&'static str> {
        Some("application/json")
    }
}
