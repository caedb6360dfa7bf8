//! Codecs: how a payload becomes a value and back.

#[cfg(feature = "avro")]
pub mod avro;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
#[cfg(feature = "protobuf")]
mod protobuf;
#[cfg(feature = "registry")]
mod registry_json;
#[cfg(all(feature = "registry", feature = "protobuf"))]
mod registry_protobuf;
#[cfg(any(feature = "avro", feature = "json", feature = "msgpack"))]
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
#[cfg(feature = "registry")]
pub use registry_json::RegistryJson;
#[cfg(all(feature = "registry", feature = "protobuf"))]
pub use registry_protobuf::RegistryProtobuf;
