//! Memory: a bus of its own for every check.

use async_trait::async_trait;
use bus::{
    Backend, Message, Result,
    backend::{Memory, MemoryConfig},
};
use bus_core::conformance::Harness;
use std::{sync::Arc, time::Duration};

/// A memory bus; its handles are what processes are elsewhere.
#[derive(Debug)]
pub(crate) struct OnMemory {
    memory: Memory,
    session: Duration,
}

impl OnMemory {
    /// A new bus.
    pub(crate) fn new() -> Self {
        let session = Duration::from_secs(1);
        let config = MemoryConfig::default().session_timeout(session);
        Self {
            memory: Memory::with_config(config),
            session,
        }
    }
    /// A new bus that waits for nobody, for faults that make somebody wait.
    pub(crate) fn impatient() -> Self {
        let session = Duration::from_millis(400);
        let config = MemoryConfig::default().session_timeout(session).grace(session);
        Self {
            memory: Memory::with_config(config),
            session,
        }
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
        Ok(Arc::new(self.memory.clone()))
    }
    fn session(&self) -> Duration {
        self.session
    }
    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }
    /// There is no other program in this process; the nearest is who uses the driver by hand.
    async fn foreign(&self, topic: &str) -> Result<Message> {
        let message = Message::new("by hand").keyed("k").header("h", "v");
        let publisher = self.memory.publisher().await?;
        for outcome in publisher.publish_batch(topic, vec![message.clone()]).await {
            outcome?;
        }
        Ok(message)
    }
}
