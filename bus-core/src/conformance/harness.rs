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
    /// Removes what lies before this position in a partition, as retention does: by the server's own means, whoever
    /// has not read it yet.
    async fn trim(&self, topic: &str, partition: u32, before: u128) -> Result<()>;
    /// Deletes what a group stored about this topic, the way a tool does that asks nobody.
    /// # Errors
    /// `Conflict` where the server itself refuses that while the group has live members.
    async fn destroy(&self, group: &str, topic: &str) -> Result<()>;
    /// A server of the check's own, which it may harm. Waits until no other check has it; whatever it was started with
    /// is up and undisturbed then.
    async fn private(&self) -> Result<Arc<dyn Private>>;
}

/// A server that one check at a time may harm, and the way to it. [`Harness::backend`] makes handles that go this way;
/// the check before may have left topics, and nothing else.
///
/// A backend without a server, or without a way to it, has what corresponds: for one in memory a stopped server is one
/// that nothing reaches.
#[async_trait]
pub trait Private: Harness {
    /// A handle whose publishes give up after this time.
    async fn hasty(&self, publish_timeout: Duration) -> Result<Arc<dyn Backend>>;
    /// Ends the server without a warning. What it confirmed, it has when it is started again.
    async fn stop(&self) -> Result<()>;
    /// Starts the server if it is stopped; returns when it answers.
    async fn start(&self) -> Result<()>;
    /// Lets nothing through in either direction, while connections seem to live, until [`heal`](Self::heal).
    fn cut(&self);
    /// Lets everything through again.
    fn heal(&self);
    /// Resets every connection.
    fn reset(&self);
    /// The next so many publish requests are carried out, and their replies are lost with their connections.
    fn lose_replies(&self, count: usize);
    /// The next publish request loses its connection, and arrives this much later all the same, when it may have been
    /// sent again long ago.
    fn delay_request(&self, by: Duration);
    /// How many replies were lost and requests delayed so far.
    fn struck(&self) -> usize;
    /// Connections that handles have to the server now.
    fn connections(&self) -> usize;
}
