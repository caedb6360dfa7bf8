//! Collecting: records that are handed out one by one and wait for others, to be handled in one call.

use super::{
    machine::Flow,
    slots::{NIL, State},
};
use crate::Shard;
use std::time::Instant;

/// What is to become of records that are being collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collected {
    /// Somebody waits for them, or nothing can join them before they are settled: they go at once.
    Go,
    /// More may come; the oldest could run since then.
    Since(Instant),
}

/// What decides about records that are being collected, beside themselves.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Circumstances {
    /// The shards that hand out.
    running: Vec<Shard>,
    /// Nothing can join them.
    full: bool,
    draining: bool,
}

impl Flow {
    /// Whether a record that was handed out, and has not begun to run, may begin now.
    pub fn may_begin(&self, slot: u32, stamp: u64) -> bool {
        let s = &self.slab[slot];
        let here = s.state == State::Out && s.stamp == stamp;
        here && self.draining.is_none() && self.shards[s.shard as usize].as_ref().is_some_and(|s| s.runs())
    }
    /// What is to become of these, all of which may begin, when nothing else is ready. A record that waits behind one of
    /// them, in its lane, could not join them anyway; nor is anything taken in, or let through a gate, while they fill
    /// the room there is.
    pub fn collected(&self, slots: impl IntoIterator<Item = u32>) -> Collected {
        let mut since = None;
        for slot in slots {
            let s = &self.slab[slot];
            if s.next != NIL {
                return Collected::Go;
            }
            since = since.into_iter().chain(s.runnable).min();
        }
        match since.filter(|_| !self.is_starved() && !self.gated) {
            Some(since) => Collected::Since(since),
            None => Collected::Go,
        }
    }
    fn circumstances(&self) -> Circumstances {
        Circumstances {
            running: self.live().filter(|s| s.runs()).map(|s| s.shard).collect(),
            full: self.is_starved() || self.gated,
            draining: self.draining.is_some(),
        }
    }
    /// Whoever collects knows how things are now.
    pub fn is_watched(&mut self) {
        (self.circumstances, self.followed) = (self.circumstances(), false);
    }
    /// Whether the answers to [`Self::may_begin`] and [`Self::collected`] may be others than when they were given. True once
    /// for each turn, or who collects and the pump would wake each other for as long as a shard is stopped.
    pub fn has_turned(&mut self) -> bool {
        let now = self.circumstances();
        let turned = std::mem::take(&mut self.followed) || now != self.circumstances;
        self.circumstances = now;
        turned
    }
    /// Whether one of these deliveries was taken, and all of them are over: settled, or taken too. [`Self::step`] first.
    pub fn are_void(&self, places: &[(u32, u64)]) -> bool {
        let out = |(slot, stamp): &(u32, u64)| {
            let s = &self.slab[*slot];
            s.state == State::Out && s.stamp == *stamp
        };
        places.iter().any(|(slot, stamp)| self.is_void(*slot, *stamp)) && !places.iter().any(out)
    }
}
