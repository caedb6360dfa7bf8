//! Where a connection leads to.

use super::{Conn, sentinel, watch};
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
    epoch: Arc<AtomicU64>,
}

impl Topology {
    /// # Errors
    /// As [`Security::new`].
    pub(crate) fn new(config: Arc<RedisConfig>) -> Result<Self> {
        Ok(Self {
            security: Security::new(&config)?,
            config,
            epoch: Arc::default(),
        })
    }
    pub(crate) fn config(&self) -> &Arc<RedisConfig> {
        &self.config
    }
    /// How every connection is secured, those to sentinels too.
    pub(crate) fn security(&self) -> &Security {
        &self.security
    }
    /// Looks for failovers from now on, where sentinels know of them.
    pub(crate) fn watch(self: &Arc<Self>) {
        watch::start(self);
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
    /// A connection was made to the primary of this epoch, when `seen` was the highest: whether it still leads to the
    /// primary, as far as anybody knows. An epoch below `seen` is one that all sentinels went back to.
    pub(super) fn reached(&self, seen: u64, epoch: u64) -> bool {
        if epoch >= seen {
            return self.epoch.fetch_max(epoch, Ordering::Relaxed) <= epoch;
        }
        self.epoch
            .compare_exchange(seen, epoch, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
    /// What [`epoch`](Self::epoch) says, for those who look at each call.
    pub(super) fn latest(&self) -> Arc<AtomicU64> {
        self.epoch.clone()
    }
}
