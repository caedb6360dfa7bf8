//! A harness whose backends are wrapped: the suite has to hold through every layer.

use super::{
    Harness, Private,
    server::{Server, Wrap},
};
use crate::{Backend, Message, Result};
use async_trait::async_trait;
use std::{fmt, sync::Arc, time::Duration};

/// A harness around another one, with a layer around each of its backends.
pub struct Layered {
    name: String,
    harness: Arc<dyn Harness>,
    wrap: Arc<Wrap>,
}

impl Layered {
    /// The backends of `harness`, each through `wrap`; in reports the name of the layer follows the backend's.
    pub fn new(
        layer: &str,
        harness: Arc<dyn Harness>,
        wrap: impl Fn(Arc<dyn Backend>) -> Arc<dyn Backend> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: format!("{} through {layer}", harness.name()),
            harness,
            wrap: Arc::new(wrap),
        }
    }
}

impl fmt::Debug for Layered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Layered").field(&self.name).finish()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Harness for Layered {
    fn name(&self) -> &str {
        &self.name
    }
    fn server(&self) -> &str {
        self.harness.server()
    }
    async fn backend(&self) -> Result<Arc<dyn Backend>> {
        Ok((self.wrap)(self.harness.backend().await?))
    }
    fn session(&self) -> Duration {
        self.harness.session()
    }
    fn patience(&self) -> Duration {
        self.harness.patience()
    }
    async fn foreign(&self, topic: &str) -> Result<Message> {
        self.harness.foreign(topic).await
    }
    async fn trim(&self, topic: &str, partition: u32, before: u128) -> Result<()> {
        self.harness.trim(topic, partition, before).await
    }
    async fn destroy(&self, group: &str, topic: &str) -> Result<()> {
        self.harness.destroy(group, topic).await
    }
    async fn private(&self) -> Result<Arc<dyn Private>> {
        let inner = self.harness.private().await?;
        Ok(Arc::new(Server {
            name: self.name.clone(),
            patience: inner.patience(),
            wrap: self.wrap.clone(),
            tell: Box::new(|_| {}),
            inner,
        }))
    }
}
