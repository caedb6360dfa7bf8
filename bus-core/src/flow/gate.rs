//! Bounds of a shard: what its notes could grow to decides what may be handed out, and what is in the ring decides
//! what may be taken in.
//!
//! Taking less in would not be enough: what is in the window already could be settled in the worst order, or fail all
//! at once, and notes that do not fit are notes that are lost. The oldest record is always handed out, so a shard at its
//! bound goes on, one by one.

use super::{
    config,
    ledger::Item,
    machine::{Flow, Work},
    notes::bound,
    shard::{Phase, ShardState},
    slots::{NIL, State},
};

/// Bytes of notes that one record can cost at most, as a run of two positions and as an attempt; and what all of them
/// cost together is less than that.
const DEAREST: usize = 60;
/// A closed gate opens for so many at once, because opening it looks at every slot.
const OPENING: usize = 16;

impl ShardState {
    /// Whether notes stay within `limit` whatever becomes of what is out and of `more` records up to `position`.
    pub(super) fn fits(&self, position: u128, more: usize, limit: usize) -> bool {
        let noted = self.notes.runs.len() + self.notes.attempts.len();
        if (self.ledger.len() + noted + 1) * DEAREST <= limit {
            return true;
        }
        let open = self.out + self.diverted.len() + more;
        let runs = self.ledger.runs() + self.notes.runs.len() + open;
        let attempts = self.failed + self.notes.attempts.len() + open;
        bound(self.ledger.next(), self.reach.max(position) + 1, runs, attempts) <= limit
    }
    /// How many fewer it should hold: one partition whose keys are stuck must not take the window from its neighbours.
    fn excess(&self, settings: &config::Flow, many: bool) -> usize {
        if let Some((messages, bytes)) = settings.share {
            let parts = if self.paused { 2 } else { 1 };
            let over = (self.held + 1).saturating_sub((messages / parts).max(1));
            return over.max(usize::from(self.held_bytes >= (bytes / parts).max(1)));
        }
        let window = settings.in_flight;
        let share = window.div_ceil(if self.paused { 4 } else { 2 });
        match many && window >= 8 {
            true => (self.held + 1).saturating_sub(share),
            false => 0,
        }
    }
    /// Whether it should take in no more; with a distance between pausing and going on again. What a former owner noted
    /// does not count: taking in is how it becomes less.
    fn is_full(&self, settings: &config::Flow) -> bool {
        let fifths = if self.paused { 3 } else { 4 };
        let size = bound(
            self.ledger.next(),
            self.reach + 1,
            self.ledger.runs(),
            self.failed,
        );
        size > settings.limits.notes / 5 * fifths
            || self.ledger.len() > settings.unstored / 5 * fifths + settings.unstored / 5
    }
}

impl Flow {
    /// Lets gated shards hand out what has come to fit, and at least their oldest record.
    pub(super) fn open_gates(&mut self) {
        if !std::mem::take(&mut self.gated) {
            return;
        }
        for index in 0..self.shards.len() {
            let Some(state) = &mut self.shards[index] else {
                continue;
            };
            if !state.gated {
                continue;
            }
            let more = if state.out == 0 { 1 } else { OPENING };
            if state.fits(state.ledger.end(), more, self.settings.limits.notes) {
                state.gated = false;
                self.requeue(index);
                continue;
            }
            self.gated = true;
            let oldest = state.ledger.blocking().map_or(NIL, |item| item.slot);
            let runs = state.runs() && self.draining.is_none();
            if runs
                && oldest != NIL
                && self.slab[oldest].state == State::Ready
                && !self.ready.contains(&oldest)
            {
                self.ready.push_front(oldest);
            }
        }
    }
    /// Puts everything of a shard that may run into the queue, in log order.
    pub(super) fn requeue(&mut self, index: usize) {
        let runs = self.shards[index].as_ref().is_some_and(|s| s.runs());
        if !runs || self.draining.is_some() {
            return;
        }
        let slab = &self.slab;
        self.ready.retain(|slot| slab[*slot].shard != index as u32);
        let ready = slab
            .of_shard(index as u32)
            .filter(|s| slab[*s].state == State::Ready);
        let mut slots: Vec<_> = ready.collect();
        slots.sort_unstable_by_key(|slot| slab[*slot].seq);
        self.ready.extend(slots);
    }
    /// Whether the pump is to resume a shard that it paused.
    pub(super) fn can_resume(&self) -> bool {
        let settings = &self.settings;
        let many = self.paused > 0 && self.live().count() > 1;
        let over = |s: &ShardState| !s.is_silenced() && !s.is_full(settings) && s.excess(settings, many) == 0;
        self.paused > 0
            && self
                .live()
                .any(|s| s.paused && s.phase == Phase::Owned && over(s))
    }
    /// How many marks could resume a paused shard, at least; `None`: none is paused.
    pub(super) fn marks_to_resume(&self) -> Option<u32> {
        let paused = |s: &&ShardState| s.paused && s.phase == Phase::Owned && !s.is_silenced();
        let excess = |s: &ShardState| s.excess(&self.settings, true).max(1) as u32;
        (self.paused > 0).then(|| self.live().filter(paused).map(excess).min())?
    }
    pub(super) fn pause(&mut self, work: &mut Work) {
        let many = self.live().count() > 1;
        self.paused = 0;
        for state in self.shards.iter_mut().flatten() {
            if state.phase != Phase::Owned {
                continue;
            }
            let full = state.is_full(&self.settings);
            let greedy = state.excess(&self.settings, many) > 0;
            let pause = full || greedy || state.is_silenced();
            self.paused += usize::from(pause);
            if pause == state.paused {
                continue;
            }
            state.paused = pause;
            work.pause.push((state.shard, state.paused));
            if let (true, Some(Item { position, slot, .. })) = (full, state.ledger.blocking()) {
                let key = self.slab.record(*slot).and_then(|r| r.key_bytes());
                let key = key.as_deref().map(String::from_utf8_lossy);
                tracing::warn!(
                    topic = &*state.topic,
                    partition = state.shard.partition,
                    key = key.as_deref(),
                    position = crate::position::format(*position),
                    "paused: too much is settled behind an unsettled message; settle it, or give it a shorter retry"
                );
            }
        }
    }
}
