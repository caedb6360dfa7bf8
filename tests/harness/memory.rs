//! Memory: a bus of its own for every check.

use async_trait::async_trait;
use bus::{
    Backend, Message, Result,
    backend::{Memory, MemoryConfig},
};
use bus_core::conformance::Harness;
use std::{sync::Arc, time::Duration};

const SESSION: Duration = Duration::from_secs(1);

/// A memory bus; its handles are what processes are elsewhere.
#[derive(Debug)]
pub(crate) struct OnMemory(Memory);

impl OnMemory {
    /// A new bus.
    pub(crate) fn new() -> Self {
        Self(Memory::with_config(
            MemoryConfig::default().session_timeout(SESSION),
        ))
    }
}

#[async_trait]
impl Harness for OnMemory {
    fn name(&self) -> &str {
        "memory"
    }
    fn server(&self) -> &str {
        "memory"
    }
    async fn backend(&self) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(self.0.clone()))
    }
    fn session(&self) -> Duration {
        SESSION
    }
    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }
    /// There is no other program in this process; the nearest is who uses the driver by hand.
    async fn foreign(&self, topic: &str) -> Result<Message> {
        let message = Message::new("by hand").keyed("k").header("h", "v");
        let publisher = self.0.publisher().await?;
        for outcome in publisher.publish_batch(topic, vec![message.clone()]).await {
            outcome?;
        }
        Ok(message)
    }
}
