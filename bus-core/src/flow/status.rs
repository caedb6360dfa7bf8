//! Questions about a flow that change nothing.

use super::{
    machine::{Flow, Now},
    shard::Phase,
};
use crate::Shard;

impl Flow {
    /// Whether a commit of this shard that failed for a passing reason is worth another try: not once the shard is
    /// gone, or its grace, or the drain's, has run out.
    pub fn may_retry(&self, shard: Shard, now: Now) -> bool {
        let in_time = self.draining.is_none_or(|deadline| now.mono < deadline);
        let phase = self.live().find(|s| s.shard == shard).map(|s| s.phase);
        in_time
            && match phase {
                Some(Phase::Owned) => true,
                Some(Phase::Leaving(until)) => now.mono < until,
                _ => false,
            }
    }
    /// Whether an ack could let something run, make room that is waited for, or end a wait: whoever parks must be
    /// woken by acks then.
    pub fn waits_for_acks(&self) -> bool {
        self.slab.used() > 0
            && (self.is_starved() || self.gated || !self.lanes.is_empty() || self.is_leaving())
    }
}
