//! Questions about a flow that change nothing.

use super::{
    machine::{Flow, Now},
    shard::{Phase, ShardState},
    slots::State,
};
use crate::Shard;
use std::time::Duration;

/// How much longer than its handlers a drain may take to store what they did, when the broker is just busy.
const STORING: Duration = Duration::from_secs(2);

impl Flow {
    /// Whether a commit of this shard that failed for a passing reason is worth another try: not once the shard is
    /// gone, or its grace has run out, or the drain's long ago.
    pub fn may_retry(&self, shard: Shard, now: Now) -> bool {
        let in_time = self.draining.is_none_or(|deadline| now.mono < deadline + STORING);
        let phase = self.live().find(|s| s.shard == shard).map(|s| s.phase);
        in_time
            && match phase {
                Some(Phase::Owned) => true,
                Some(Phase::Leaving(until)) => now.mono < until,
                _ => false,
            }
    }
    /// After how many marks somebody must look at them, because they could let something run, make room that is waited
    /// for, or end a wait; `u32::MAX`: only those of slots that others wait behind; 0: none. Unless readers are `idle`,
    /// one of them comes back by itself, and only what leaves is waited for.
    pub fn awaited_marks(&self, idle: bool) -> u32 {
        if self.slab.used() == 0 {
            return 0;
        }
        let gated = (idle && self.gated).then_some(1);
        let room = (idle && self.is_starved()).then(|| self.marks_to_room());
        let lanes = (idle && !self.lanes.is_empty()).then_some(u32::MAX);
        let leaves = |s: &&ShardState| self.draining.is_some() || matches!(s.phase, Phase::Leaving(_));
        let leaving = self
            .live()
            .filter(leaves)
            .filter(|s| s.out > 0)
            .map(|s| s.out as u32);
        let resumed = if idle { self.marks_to_resume() } else { None };
        let least = [gated, room, lanes, resumed]
            .into_iter()
            .flatten()
            .chain(leaving)
            .min();
        least.unwrap_or(0)
    }
    /// How many acks make room that is worth a fetch: exact in messages, half of the expected number in bytes, so that
    /// it is approached in a few steps.
    fn marks_to_room(&self) -> u32 {
        let (settings, held) = (&self.settings, self.in_flight());
        let lacking =
            |limit: usize, used: usize| limit.div_ceil(4).saturating_sub(limit.saturating_sub(used));
        let messages = lacking(settings.in_flight, held);
        let bytes = lacking(settings.in_flight_bytes, self.bytes());
        let half_of_them = (bytes / (self.bytes() / held.max(1)).max(1)).div_ceil(2);
        // Held back by what is not stored, it waits for a commit, which goes out at half of the limit.
        let unstored = match lacking(settings.unstored, self.unstored() + held) {
            0 => 0,
            _ => settings.unstored.div_ceil(2).saturating_sub(self.unstored()),
        };
        let most = messages.max(half_of_them).max(unstored);
        u32::try_from(most).unwrap_or(u32::MAX).max(1)
    }
    /// Whether a delivery of this shard that is dropped now is returned, because it leaves.
    pub(crate) fn leaves(&self, shard: Shard) -> bool {
        self.draining.is_some()
            || self
                .live()
                .find(|s| s.shard == shard)
                .is_none_or(|s| s.phase != Phase::Owned)
    }
    /// Whether what was settled of it in this epoch can have been stored.
    pub(crate) fn holds(&self, shard: Shard) -> bool {
        self.live().any(|s| s.shard == shard && s.phase != Phase::Fenced)
    }
    /// Whether this delivery is still out and its shard was taken. The stamp tells it from a later use of its slot.
    pub fn is_void(&self, slot: u32, stamp: u64) -> bool {
        let slot = &self.slab[slot];
        slot.state == State::Void && slot.stamp == stamp
    }
}
