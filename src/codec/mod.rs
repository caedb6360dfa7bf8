//! Codecs: how a payload becomes a value and back.

#[cfg(feature = "json")]
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
#[cfg(feature = "protobuf")]
mod protobuf;
#[cfg(any(feature = "json", feature = "msgpack"))]
mod scratch;

#[cfg(feature = "json")]
pub use json::Json;
#[cfg(feature = "app")]
pub(crate) use json::from_json;
#[cfg(feature = "json")]
pub(crate) use json::json;
#[cfg(feature = "msgpack")]
pub use msgpack::MessagePack;
#[cfg(feature = "protobuf")]
pub use protobuf::Protobuf;
