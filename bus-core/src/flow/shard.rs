//! One partition during one ownership: its ledger, what a former owner noted, what is waiting to be stored.

use super::{
    control::Bound,
    ledger::Ledger,
    machine::Now,
    notes::{Attempt, Notes},
    slots::{NIL, Slab},
};
use crate::{Done, Message, Name, Shard, mutant};
use std::{collections::VecDeque, time::Instant};

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
    pub(super) position: u128,
    /// How often it had failed before the call that diverted it: what notes say of it until a `Done` carries it.
    pub(super) failures: u32,
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
    /// The application stopped it, or has not finished taking it over.
    pub(super) stopped: bool,
    pub(super) held_back: bool,
    /// Where its reading ends, for a replay of a range; and whether that was seen.
    pub(super) bound: Option<Bound>,
    pub(super) reached: bool,
    /// The end of what had been taken in when the backend said that the end seen at `Gained` was handed out.
    pub(super) caught_up: Option<u128>,
    pub(super) notes: Notes,
    /// What was removed and lies ahead.
    pub(super) gaps: VecDeque<(u128, u128)>,
    pub(super) diverted: VecDeque<Diverted>,
    /// Handed out and not settled.
    pub(super) out: usize,
    /// In the slab.
    pub(super) held: usize,
    pub(super) held_bytes: usize,
    /// Unsettled with failures: these go into notes.
    pub(super) failed: usize,
    /// Settled since the last commit that was begun, and what the one under way carries.
    pub(super) unstored: usize,
    pub(super) committing: Option<usize>,
    pub(super) dirty: bool,
    pub(super) since: Option<Instant>,
    pub(super) paused: bool,
    /// The grace was seen to be over.
    pub(super) late: bool,
    /// Takes nothing in any more, because what would follow is not the next of the log.
    pub(super) deaf: bool,
    /// Stores nothing any more, because a commit was given up: what it carried cannot be carried again.
    pub(super) mute: bool,
    /// Hands out its oldest record only, because notes of more could outgrow their limit.
    pub(super) gated: bool,
    /// The highest position that notes can come to mention: handed out, or noted by a former owner.
    pub(super) reach: u128,
}

impl ShardState {
    pub(super) fn new(shard: Shard, topic: Name, next: u128, notes: &[u8]) -> Self {
        let notes = Notes::decode(notes, next);
        Self {
            shard,
            topic,
            ledger: Ledger::new(next),
            phase: Phase::Owned,
            suspended: false,
            stopped: false,
            held_back: false,
            bound: None,
            reached: false,
            caught_up: None,
            reach: notes.last().unwrap_or(next),
            notes,
            gaps: VecDeque::new(),
            diverted: VecDeque::new(),
            out: 0,
            held: 0,
            held_bytes: 0,
            failed: 0,
            unstored: 0,
            committing: None,
            dirty: false,
            since: None,
            paused: false,
            late: false,
            deaf: false,
            mute: false,
            gated: false,
        }
    }
    /// Whether its records may be handed out.
    pub(super) fn runs(&self) -> bool {
        !self.in_doubt() && !self.stopped && !self.held_back
    }
    /// Whether it leaves, or may have left: what comes back unsettled was not tried.
    pub(super) fn in_doubt(&self) -> bool {
        self.phase != Phase::Owned || self.suspended || self.mute
    }
    /// Whether the backend is to hand out nothing of it, whatever room there is.
    pub(super) fn is_silenced(&self) -> bool {
        self.stopped || self.reached
    }
    /// Whether what it settles may be stored.
    pub(super) fn commits(&self) -> bool {
        !self.mute && matches!(self.phase, Phase::Owned | Phase::Leaving(_))
    }
    /// Something is to be stored; true if there was nothing before.
    pub(super) fn touch(&mut self, now: Instant) -> bool {
        self.dirty = true;
        let first = self.since.is_none();
        self.since.get_or_insert(now);
        first
    }
    /// Passes what was removed, once everything before it was taken in.
    pub(super) fn skip_gaps(&mut self, now: Instant) {
        while let Some((_, to)) = self.gaps.pop_front_if(|(from, _)| *from <= self.ledger.end()) {
            self.ledger.skip_to(to);
            self.touch(now);
        }
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
        let mut early = false;
        if mutant("dead-letter-not-awaited") {
            // Settled by this, and put out by the next.
            for diverted in self.diverted.iter_mut().filter(|d| d.failures != u32::MAX) {
                self.ledger.settle(diverted.seq);
                (diverted.failures, early) = (u32::MAX, true);
            }
        }
        while let Some(diverted) = self.diverted.front() {
            if early || *outputs > 0 && *outputs + diverted.outputs.len() > limits.outputs {
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
        let next = match mutant("commit-highest") {
            true => self.ledger.end(),
            false => self.ledger.next(),
        };
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
                let slot = (item.slot != NIL).then(|| &slab[item.slot])?;
                (slot.failures > 0).then_some(Attempt {
                    position: item.position,
                    failures: slot.failures,
                    not_before: slot
                        .not_before
                        .filter(|_| !mutant("nack-timer-lost"))
                        .map_or(0, |at| wall(at, now)),
                })
            };
            notes.attempts = self.ledger.unsettled().filter_map(failed).collect();
        }
        if !self.diverted.is_empty() {
            let failed = self.diverted.iter().filter(|d| d.failures > 0);
            notes.attempts.extend(failed.map(|d| Attempt {
                position: d.position,
                failures: d.failures,
                not_before: 0,
            }));
            notes.attempts.sort_unstable_by_key(|a| a.position);
        }
        // What a former owner noted about records that have not been read again yet still holds.
        let end = self.ledger.end();
        let unread = self.notes.runs.iter().filter(|(_, last)| *last >= end);
        notes
            .runs
            .extend(unread.map(|(first, last)| (*first.max(&end), *last)));
        let unread = self.notes.attempts.iter().filter(|a| a.position >= end);
        notes.attempts.extend(unread);
        notes
    }
}

/// A time as it may leave the process: rounded up, so that nobody is early; 0 once it has come.
fn wall(at: Instant, now: Now) -> u64 {
    let wait = at.saturating_duration_since(now.mono);
    if wait.is_zero() {
        return 0;
    }
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    // Both are cut to milliseconds, and early is never.
    (now.wall as u64).saturating_add(wait).saturating_add(2)
}
