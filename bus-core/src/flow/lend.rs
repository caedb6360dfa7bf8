//! Handing out. A reader gets a handful of records under one lock and claims them one by one without it; what it has
//! not claimed can be recalled, so that a slow reader never holds up a handover.

use super::{
    machine::{Flow, Handout},
    slots::State,
};
use crate::{Record, mutant, sync::AtomicU32};
use std::sync::{
    Arc,
    atomic::Ordering::{AcqRel, Acquire, Release},
};

/// Above every index: what a recalled loan is set to.
const RECALLED: u32 = 1 << 31;

/// How many of a reader's loan are claimed, shared between the reader and the flow.
#[derive(Debug)]
pub struct Claims(AtomicU32);

impl Claims {
    /// Claims the next of a loan of `lent`; `None`: all claimed, or recalled.
    pub fn claim(&self, lent: usize) -> Option<usize> {
        let next = self.0.fetch_add(1, AcqRel);
        ((next as usize) < lent).then_some(next as usize)
    }
}

#[derive(Debug)]
pub(super) struct Reader {
    claims: Arc<Claims>,
    slots: Vec<u32>,
}

impl Flow {
    /// Adds a reader: its number for [`Self::lend`], and its claims.
    pub fn add_reader(&mut self) -> (usize, Arc<Claims>) {
        let claims = Arc::new(Claims(AtomicU32::new(RECALLED)));
        let reader = Reader {
            claims: claims.clone(),
            slots: Vec::new(),
        };
        match self.free_readers.pop() {
            Some(number) => {
                self.readers[number] = reader;
                (number, claims)
            }
            None => {
                self.readers.push(reader);
                (self.readers.len() - 1, claims)
            }
        }
    }
    /// Takes back what a reader has not claimed, and its number.
    pub fn remove_reader(&mut self, number: usize) {
        self.recall();
        self.free_readers.push(number);
    }
    /// Lends up to `most` records to a reader that has claimed, or lost, all of its last loan.
    pub fn lend(&mut self, reader: usize, most: usize, out: &mut Vec<Handout>) {
        debug_assert!(out.is_empty());
        let mut slots = std::mem::take(&mut self.readers[reader].slots);
        // It comes back only when all of them are claimed, or were recalled.
        self.counters.delivered.add(slots.len());
        slots.clear();
        while out.len() < most
            && let Some(slot) = self.ready.pop_front()
        {
            let s = &mut self.slab[slot];
            let (Some(state), Some(batch)) = (&mut self.shards[s.shard as usize], &s.batch) else {
                continue;
            };
            let position = batch.records()[s.index as usize].position;
            if s.seq != state.ledger.front() && !state.fits(position, 1, self.settings.limits.notes) {
                (state.gated, self.gated) = (true, true);
                continue;
            }
            state.reach = state.reach.max(position);
            s.state = State::Out;
            state.out += 1;
            slots.push(slot);
            let is_last = self
                .settings
                .retry
                .max_attempts()
                .is_some_and(|most| s.failures.saturating_add(1) >= most);
            let record = Record::new(batch.clone(), s.index);
            out.push(Handout {
                slot,
                record,
                attempt: s.failures.saturating_add(1),
                is_last,
                shard: state.shard,
                stamp: s.stamp,
            });
        }
        let reader = &mut self.readers[reader];
        reader.slots = slots;
        reader.claims.0.store(0, Release);
    }
    /// Whether a reader holds records that it has not claimed: it comes back by itself.
    pub fn has_lent(&self) -> bool {
        let unclaimed = |r: &Reader| (r.claims.0.load(Acquire) as usize) < r.slots.len();
        self.readers.iter().any(unclaimed)
    }
    /// Whether something may be handed out.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }
    /// Takes back what readers have not claimed, to the front of the queue and in its order.
    pub fn recall(&mut self) {
        let mut unclaimed = Vec::new();
        for reader in &mut self.readers {
            let claimed = match mutant("recall-looks-only") {
                true => reader.claims.0.load(Acquire),
                false => reader.claims.0.swap(RECALLED, AcqRel),
            } as usize;
            self.counters.delivered.add(claimed.min(reader.slots.len()));
            unclaimed.extend(std::mem::take(&mut reader.slots).into_iter().skip(claimed));
        }
        unclaimed.sort_unstable_by_key(|slot| std::cmp::Reverse(self.slab[*slot].stamp));
        for slot in unclaimed {
            let s = &mut self.slab[slot];
            if s.state != State::Out {
                continue;
            }
            s.state = State::Ready;
            let Some(state) = &mut self.shards[s.shard as usize] else {
                continue;
            };
            state.out -= 1;
            if state.runs() && self.draining.is_none() {
                self.ready.push_front(slot);
            }
        }
    }
}

#[cfg(all(test, loom))]
#[path = "lend_loom.rs"]
mod loom;
