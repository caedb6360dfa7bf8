//! Libraries that are loaded before a server's own and change what it sees: its clock, its disk.

mod clock;
mod library;
mod synced;

pub use clock::Clock;

pub(crate) use synced::Synced;

use std::ffi::OsString;
use std::path::Path;

/// The variables that load these libraries.
pub(crate) fn preload(libraries: &[&Path]) -> Option<(OsString, OsString)> {
    let mut value = OsString::new();
    for library in libraries {
        if !value.is_empty() {
            value.push(":");
        }
        value.push(library);
    }
    (!value.is_empty()).then(|| ("LD_PRELOAD".into(), value))
}
