//! What every part of one backend shares.

use crate::{
    RedisConfig,
    health::Health,
    janitor::Janitor,
    topics::Topics,
    wire::{Link, Topology},
};
use bus_core::Result;
use std::sync::{Arc, atomic::AtomicBool};

/// Settings, the topics' cache, and the connection for occasional calls.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Arc<RedisConfig>,
    pub(crate) topology: Arc<Topology>,
    pub(crate) health: Arc<Health>,
    pub(crate) link: Arc<Link>,
    pub(crate) topics: Topics,
    pub(crate) janitor: Janitor,
    /// The server is a node of a cluster, which refuses calls across slots.
    pub(crate) clustered: AtomicBool,
}

impl Context {
    /// # Errors
    /// As [`Topology::new`].
    pub(crate) fn new(config: RedisConfig) -> Result<Self> {
        let (config, health) = (Arc::new(config), Arc::new(Health::default()));
        let topology = Arc::new(Topology::new(config.clone())?);
        let link = Arc::new(Link::new(topology.clone(), "admin", health.clone()));
        let topics = Topics::new(&config, link.clone());
        Ok(Self {
            config,
            topology,
            health,
            link,
            topics,
            janitor: Janitor::default(),
            clustered: AtomicBool::new(false),
        })
    }
    /// A connection of its own for one part.
    pub(crate) fn link(&self, role: &'static str) -> Link {
        Link::new(self.topology.clone(), role, self.health.clone())
    }
}
