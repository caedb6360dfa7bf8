//! Work on messages that were acknowledged before it.

use crate::{Failed, stats::Counters};
use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};

/// Work that no broker knows of, because its message is acknowledged already; until it is dropped it counts in
/// [`Stats::working`](crate::Stats::working). Whoever waits until all is done looks there:
/// [`Delivery::working`](crate::Delivery::working).
#[derive(Debug)]
#[must_use = "it counts until it is dropped"]
pub struct Working {
    counters: Arc<Counters>,
    message: Failed,
}

impl Working {
    pub(crate) fn new(counters: Arc<Counters>, message: Failed) -> Self {
        counters.working.fetch_add(1, Relaxed);
        Self { counters, message }
    }
    /// Says what it failed with, for [`Control::take_failures`](crate::Control::take_failures); nothing is tried again.
    pub fn fail(&self, error: impl fmt::Display) {
        let error = error.to_string();
        self.counters.failures.push(Failed {
            error,
            ..self.message.clone()
        });
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.counters.working.fetch_sub(1, Relaxed);
    }
}
