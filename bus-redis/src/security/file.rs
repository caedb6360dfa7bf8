//! Files that settings name, read when a connection is made.

use bus_core::{Error, Result};
use std::path::Path;

/// The file's bytes. Files may lie on a slow disk, so a thread of their own reads them.
pub(super) async fn read(path: &Path, option: &str) -> Result<Vec<u8>> {
    let named = path.to_owned();
    let bytes = tokio::task::spawn_blocking(move || std::fs::read(named)).await;
    bytes.map_err(std::io::Error::other).flatten().map_err(|error| {
        Error::invalid(format!(
            "the file of `{option}`, {}, cannot be read",
            path.display()
        ))
        .source(error)
    })
}
