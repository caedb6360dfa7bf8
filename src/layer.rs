#![doc = include_str!("../docs/observability.md")]

pub use bus_core::layer::*;
