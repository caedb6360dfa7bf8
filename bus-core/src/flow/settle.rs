//! Settling: what acks, nacks and rejections do to slots, lanes and ledgers.

use super::{
    divert,
    machine::{Flow, Now},
    shard::Diverted,
    slots::{NIL, State, Verdict},
};
use crate::{Message, Name, Record, Shard};
use std::time::Duration;

/// A wait that is as good as for ever, and still can be added to a time.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Flow {
    /// Takes in what deliveries marked, and lets heads whose time has come run. True: something may be handed out.
    pub fn step(&mut self, now: Now) -> bool {
        let mut acked = 0;
        for word in 0..self.marks.words() {
            let mut bits = self.marks.take_acked(word);
            while bits != 0 {
                let slot = (word * 64) as u32 + bits.trailing_zeros();
                bits &= bits - 1;
                if let Some(slot) = self.back(slot) {
                    self.finish(slot, now);
                    acked += 1;
                }
            }
        }
        if acked > 0 {
            self.counters.acked.add(acked);
        }
        for (slot, verdict) in self.marks.take_verdicts() {
            if let Some(slot) = self.back(slot) {
                self.settle(slot, verdict, now);
            }
        }
        while let Some((stamp, slot)) = self.timers.due(now.mono) {
            let s = &mut self.slab[slot];
            if s.stamp == stamp && s.state == State::Timer && s.not_before.is_some_and(|t| t <= now.mono) {
                s.not_before = None;
                self.make_ready(slot, now);
            }
        }
        self.open_gates();
        self.has_ready()
    }
    /// A delivery comes back: `None` if its shard is gone and the slot only had to be freed.
    fn back(&mut self, slot: u32) -> Option<u32> {
        let s = &self.slab[slot];
        match s.state {
            State::Out => {
                if let Some(state) = &mut self.shards[s.shard as usize] {
                    state.out -= 1;
                }
                Some(slot)
            }
            State::Void => {
                self.bytes -= s.bytes;
                self.counters.late.add(1);
                self.marks.set_lost(slot, false);
                self.slab.free(slot);
                None
            }
            _ => None,
        }
    }
    fn settle(&mut self, slot: u32, verdict: Verdict, now: Now) {
        let leaving = self.draining.is_some()
            || self.shards[self.slab[slot].shard as usize]
                .as_ref()
                .is_none_or(|s| s.in_doubt());
        match &verdict {
            Verdict::AckWith(_) => self.counters.acked.add(1),
            Verdict::Dropped if leaving => self.counters.returned.add(1),
            Verdict::Returned => self.counters.returned.add(1),
            _ => {}
        }
        match verdict {
            Verdict::AckWith(outputs) if outputs.is_empty() => self.finish(slot, now),
            Verdict::AckWith(outputs) => self.divert(slot, outputs, now),
            Verdict::Reject { reason, error } => self.dead_letter(slot, reason, &error, now),
            Verdict::Dropped if leaving => self.make_ready(slot, now),
            Verdict::Returned => self.make_ready(slot, now),
            Verdict::Unready => self.slab[slot].state = State::Unready,
            Verdict::Dropped => self.nack(slot, None, "dropped without a verdict", now),
            Verdict::Nack { after, error } => self.nack(slot, after, error.as_deref().unwrap_or("nack"), now),
        }
    }
    /// What a record waited for is there, or is to be asked for again. [`Self::step`] first: its verdict must be known.
    pub fn is_ready(&mut self, (slot, stamp): (u32, u64), now: Now) {
        let s = &self.slab[slot];
        if s.state == State::Unready && s.stamp == stamp {
            self.make_ready(slot, now);
        }
    }
    /// What a record waited for will not come: it is given up where its shard stores, and which it was. [`Self::step`] first.
    pub fn refuse(&mut self, (slot, stamp): (u32, u64), why: &str, now: Now) -> Option<(Shard, u128, u32)> {
        let s = &self.slab[slot];
        if s.state != State::Unready || s.stamp != stamp {
            return None;
        }
        let state = self.shards[s.shard as usize].as_ref()?;
        if !state.commits() {
            // In doubt: whoever is asked again learns what becomes of the shard.
            self.make_ready(slot, now);
            return None;
        }
        let position = s.batch.as_ref()?.records()[s.index as usize].position;
        let refused = (state.shard, position, s.failures.saturating_add(1));
        self.dead_letter(slot, "undecodable", why, now);
        Some(refused)
    }
    fn nack(&mut self, slot: u32, after: Option<Duration>, error: &str, now: Now) {
        let s = &mut self.slab[slot];
        s.failures = s.failures.saturating_add(1);
        let failures = s.failures;
        if self
            .settings
            .retry
            .max_attempts()
            .is_some_and(|most| failures >= most)
        {
            return self.dead_letter(slot, "max-attempts", error, now);
        }
        self.counters.retried.add(1);
        let position = s
            .batch
            .as_ref()
            .map_or(0, |batch| batch.records()[s.index as usize].position);
        let wait = after.unwrap_or_else(|| self.settings.retry.wait_of(failures, position));
        s.not_before = Some(now.mono + wait.min(LONGEST));
        if let Some(state) = &mut self.shards[s.shard as usize] {
            state.failed += usize::from(failures == 1);
            self.alarm |= state.touch(now.mono);
        }
        self.make_head(slot, now);
    }
    fn dead_letter(&mut self, slot: u32, reason: &'static str, error: &str, now: Now) {
        let s = &mut self.slab[slot];
        // An undecodable or rejected record was called once more than it failed. What notes say of it until its output is
        // stored is the count before that call.
        if reason == "max-attempts" {
            s.failures -= 1;
        }
        // What expired was not called this time.
        let called = s.failures.saturating_add(u32::from(reason != "expired"));
        let (Some(state), Some(batch)) = (&self.shards[s.shard as usize], &s.batch) else {
            return;
        };
        let record = Record::new(batch.clone(), s.index);
        let (topic, partition) = (&*state.topic, state.shard.partition);
        let position = crate::position::format(record.position());
        let Some(Some(to)) = self.settings.dead_letter.get(state.shard.topic as usize) else {
            tracing::warn!(
                topic,
                partition,
                position,
                reason,
                error,
                "message skipped: there are no dead letters here"
            );
            self.counters.skipped.add(1);
            return self.finish(slot, now);
        };
        let to = to.of(reason);
        tracing::warn!(
            topic,
            partition,
            position,
            reason,
            error,
            dead_letters = &*to.topic,
            "message given up"
        );
        match reason {
            "max-attempts" => self.counters.exhausted.add(1),
            "undecodable" => self.counters.undecodable.add(1),
            "expired" => {}
            _ => self.counters.rejected.add(1),
        }
        let why = divert::Reason {
            reason,
            error,
            attempts: called,
            group: &self.settings.group,
            topic,
            partition,
            time: now.wall,
        };
        let output = divert::dead_letter(to, &record, &why, self.settings.limits.message);
        self.divert(slot, vec![output], now);
    }
    /// The record is done, and its outputs go with the commit that first covers it.
    fn divert(&mut self, slot: u32, outputs: Vec<(Name, Message)>, now: Now) {
        let s = &self.slab[slot];
        let (seq, failures) = (s.seq, s.failures);
        let bytes = outputs.iter().map(|(_, m)| m.size()).sum();
        if let Some(state) = &mut self.shards[s.shard as usize]
            && let Some(item) = state.ledger.item_mut(seq)
        {
            item.slot = NIL;
            let position = item.position;
            state.diverted.push_back(Diverted {
                seq,
                position,
                failures,
                outputs,
                bytes,
            });
            self.alarm |= state.touch(now.mono);
            self.diverted += 1;
            self.bytes += bytes;
        }
        self.leave(slot, now);
    }
    fn finish(&mut self, slot: u32, now: Now) {
        let s = &self.slab[slot];
        if let Some(state) = &mut self.shards[s.shard as usize] {
            state.ledger.settle(s.seq);
            state.unstored += 1;
            self.unstored += 1;
            self.alarm |= state.touch(now.mono);
        }
        self.leave(slot, now);
    }
    /// The slot leaves its lane, whose next becomes the head, and is free.
    fn leave(&mut self, slot: u32, now: Now) {
        let s = &self.slab[slot];
        let (lane, next, failed, bytes) = (s.lane, s.next, s.failures > 0, s.bytes);
        if let Some(state) = &mut self.shards[s.shard as usize] {
            (state.held, state.held_bytes) = (state.held - 1, state.held_bytes - bytes);
            state.failed -= usize::from(failed);
        }
        self.bytes -= bytes;
        self.slab.free(slot);
        match (lane, next) {
            (Some(lane), NIL) => self.lanes.remove(lane),
            (Some(_), next) => self.make_head(next, now),
            (None, _) => {}
        }
    }
    pub(super) fn make_head(&mut self, slot: u32, now: Now) {
        let s = &mut self.slab[slot];
        match s.not_before.filter(|at| *at > now.mono) {
            Some(at) => {
                s.state = State::Timer;
                self.alarm |= self.timers.set(at, s.stamp, slot);
            }
            None => {
                s.not_before = None;
                self.make_ready(slot, now);
            }
        }
    }
    fn make_ready(&mut self, slot: u32, now: Now) {
        let s = &mut self.slab[slot];
        (s.state, s.runnable) = (State::Ready, Some(now.mono));
        let runs = self.shards[s.shard as usize].as_ref().is_some_and(|s| s.runs());
        if runs && self.draining.is_none() {
            self.ready.push_back(slot);
        }
    }
}
