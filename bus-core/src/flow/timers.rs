//! Heads that wait for their time.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

/// Timers of slots; one that was left behind by a freed slot is told by its stamp.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, u64, u32)>>);

impl Timers {
    pub(super) fn set(&mut self, at: Instant, stamp: u64, slot: u32) {
        self.0.push(Reverse((at, stamp, slot)));
    }
    /// The next slot whose time has come, with its stamp.
    pub(super) fn due(&mut self, now: Instant) -> Option<(u64, u32)> {
        self.0.peek().filter(|Reverse((at, ..))| *at <= now)?;
        self.0.pop().map(|Reverse((_, stamp, slot))| (stamp, slot))
    }
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, ..))| *at)
    }
}
