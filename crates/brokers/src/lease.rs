//! Ports that no other process of this workspace takes, not even while their server is down.

use std::fs::File;
use std::net::TcpListener;

use crate::error::{Error, Result};
use crate::{lock, paths};

/// A port of 127.0.0.1 that is ours for as long as the lease lives.
///
/// A port that was merely free a moment ago can be gone when a killed server wants it back: the lease keeps the
/// other test processes away, and the range keeps the kernel away, which takes outgoing ports from 32768 on.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The port.
    pub(crate) port: u16,
    _lock: File,
}

impl Lease {
    /// The first port at or after `first` that nobody has leased and nobody listens on.
    pub(crate) fn from(first: u16) -> Result<Self> {
        for port in first..first.saturating_add(500) {
            let path = paths::brokers_dir().join("ports").join(port.to_string());
            let Some(lock) = lock::try_take(&path)? else {
                continue;
            };
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return Ok(Self { port, _lock: lock });
            }
        }
        Err(Error::State(format!(
            "no free port of 127.0.0.1 from {first} on: stop some servers (`cargo xtask brokers down`)"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_leases_never_share_a_port() {
        let one = Lease::from(29_000).unwrap();
        let two = Lease::from(29_000).unwrap();
        assert_ne!(one.port, two.port);
    }
}
