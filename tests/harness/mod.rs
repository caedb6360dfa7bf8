//! The backends under test, each with its server. Every test binary uses one of them.
#![allow(dead_code)]

#[cfg(feature = "kafka")]
pub(crate) mod kafka;
pub(crate) mod layers;
#[cfg(feature = "memory")]
mod link;
#[cfg(feature = "memory")]
pub(crate) mod memory;
#[cfg(any(feature = "kafka", feature = "redis"))]
mod private;
#[cfg(feature = "redis")]
pub(crate) mod redis;

/// The value of an environment variable that names a server.
pub(crate) fn address(variable: &str) -> String {
    let given = std::env::var(variable).ok().filter(|value| !value.is_empty());
    given.unwrap_or_else(|| panic!("set {variable} or run `cargo xtask test`"))
}
