//! Stand-ins around the memory bus: they answer late, fail when told to, and write down what they were asked.

// Each test binary uses its share of this.
#![allow(dead_code, unused_imports)]

mod ack;
mod publisher;
mod subscriber;

use async_trait::async_trait;
use bus::{
    Ack, Admin, Backend, Bus, Limits, Publisher, Raw, Result, Source, Subscriber, Topic, TopicSpec,
    backend::Memory,
};
use std::{sync::Arc, time::Duration};

pub(crate) use ack::{Answer, Commits};
pub(crate) use publisher::Manual;
pub(crate) use subscriber::Fault;

/// What the tests read and write.
pub(crate) const T: Topic<String, Raw> = Topic::new("t");

/// A memory bus whose parts can be told to fail.
#[derive(Debug, Default)]
pub(crate) struct Double {
    pub(crate) memory: Memory,
    /// Publishing by hand.
    pub(crate) publisher: Option<Arc<Manual>>,
    /// What becomes of commits.
    pub(crate) commits: Commits,
    /// What becomes of `receive`.
    pub(crate) fault: Fault,
    pub(crate) outputs: Option<usize>,
}

impl Double {
    /// A bus over it, with topic `t` of so many partitions.
    pub(crate) async fn bus(self, partitions: u32) -> Bus {
        let bus = Bus::new(Arc::new(self)).await.expect("a bus");
        let topic = TopicSpec::new("t").partitions(partitions);
        bus.ensure_topics([topic]).await.expect("a topic");
        bus
    }
}

#[async_trait]
impl Backend for Double {
    fn name(&self) -> &'static str {
        "double"
    }
    fn limits(&self) -> Limits {
        let limits = self.memory.limits();
        Limits {
            outputs: self.outputs.unwrap_or(limits.outputs),
            ..limits
        }
    }
    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        match &self.publisher {
            Some(manual) => Ok(manual.clone()),
            None => self.memory.publisher().await,
        }
    }
    async fn subscribe(&self, source: Source) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
        let (subscriber, ack) = self.memory.subscribe(source).await?;
        Ok((self.fault.wrap(subscriber), self.commits.wrap(ack)))
    }
    fn admin(&self) -> Arc<dyn Admin> {
        self.memory.admin()
    }
    fn health(&self) -> Result<()> {
        self.memory.health()
    }
}

/// Waits for what must come; a test that waits for ever says so instead.
pub(crate) async fn soon<R>(what: &str, wait: impl Future<Output = R>) -> R {
    match tokio::time::timeout(Duration::from_secs(20), wait).await {
        Ok(result) => result,
        Err(_) => panic!("{what}: not within twenty seconds"),
    }
}

/// Lets every other task of this runtime go as far as it can.
pub(crate) async fn idle() {
    for _ in 0..5_000 {
        tokio::task::yield_now().await;
    }
}
