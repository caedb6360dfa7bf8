//! The backend itself.

use crate::{Context, RedisConfig, admin::RedisAdmin, preflight, publisher::RedisPublisher, subscriber};
use async_trait::async_trait;
use bus_core::{Ack, Admin, Backend, Limits, Publisher, Result, Source, Subscriber};
use std::sync::Arc;

/// The most bytes of notes in one commit: what a lease's hash field holds without slowing its renewals.
pub(crate) const NOTES_MAX: usize = 65_536;
/// The most outputs in one commit: a script of that many runs a few milliseconds, and others wait for it.
const OUTPUTS_MAX: usize = 8_192;

/// Redis Streams, or Valkey, as a backend of the bus.
///
/// A partition is a stream; other programs read and write it with `XREAD` and `XADD`. See the crate's documentation
/// for what is stored where.
#[derive(Debug)]
pub struct Redis {
    context: Arc<Context>,
}

impl Redis {
    /// Connects to the server and checks that it can keep the contract.
    /// # Errors
    /// `Unavailable` where it does not answer within `connect_timeout`, `Denied` where it refuses the user,
    /// `Unsupported` where it is older than 7.0 or a replica, `Conflict` where it would evict records.
    pub async fn connect(config: RedisConfig) -> Result<Self> {
        let context = Arc::new(Context::new(config)?);
        preflight::check(&context).await?;
        context.topology.watch();
        Ok(Self { context })
    }
    /// [`Redis::connect`] with the settings in a URL: see [`RedisConfig::from_url`].
    /// # Errors
    /// As both of them.
    pub async fn connect_url(url: &str) -> Result<Self> {
        Self::connect(RedisConfig::from_url(url)?).await
    }
}

#[async_trait]
impl Backend for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }
    fn limits(&self) -> Limits {
        Limits {
            notes: NOTES_MAX,
            message: self.context.config.message_max,
            outputs: OUTPUTS_MAX,
        }
    }
    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        Ok(Arc::new(RedisPublisher::start(self.context.clone()).await?))
    }
    async fn subscribe(&self, source: Source) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
        subscriber::join(self.context.clone(), source).await
    }
    fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(RedisAdmin::new(self.context.clone()))
    }
    fn health(&self) -> Result<()> {
        self.context.health.get(&self.context.topology)
    }
}
