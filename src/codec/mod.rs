//! Codecs: how a payload becomes a value and back.

#[cfg(feature = "json")]
mod json;

#[cfg(feature = "json")]
pub use json::Json;
