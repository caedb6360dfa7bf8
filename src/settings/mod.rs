#![doc = include_str!("../../docs/connecting.md")]

#[cfg_attr(
    not(any(feature = "memory", feature = "kafka", feature = "redis")),
    allow(unused, reason = "no backend is compiled in")
)]
mod backends;
mod choose;
mod env;
mod guide;
mod kind;
mod near;
mod node;
mod section;
mod security;
mod setters;
mod show;
mod sources;
mod table;
mod value;
mod values;

pub use choose::BackendName;
pub use guide::markdown as table_of_settings;
pub use security::{Mechanism, Protocol};
pub use setters::Compression;
pub use sources::Sources;
pub use values::Settings;
