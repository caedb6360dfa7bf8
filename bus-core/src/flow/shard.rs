//! One partition during one ownership: its ledger, what a former owner noted, what is waiting to be stored.

use super::{
    config,
    ledger::Ledger,
    machine::Now,
    notes::{Attempt, Notes, bound},
    slots::Slab,
};
use crate::{Done, Message, Name, Shard};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Ours.
    Owned,
    /// Handlers may go on until then; nothing new is handed out.
    Leaving(Instant),
    /// Handed to the backend to release; `Lost` will follow.
    Released,
    /// The backend refused a commit of this epoch: `Lost` will follow.
    Fenced,
}

/// A settled record whose outputs are not stored yet: it stays unsettled in the ledger until a `Done` carries them.
#[derive(Debug)]
pub(super) struct Diverted {
    pub(super) seq: u64,
    pub(super) outputs: Vec<(Name, Message)>,
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(super) struct ShardState {
    pub(super) shard: Shard,
    pub(super) topic: Name,
    pub(super) ledger: Ledger,
    pub(super) phase: Phase,
    pub(super) suspended: bool,
    pub(super) notes: Notes,
    pub(super) diverted: VecDeque<Diverted>,
    /// Handed out and not settled.
    pub(super) out: usize,
    /// In the slab.
    pub(super) held: usize,
    /// Unsettled with failures: these go into notes.
    pub(super) failed: usize,
    /// Settled since the last commit that was begun, and what the one under way carries.
    pub(super) unstored: usize,
    pub(super) committing: Option<usize>,
    pub(super) dirty: bool,
    pub(super) since: Option<Instant>,
    pub(super) paused: bool,
}

impl ShardState {
    pub(super) fn new(shard: Shard, topic: Name, next: u128, notes: &[u8]) -> Self {
        Self {
            shard,
            topic,
            ledger: Ledger::new(next),
            phase: Phase::Owned,
            suspended: false,
            notes: Notes::decode(notes, next),
            diverted: VecDeque::new(),
            out: 0,
            held: 0,
            failed: 0,
            unstored: 0,
            committing: None,
            dirty: false,
            since: None,
            paused: false,
        }
    }
    pub(super) fn runs(&self) -> bool {
        self.phase == Phase::Owned && !self.suspended
    }
    pub(super) fn touch(&mut self, now: Instant) {
        self.dirty = true;
        self.since.get_or_insert(now);
    }
    /// What a commit says now. Diverted records are settled here, with their outputs beside them.
    pub(super) fn done(
        &mut self,
        slab: &Slab,
        now: Now,
        limits: &crate::Limits,
        outputs: &mut usize,
    ) -> Done {
        let mut carried = Vec::new();
        while let Some(diverted) = self.diverted.front() {
            if *outputs > 0 && *outputs + diverted.outputs.len() > limits.outputs {
                break;
            }
            *outputs += diverted.outputs.len();
            if let Some(diverted) = self.diverted.pop_front() {
                self.ledger.settle(diverted.seq);
                self.unstored += 1;
                carried.extend(diverted.outputs);
            }
        }
        self.committing = Some(std::mem::take(&mut self.unstored));
        (self.dirty, self.since) = (false, None);
        if !self.diverted.is_empty() {
            self.touch(now.mono);
        }
        let next = self.ledger.next();
        let notes = self.current_notes(slab, now).encode(next, limits.notes);
        Done {
            shard: self.shard,
            next,
            notes,
            outputs: carried,
        }
    }
    fn current_notes(&self, slab: &Slab, now: Now) -> Notes {
        let mut notes = Notes::default();
        if self.ledger.beyond() > 0 {
            notes.runs = self.ledger.settled_runs().collect();
        }
        if self.failed > 0 {
            let failed = |item: &super::ledger::Item| {
                let slot = (item.slot != u32::MAX).then(|| &slab[item.slot])?;
                let wait = slot
                    .not_before
                    .map_or(Duration::ZERO, |t| t.saturating_duration_since(now.mono));
                let not_before = if wait.is_zero() {
                    0
                } else {
                    now.wall as u64 + wait.as_millis() as u64 + 1
                };
                (slot.failures > 0).then_some(Attempt {
                    position: item.position,
                    failures: slot.failures,
                    not_before,
                })
            };
            notes.attempts = self.ledger.unsettled().filter_map(failed).collect();
        }
        // What a former owner noted about records that have not been read again yet still holds.
        let end = self.ledger.end();
        notes.runs.extend(
            self.notes
                .runs
                .iter()
                .filter(|(_, last)| *last >= end)
                .map(|(f, l)| (*f.max(&end), *l)),
        );
        notes
            .attempts
            .extend(self.notes.attempts.iter().filter(|a| a.position >= end));
        notes
    }
    /// Whether more intake could make the notes outgrow their limit, or the ring its own.
    pub(super) fn is_near_bound(&self, settings: &config::Flow) -> bool {
        if self.ledger.len() < 64 {
            return false;
        }
        let unsettled = self.ledger.len() - self.ledger.beyond();
        let runs = self.ledger.runs() + unsettled.min(self.ledger.len() / 2);
        let size = bound(self.ledger.next(), self.ledger.end(), runs, self.failed);
        size > settings.limits.notes / 5 * 4 || self.ledger.len() > settings.unstored
    }
}
