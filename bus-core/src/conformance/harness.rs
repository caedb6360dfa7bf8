//! What the suite needs to know about a backend and its server.

use crate::{Backend, Message, Result};
use async_trait::async_trait;
use std::{fmt::Debug, sync::Arc, time::Duration};

/// A backend under test, and the server it talks to.
#[async_trait]
pub trait Harness: Debug + Send + Sync + 'static {
    /// The backend's name in reports, such as `kafka`.
    fn name(&self) -> &str;
    /// The server in reports, such as its address.
    fn server(&self) -> &str;
    /// A fresh handle to the same server, as another process would have: it shares nothing with those before it but
    /// what is stored there.
    async fn backend(&self) -> Result<Arc<dyn Backend>>;
    /// How long a member that crashed keeps its partitions, at most: its session, or lease.
    fn session(&self) -> Duration;
    /// How long anything else may take to happen, at most: a delivery, a member that joins, a partition that moves.
    fn patience(&self) -> Duration;
    /// Writes one record into the topic the way a program that knows nothing of the bus does, and says how it has to
    /// arrive: key, payload and headers.
    async fn foreign(&self, topic: &str) -> Result<Message>;
}
