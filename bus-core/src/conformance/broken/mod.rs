//! Backends that are broken on purpose, for the test of the suite itself.
//!
//! A [`Sabotage`] is a harness around another one whose backends have one [`Fault`]. Every check of the suite has a
//! fault under which it is seen to fail; a backend author can see the same on a backend of their own.

mod ack;
mod admin;
mod backend;
mod fault;
mod publisher;
mod shared;
mod subscriber;

pub use fault::Fault;

use super::{
    Harness, Private,
    server::{Harm, Server},
};
use crate::{Backend, Message, Result};
use async_trait::async_trait;
use backend::Broken;
use shared::Shared;
use std::{sync::Arc, time::Duration};

/// A harness whose backends have one fault.
#[derive(Debug)]
pub struct Sabotage {
    harness: Arc<dyn Harness>,
    patience: Duration,
    shared: Arc<Shared>,
}

impl Sabotage {
    /// Breaks the backends of `harness`. What is lost never comes, so a check has less patience with it.
    pub fn new(harness: Arc<dyn Harness>, fault: Fault, patience: Duration) -> Self {
        Self {
            harness,
            patience,
            shared: Arc::new(Shared::new(fault)),
        }
    }
}

#[async_trait]
impl Harness for Sabotage {
    fn name(&self) -> &str {
        self.harness.name()
    }
    fn server(&self) -> &str {
        self.harness.server()
    }
    async fn backend(&self) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Broken {
            inner: self.harness.backend().await?,
            shared: self.shared.clone(),
        }))
    }
    fn session(&self) -> Duration {
        self.harness.session()
    }
    fn patience(&self) -> Duration {
        self.patience
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
        let (wrapped, told) = (self.shared.clone(), self.shared.clone());
        Ok(Arc::new(Server {
            name: inner.name().to_owned(),
            patience: self.patience,
            wrap: Arc::new(move |inner| {
                let shared = wrapped.clone();
                Arc::new(Broken { inner, shared })
            }),
            tell: Box::new(move |harm| match harm {
                Harm::Broken => told.state.lock().harmed += 1,
                Harm::Unanswered(count) => told.state.lock().unanswered += count,
            }),
            inner,
        }))
    }
}
