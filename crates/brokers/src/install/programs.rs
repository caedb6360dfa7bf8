//! Programs that Debian packages carry.

use std::path::PathBuf;

use super::ensure_program;
use crate::error::Result;

/// The path of `redis-server`, installed if it is missing. Debian 12 carries 7.0.15.
///
/// # Errors
///
/// When it is missing and cannot be installed; the message names the package.
pub fn redis_server() -> Result<PathBuf> {
    ensure_program("redis-server", "redis-server")
}

/// The path of `kcat`, the command line client of Kafka, installed if it is missing.
///
/// # Errors
///
/// When it is missing and cannot be installed; the message names the package.
pub fn kcat() -> Result<PathBuf> {
    ensure_program("kcat", "kcat")
}

/// The path of `valgrind`, which counts instructions, installed if it is missing.
///
/// # Errors
///
/// When it is missing and cannot be installed; the message names the package.
pub fn valgrind() -> Result<PathBuf> {
    ensure_program("valgrind", "valgrind")
}
