//! What is known of the servers, without asking them.

use crate::wire::{Node, Topology};
use bus_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;

/// The last thing that went wrong with the connection to each node, until something goes right.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Vec<(Node, Error)>>);

impl Health {
    /// An answer came. Logged when it is the first one after a failure. That somebody was not let in stays true
    /// meanwhile: connections outlive a password.
    pub(crate) fn up(&self, node: &Node) {
        self.well(node, |error| *error != ErrorKind::Denied);
    }
    /// A new connection was made.
    pub(crate) fn connected(&self, node: &Node) {
        self.well(node, |_| true);
    }
    fn well(&self, node: &Node, over: impl Fn(&Error) -> bool) {
        let mut failed = self.0.lock();
        let at = failed
            .iter()
            .position(|(known, error)| known == node && over(error));
        if let Some(at) = at {
            let (_, error) = failed.swap_remove(at);
            tracing::info!(after = %error, "redis answers again");
        }
    }
    /// The connection failed. Logged once until an answer comes.
    pub(crate) fn down(&self, node: &Node, error: &Error) {
        let mut failed = self.0.lock();
        match failed.iter_mut().find(|(known, _)| known == node) {
            Some((_, last)) => *last = error.duplicate(),
            None => {
                tracing::warn!(%error, "redis connection lost, trying again");
                failed.push((node.clone(), error.duplicate()));
            }
        }
    }
    /// Whether the last calls were answered, by those who still have anything.
    pub(crate) fn get(&self, topology: &Topology) -> Result<()> {
        let mut failed = self.0.lock();
        if !failed.is_empty() {
            let nodes = topology.nodes();
            failed.retain(|(node, _)| nodes.contains(node));
        }
        failed.first().map_or(Ok(()), |(_, error)| Err(error.duplicate()))
    }
}
