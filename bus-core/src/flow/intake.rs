//! Intake: what a backend's events do to shards, slots and lanes.

use super::{
    config::{LossPolicy, Order},
    lanes::Lanes,
    machine::{Flow, Now},
    settle::LONGEST,
    shard::{Phase, ShardState},
    slots::State,
};
use crate::{Batch, Error, ErrorKind, Event, Name, Shard, mutant, position::format};
use std::{ops::Range, sync::Arc, time::Duration};

impl Flow {
    /// Takes one event in.
    pub fn input(&mut self, event: Event, now: Now) {
        match event {
            Event::Gained {
                shard,
                topic,
                next,
                notes,
            } => {
                self.lost(shard.topic, shard.partition);
                if mutant("ledger-reused") {
                    let same = |s: &&mut ShardState| {
                        (s.shard.topic, s.shard.partition) == (shard.topic, shard.partition)
                    };
                    if let Some(state) = self.shards.iter_mut().flatten().find(same) {
                        (state.shard, state.phase) = (shard, Phase::Owned);
                        return;
                    }
                }
                let mut state = ShardState::new(shard, topic, next, &notes);
                self.take_over(&mut state);
                match self.shards.iter().position(Option::is_none) {
                    Some(index) => self.shards[index] = Some(state),
                    None => self.shards.push(Some(state)),
                }
            }
            Event::Records { shard, batch, range } => self.records(shard, &batch, range, now),
            Event::Losing { shard, grace } => self.losing(shard, now.mono + grace.min(LONGEST)),
            Event::Suspended(shard) => {
                if let Some(state) = self.state(shard) {
                    state.suspended = true;
                    self.stop(shard);
                }
            }
            Event::Resumed(shard) => self.resume(shard),
            Event::Lost(shard) => {
                if self.index(shard).is_some() {
                    self.lost(shard.topic, shard.partition);
                }
            }
            Event::DataLoss { shard, from, to } => self.data_loss(shard, from, to, now),
            Event::TopicLost(topic) => {
                self.fail(Error::topic_missing(&topic).context("the topic was deleted"))
            }
            Event::PartitionsChanged { topic, partitions } => tracing::warn!(
                topic = &*topic,
                partitions,
                "partitions were added: the order of keys that moved is void until the old partitions are drained"
            ),
            Event::CaughtUp(shard) => self.caught_up(shard),
            // Whoever sought is told by the pump.
            Event::SeekFailed(_) => {}
        }
    }
    pub(super) fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }
    pub(super) fn state(&mut self, shard: Shard) -> Option<&mut ShardState> {
        let index = self.index(shard)?;
        self.shards[index].as_mut()
    }
    fn records(&mut self, shard: Shard, batch: &Arc<Batch>, range: Range<u32>, now: Now) {
        let Some(index) = self.index(shard) else { return };
        for record in range {
            let Some(state) = &mut self.shards[index] else {
                return;
            };
            if state.phase != Phase::Owned || state.deaf || self.draining.is_some() {
                return;
            }
            let entry = &batch.records()[record as usize];
            if state.bound.is_some_and(|bound| entry.position >= bound.position) {
                return state.reach_bound();
            }
            if entry.position < state.ledger.end() {
                continue;
            }
            let noted = !state.notes.runs.is_empty() && state.notes.is_settled(entry.position);
            if noted {
                state.ledger.offer_settled(entry.position);
                state.touch(now.mono);
                continue;
            }
            let Some(slot) = self.slab.take() else {
                // What comes after what was not taken in must not be either, or the position would pass it.
                state.deaf = true;
                let limit = self.settings.in_flight;
                let text =
                    format!("the backend handed out more than the {limit} messages there was room for");
                return self.fail(Error::new(ErrorKind::Other, text));
            };
            let Some(seq) = state.ledger.offer(entry.position, slot) else {
                return;
            };
            self.marks.set_followed(slot, false);
            let bytes = entry.size();
            let attempt = state.notes.attempt(entry.position).copied();
            (state.held, state.held_bytes) = (state.held + 1, state.held_bytes + bytes);
            self.bytes += bytes;
            let keyed = entry.key != crate::Span::ABSENT;
            let s = &mut self.slab[slot];
            (s.shard, s.seq, s.index, s.bytes) = (index as u32, seq, record, bytes);
            (s.batch, s.state) = (Some(batch.clone()), State::Waiting);
            if let Some(attempt) = attempt {
                s.failures = attempt.failures;
                state.failed += 1;
                let wait = attempt.not_before.saturating_sub(now.wall as u64);
                let wait = Duration::from_millis(wait).min(LONGEST);
                s.not_before = (!wait.is_zero()).then(|| now.mono + wait);
            }
            s.lane = match self.settings.order {
                Order::Key if keyed => Some(Lanes::hash(index as u32, entry.key_hash)),
                Order::Partition => Some(Lanes::hash(index as u32, 0)),
                _ => None,
            };
            match s.lane.and_then(|lane| self.lanes.push(lane, slot)) {
                Some(before) if !mutant("two-heads") => {
                    self.slab[before].next = slot;
                    self.followed |= self.slab[before].state == State::Out;
                    self.marks.set_followed(before, true);
                }
                _ => self.make_head(slot, now),
            }
        }
        if let Some(state) = &mut self.shards[index] {
            state.skip_gaps(now.mono);
            state.notes.forget(state.ledger.end());
            if state
                .bound
                .is_some_and(|bound| state.ledger.end() >= bound.position)
            {
                state.reach_bound();
            }
        }
    }
    fn losing(&mut self, shard: Shard, until: std::time::Instant) {
        let Some(state) = self.state(shard) else { return };
        if state.phase == Phase::Owned {
            state.phase = Phase::Leaving(until);
            self.stop(shard);
        }
    }
    /// Takes what is not running yet out of the readers' and the queue's hands.
    pub(super) fn stop(&mut self, shard: Shard) {
        self.recall();
        let Some(index) = self.index(shard) else { return };
        let slab = &self.slab;
        self.ready.retain(|slot| slab[*slot].shard != index as u32);
    }
    fn resume(&mut self, shard: Shard) {
        let Some(index) = self.index(shard) else { return };
        if let Some(state) = &mut self.shards[index]
            && std::mem::take(&mut state.suspended)
        {
            self.requeue(index);
        }
    }
    fn lost(&mut self, topic: u32, partition: u32) {
        let matches = |s: &ShardState| s.shard.topic == topic && s.shard.partition == partition;
        while let Some(index) = self.shards.iter().position(|s| s.as_ref().is_some_and(matches)) {
            let Some(shard) = self.shards[index].as_ref().map(|s| s.shard) else {
                return;
            };
            self.stop(shard);
            if mutant("ledger-reused") {
                return;
            }
            self.void_deliveries(shard);
            for slot in self.slab.of_shard(index as u32).collect::<Vec<_>>() {
                self.bytes -= self.slab[slot].bytes;
                self.slab.free(slot);
            }
            self.forget_diverted(index);
            if let Some(state) = self.shards[index].take() {
                self.unstored -= state.unstored + state.committing.unwrap_or(0);
            }
            let slab = &self.slab;
            self.timers
                .retain(|stamp, slot| slab[slot].stamp == stamp && slab[slot].state == State::Timer);
        }
    }
    /// Deliveries of a shard that are still out find out that it was taken, and settle nothing any more.
    pub(super) fn void_deliveries(&mut self, shard: Shard) {
        let Some(index) = self.index(shard) else { return };
        let slab = &self.slab;
        self.lanes.retain(|tail| slab[tail].shard != index as u32);
        for slot in self.slab.of_shard(index as u32).collect::<Vec<_>>() {
            if self.slab[slot].state == State::Out {
                self.slab[slot].state = State::Void;
                self.marks.set_lost(slot, true);
            }
        }
        if let Some(state) = &mut self.shards[index] {
            state.out = 0;
        }
    }
    fn data_loss(&mut self, shard: Shard, from: u128, to: u128, now: Now) {
        let policy = self.settings.on_data_loss;
        let group = self.settings.group.clone();
        let Some(state) = self.state(shard) else { return };
        if !matches!(state.phase, Phase::Owned | Phase::Leaving(_)) {
            return;
        }
        let (topic, partition): (Name, u32) = (state.topic.clone(), shard.partition);
        let range = format!("positions {} to {}", format(from), format(to));
        match policy {
            LossPolicy::GoOn => {
                tracing::warn!(
                    topic = &*topic,
                    partition,
                    group = &*group,
                    "{range} were removed before they were read"
                );
                // The event overtakes records that wait for room: those before the gap still come.
                state.gaps.push_back((from, to));
                state.skip_gaps(now.mono);
            }
            LossPolicy::Stop => {
                // Nothing from behind the gap, or a commit would jump over it and a restart would not see it.
                state.deaf = true;
                let text = format!(
                    "{range} (the last one excluded) of {topic}[{partition}] were removed before group `{group}` read them; \
                     reset the group, or subscribe with the policy to go on"
                );
                self.fail(Error::new(ErrorKind::DataLoss, text));
            }
        }
    }
}
