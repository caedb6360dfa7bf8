//! Heads that wait for their time.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

/// Timers of slots; one that was left behind by a freed slot is told by its stamp.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, u64, u32)>>);

impl Timers {
    /// True: nothing is due earlier.
    pub(super) fn set(&mut self, at: Instant, stamp: u64, slot: u32) -> bool {
        let first = self.earliest().is_none_or(|earliest| at < earliest);
        self.0.push(Reverse((at, stamp, slot)));
        first
    }
    /// Drops those that were left behind: a long wait must not outlive its shard by hours.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(u64, u32) -> bool) {
        self.0.retain(|Reverse((_, stamp, slot))| keep(*stamp, *slot));
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
