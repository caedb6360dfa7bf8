//! Where things lie: everything that this crate downloads or writes is below the target directory.

use std::path::{Path, PathBuf};

/// The build directory of the workspace: `CARGO_TARGET_DIR` where it is set, else `target` beside the workspace's
/// own `Cargo.toml`.
pub fn target_dir() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let workspace = workspace.canonicalize().unwrap_or(workspace);
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) if !dir.is_empty() => workspace.join(dir),
        _ => workspace.join("target"),
    }
}

/// Everything about servers: downloads, locks, data.
pub(crate) fn brokers_dir() -> PathBuf {
    target_dir().join("brokers")
}

/// The data of one shared server.
pub(crate) fn shared_dir(name: &str) -> PathBuf {
    brokers_dir().join("shared").join(name)
}

/// The data of all private servers, each in a folder named by its port.
pub(crate) fn private_dir() -> PathBuf {
    brokers_dir().join("private")
}
