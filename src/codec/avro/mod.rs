//! Avro: schemas of Rust types, and what reads and writes by them. The codec is [`Avro`](crate::Avro); with a schema
//! registry `RegistryAvro`.

mod cell;
mod codec;
mod describe;
#[cfg(test)]
mod evolution;
#[cfg(test)]
mod foreign;
#[cfg(feature = "registry")]
mod framed;
#[cfg(feature = "registry")]
mod kept;
mod logical;
mod plan;
mod preset;
mod presets;
mod read;
mod readings;
mod resolve;
mod schema;
mod types;
mod wire;
mod write;
mod wrong;

pub use codec::Avro;
pub use describe::AvroSchema;
#[cfg(feature = "registry")]
pub use framed::RegistryAvro;
pub use schema::Schema;
pub use types::Types;

/// What the derive needs.
#[doc(hidden)]
pub mod derived {
    pub use super::cell::Cell;
    pub use serde_json::{Map, Value, json};
}
