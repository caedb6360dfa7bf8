//! What is known of the server, without asking it.

use bus_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;

/// The last thing that went wrong with the connection, until something goes right.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Option<Error>>);

impl Health {
    /// An answer came. Logged when it is the first one after a failure. That somebody was not let in stays true
    /// meanwhile: connections outlive a password.
    pub(crate) fn up(&self) {
        self.well(|error| *error != ErrorKind::Denied);
    }
    /// A new connection was made.
    pub(crate) fn connected(&self) {
        self.well(|_| true);
    }
    fn well(&self, over: impl Fn(&Error) -> bool) {
        if let Some(error) = self.0.lock().take_if(|error| over(error)) {
            tracing::info!(after = %error, "redis answers again");
        }
    }
    /// The connection failed. Logged once until an answer comes.
    pub(crate) fn down(&self, error: &Error) {
        let mut last = self.0.lock();
        if last.is_none() {
            tracing::warn!(%error, "redis connection lost, trying again");
        }
        *last = Some(error.duplicate());
    }
    /// Whether the last call was answered.
    pub(crate) fn get(&self) -> Result<()> {
        self.0
            .lock()
            .as_ref()
            .map_or(Ok(()), |error| Err(error.duplicate()))
    }
}
