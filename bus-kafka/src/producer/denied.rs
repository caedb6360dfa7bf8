//! Topics that may not be written to, for a moment: each refusal costs the producer, and with it the neighbours' queues.

use bus_core::Name;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// How long nothing is sent to a topic after a refusal. Rights that are given count as late at most.
const FOR: Duration = Duration::from_secs(5);

/// What one producer has heard, for those that come after it.
#[derive(Debug, Default)]
pub(crate) struct Denied {
    any: AtomicBool,
    until: Mutex<HashMap<Name, Instant>>,
}

impl Denied {
    pub(super) fn add(&self, topic: &Name) {
        let mut until = self.until.lock();
        until.insert(topic.clone(), Instant::now() + FOR);
        self.any.store(true, Ordering::Release);
    }
    pub(super) fn has(&self, topic: &Name) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let (mut until, now) = (self.until.lock(), Instant::now());
        until.retain(|_, end| *end > now);
        self.any.store(!until.is_empty(), Ordering::Release);
        until.contains_key(topic)
    }
}
