//! Memory: a bus of its own for every check.

use super::link::{Far, Link};
use async_trait::async_trait;
use bus::{
    Backend, Message, Result,
    backend::{Memory, MemoryConfig},
};
use bus_core::conformance::{Harness, Private};
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
        Duration::from_secs(30)
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
    async fn trim(&self, topic: &str, partition: u32, before: u128) -> Result<()> {
        self.memory.trim(topic, partition, before)
    }
    /// Nobody gets around the bus here.
    async fn destroy(&self, group: &str, _topic: &str) -> Result<()> {
        self.memory.admin().delete_group(group).await
    }
    async fn private(&self) -> Result<Arc<dyn Private>> {
        let (memory, session) = (self.memory.clone(), self.session);
        Ok(Arc::new(Distant {
            near: OnMemory { memory, session },
            link: Link::new(),
            connections: Arc::default(),
        }))
    }
}

/// The same bus, with a way to it that can be harmed.
#[derive(Debug)]
struct Distant {
    near: OnMemory,
    link: Arc<Link>,
    connections: Arc<()>,
}

#[async_trait]
impl Harness for Distant {
    fn name(&self) -> &str {
        self.near.name()
    }
    fn server(&self) -> &str {
        self.near.server()
    }
    async fn backend(&self) -> Result<Arc<dyn Backend>> {
        self.hasty(Duration::from_secs(30)).await
    }
    fn session(&self) -> Duration {
        self.near.session()
    }
    fn patience(&self) -> Duration {
        self.near.patience()
    }
    async fn foreign(&self, topic: &str) -> Result<Message> {
        self.near.foreign(topic).await
    }
    async fn trim(&self, topic: &str, partition: u32, before: u128) -> Result<()> {
        self.near.trim(topic, partition, before).await
    }
    async fn destroy(&self, group: &str, topic: &str) -> Result<()> {
        self.near.destroy(group, topic).await
    }
    async fn private(&self) -> Result<Arc<dyn Private>> {
        self.near.private().await
    }
}

#[async_trait]
impl Private for Distant {
    async fn hasty(&self, publish_timeout: Duration) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Far {
            memory: self.near.memory.clone(),
            link: self.link.clone(),
            publish_timeout,
            connections: self.connections.clone(),
        }))
    }
    /// What is in memory cannot end and come back; that nobody reaches it can be had.
    async fn stop(&self) -> Result<()> {
        self.link.cut();
        Ok(())
    }
    async fn start(&self) -> Result<()> {
        self.link.heal();
        Ok(())
    }
    fn cut(&self) {
        self.link.cut();
    }
    fn heal(&self) {
        self.link.heal();
    }
    /// Connections come back at once.
    fn reset(&self) {
        self.link.cut();
        self.link.heal();
    }
    fn lose_replies(&self, count: usize) {
        self.link.lose_replies(count);
    }
    fn delay_request(&self, by: Duration) {
        self.link.delay_request(by);
    }
    fn struck(&self) -> usize {
        self.link.struck()
    }
    /// Each handle, publisher and subscriber has one.
    fn connections(&self) -> usize {
        Arc::strong_count(&self.connections) - 1
    }
}
