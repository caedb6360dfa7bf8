//! What a build with TLS needs of the system.

use std::process::Command;

use super::apt::{ensure, install_package};
use crate::error::Result;

/// Makes sure that OpenSSL can be built against: its headers, and `pkg-config`, which finds them.
///
/// # Errors
///
/// When they are missing and cannot be installed; the message names the package.
pub fn openssl() -> Result<()> {
    let pkg_config = ensure("pkg-config", "pkg-config")?;
    let found = Command::new(pkg_config)
        .args(["--exists", "openssl"])
        .status()
        .is_ok_and(|status| status.success());
    match found {
        true => Ok(()),
        false => install_package("libssl-dev"),
    }
}
