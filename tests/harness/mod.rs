//! The backends under test, each with its server.

#[cfg(feature = "memory")]
pub(crate) mod memory;
