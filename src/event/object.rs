//! The event that carries everything in its body.

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The body of an event for services that keep everything in it and use no headers: exactly these five fields.
///
/// All five are written. Missing ones and `null` are read as their defaults, others are left alone. A router
/// finds its type with [`event_field("event")`](crate::router).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "D: DeserializeOwned + Default"))]
pub struct EventObject<D = Value> {
    /// What belongs together.
    pub correlation_id: Option<String>,
    /// The type, such as `user.created`.
    #[serde(deserialize_with = "or_default")]
    pub event: String,
    /// The payload.
    #[serde(deserialize_with = "or_default")]
    pub data: D,
    /// What became of it, in whatever form the services agree on: a number, a word, an object.
    pub status: Value,
    /// Where it has been.
    #[serde(deserialize_with = "or_default")]
    pub audit_log: Vec<Value>,
}

impl<D> EventObject<D> {
    /// One of this type with this payload.
    pub fn new(event: impl Into<String>, data: D) -> Self {
        Self {
            correlation_id: None,
            event: event.into(),
            data,
            status: Value::Null,
            audit_log: Vec::new(),
        }
    }
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
