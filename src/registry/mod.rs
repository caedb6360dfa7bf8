//! Schema registries that speak Confluent's protocol: ids for schemas, schemas for ids, and the frame that carries the id.
//!
//! A [`Registry`] is one client with one cache, shared by all codecs made with it: [`RegistryJson`](crate::RegistryJson),
//! [`RegistryAvro`](crate::RegistryAvro), [`RegistryProtobuf`](crate::RegistryProtobuf), and whatever is built on a [`Framing`]. Ids and schemas never change, so what
//! was fetched once is kept: a registry that is down stops nothing that is already cached. The guide is
//! `docs/serialization.md`.

mod answer;
mod cache;
mod client;
mod config;
pub mod frame;
mod framing;
mod http;
mod naming;
mod schema;
mod tls;

pub use client::Registry;
pub use config::RegistryConfig;
pub(crate) use framing::no_topic;
pub use framing::{Framing, Writer};
pub use naming::Naming;
pub use schema::{Schema, SchemaKind};
