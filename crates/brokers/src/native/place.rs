//! Where a native server lives: a data folder of its own and ports that stay its own while it is down.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::Disk;
use crate::error::{Doing, Result};
use crate::kind::Kind;
use crate::lease::Lease;
use crate::record::Record;
use crate::say::say;
use crate::{lock, paths};

/// Private servers are looked for from here on, far from the shared ones.
const FIRST_PRIVATE_PORT: u16 = 20_000;
/// The range of ports of one target directory, and how many there are below 32768, where the kernel's own begin.
const RANGE: u16 = 500;
const RANGES: u64 = 25;

/// Leases are known within a target directory only. Each gets a range of its own, so that two checkouts that test at
/// the same time do not take the port of each other's killed server.
fn first_private_port() -> u16 {
    let mut hasher = DefaultHasher::new();
    paths::target_dir().hash(&mut hasher);
    let range = u16::try_from(hasher.finish() % RANGES).unwrap_or_default();
    FIRST_PRIVATE_PORT + range * RANGE
}

/// A data folder and ports.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) ports: Vec<Lease>,
    /// A small file system for the data, where one was asked for.
    pub(crate) disk: Option<Disk>,
    /// Whether the data goes when the server's guard does.
    pub(crate) private: bool,
}

impl Place {
    /// An empty place of its own for a test.
    pub(crate) fn private(ports: usize) -> Result<Self> {
        sweep()?;
        let ports = leases(first_private_port(), ports)?;
        let dir = paths::private_dir().join(ports[0].port.to_string());
        fresh(&dir)?;
        Ok(Self {
            dir,
            ports,
            disk: None,
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
            disk: None,
            private: false,
        })
    }

    /// Puts the data on a file system of that many megabytes.
    pub(crate) fn mount(&mut self, megabytes: u32) -> Result<()> {
        self.disk = Some(Disk::mount(&self.dir, megabytes)?);
        Ok(())
    }

    /// Where the server is to keep its data.
    pub(crate) fn data(&self) -> PathBuf {
        let disk = self.disk.as_ref().map(Disk::dir);
        disk.unwrap_or(&self.dir).join("data")
    }

    pub(crate) fn socket(&self, port: usize) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[port].port).into()
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
        Disk::unmount_left_behind(&dir);
        let _ = std::fs::remove_dir_all(&dir);
    }
    Ok(())
}
