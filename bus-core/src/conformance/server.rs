//! A server of a check's own, seen through what wraps its backends.

use super::{Harness, Private};
use crate::{Backend, Message, Result};
use async_trait::async_trait;
use std::{fmt, sync::Arc, time::Duration};

pub(super) type Wrap = dyn Fn(Arc<dyn Backend>) -> Arc<dyn Backend> + Send + Sync;

/// What is done to the server, or to the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    /// It was stopped, cut off or reset.
    Broken,
    /// So many publishes have no answer the first time.
    Unanswered(usize),
}

pub(super) struct Server {
    pub(super) inner: Arc<dyn Private>,
    pub(super) name: String,
    pub(super) patience: Duration,
    pub(super) wrap: Arc<Wrap>,
    /// Is told before it is done.
    pub(super) tell: Box<dyn Fn(Harm) + Send + Sync>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.name).finish()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Harness for Server {
    fn name(&self) -> &str {
        &self.name
    }
    fn server(&self) -> &str {
        self.inner.server()
    }
    async fn backend(&self) -> Result<Arc<dyn Backend>> {
        Ok((self.wrap)(self.inner.backend().await?))
    }
    fn session(&self) -> Duration {
        self.inner.session()
    }
    fn patience(&self) -> Duration {
        self.patience
    }
    async fn foreign(&self, topic: &str) -> Result<Message> {
        self.inner.foreign(topic).await
    }
    async fn trim(&self, topic: &str, partition: u32, before: u128) -> Result<()> {
        self.inner.trim(topic, partition, before).await
    }
    async fn destroy(&self, group: &str, topic: &str) -> Result<()> {
        self.inner.destroy(group, topic).await
    }
    async fn private(&self) -> Result<Arc<dyn Private>> {
        self.inner.private().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Private for Server {
    async fn hasty(&self, publish_timeout: Duration) -> Result<Arc<dyn Backend>> {
        Ok((self.wrap)(self.inner.hasty(publish_timeout).await?))
    }
    async fn stop(&self) -> Result<()> {
        (self.tell)(Harm::Broken);
        self.inner.stop().await
    }
    async fn start(&self) -> Result<()> {
        self.inner.start().await
    }
    fn cut(&self) {
        (self.tell)(Harm::Broken);
        self.inner.cut();
    }
    fn heal(&self) {
        self.inner.heal();
    }
    fn reset(&self) {
        (self.tell)(Harm::Broken);
        self.inner.reset();
    }
    fn lose_replies(&self, count: usize) {
        (self.tell)(Harm::Unanswered(count));
        self.inner.lose_replies(count);
    }
    fn delay_request(&self, by: Duration) {
        (self.tell)(Harm::Unanswered(1));
        self.inner.delay_request(by);
    }
    fn struck(&self) -> usize {
        self.inner.struck()
    }
    fn connections(&self) -> usize {
        self.inner.connections()
    }
}
