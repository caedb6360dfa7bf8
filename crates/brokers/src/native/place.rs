//! Where a native server lives: a data folder of its own and ports that stay its own while it is down.

use std::path::{Path, PathBuf};

use crate::error::{Doing, Result};
use crate::kind::Kind;
use crate::lease::Lease;
use crate::record::Record;
use crate::say::say;
use crate::{lock, paths};

/// Private servers are looked for from here on, far from the shared ones.
const FIRST_PRIVATE_PORT: u16 = 20_000;

/// A data folder and ports.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) ports: Vec<Lease>,
    /// Whether the data goes when the server's guard does.
    pub(crate) private: bool,
}

impl Place {
    /// An empty place of its own for a test.
    pub(crate) fn private(ports: usize) -> Result<Self> {
        sweep()?;
        let ports = leases(FIRST_PRIVATE_PORT, ports)?;
        let dir = paths::private_dir().join(ports[0].port.to_string());
        fresh(&dir)?;
        Ok(Self {
            dir,
            ports,
            private: true,
        })
    }

    /// An empty place for the shared server of that kind; the caller holds the lock of the shared servers.
    pub(crate) fn shared(kind: Kind, ports: usize) -> Result<Self> {
        let ports = leases(kind.first_port(), ports)?;
        let dir = paths::shared_dir(kind.name());
        fresh(&dir)?;
        Ok(Self {
            dir,
            ports,
            private: false,
        })
    }

    pub(crate) fn address(&self, port: usize) -> String {
        format!("127.0.0.1:{}", self.ports[port].port)
    }
}

fn leases(first: u16, count: usize) -> Result<Vec<Lease>> {
    (0..count.max(1)).map(|_| Lease::from(first)).collect()
}

fn fresh(dir: &Path) -> Result<()> {
    if dir.exists() {
        std::fs::remove_dir_all(dir).doing(|| format!("emptying {}", dir.display()))?;
    }
    std::fs::create_dir_all(dir).doing(|| format!("creating {}", dir.display()))
}

/// Stops private servers whose owner died without stopping them, and removes their data. Every private start does
/// it too.
///
/// # Errors
///
/// When one cannot be stopped.
pub fn sweep() -> Result<()> {
    let Ok(entries) = std::fs::read_dir(paths::private_dir()) else {
        return Ok(());
    };
    for dir in entries.flatten().map(|entry| entry.path()) {
        let Some(port) = dir.file_name() else { continue };
        // An owner holds its port's lease for as long as it lives: a lease that can be taken has no owner.
        let Some(_lease) = lock::try_take(&paths::brokers_dir().join("ports").join(port))? else {
            continue;
        };
        if let Some(record) = Record::read(&dir)?.filter(Record::is_running) {
            say(format_args!(
                "stopping a {} at {} that was left behind",
                record.version, record.address
            ));
            record.stop()?;
        }
        let _ = std::fs::remove_dir_all(&dir);
    }
    Ok(())
}
