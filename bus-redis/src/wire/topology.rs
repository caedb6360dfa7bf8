//! Where a connection leads to.

use super::{Conn, sentinel};
use crate::{RedisConfig, security::Security, servers::Servers};
use bus_core::Result;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The settings, and what was learned of the servers since.
#[derive(Debug)]
pub(crate) struct Topology {
    config: Arc<RedisConfig>,
    security: Security,
    /// The highest configuration epoch that a sentinel has named.
    epoch: AtomicU64,
}

impl Topology {
    /// # Errors
    /// As [`Security::new`].
    pub(crate) fn new(config: Arc<RedisConfig>) -> Result<Self> {
        Ok(Self {
            security: Security::new(&config)?,
            config,
            epoch: AtomicU64::new(0),
        })
    }
    pub(crate) fn config(&self) -> &Arc<RedisConfig> {
        &self.config
    }
    /// How every connection is secured, those to sentinels too.
    pub(crate) fn security(&self) -> &Security {
        &self.security
    }
    /// A new connection.
    pub(super) async fn dial(&self, role: &str) -> Result<Conn> {
        match &self.config.servers {
            Servers::One(host) => Conn::dial(host, &self.security, &self.config, role).await,
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
