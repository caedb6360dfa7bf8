//! Where a connection leads to.

use super::{Conn, sentinel};
use crate::{RedisConfig, servers::Servers};
use bus_core::Result;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The settings, and what was learned of the servers since.
#[derive(Debug)]
pub(crate) struct Topology {
    config: Arc<RedisConfig>,
    /// The highest configuration epoch that a sentinel has named.
    epoch: AtomicU64,
}

impl Topology {
    pub(crate) fn new(config: Arc<RedisConfig>) -> Self {
        Self {
            config,
            epoch: AtomicU64::new(0),
        }
    }
    pub(crate) fn config(&self) -> &Arc<RedisConfig> {
        &self.config
    }
    /// A new connection.
    pub(super) async fn dial(&self, role: &str) -> Result<Conn> {
        match &self.config.servers {
            Servers::One(host) => Conn::dial(&self.config, host, role).await,
            Servers::Sentinels(sentinels) => sentinel::primary(self, sentinels, role).await,
        }
    }
    /// The highest configuration epoch of the sentinels that was seen.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }
    /// A connection was made to the primary of this epoch.
    pub(super) fn reached(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }
}
