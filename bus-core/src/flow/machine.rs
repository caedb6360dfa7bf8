//! The machine: events, verdicts and the time go in; records, commits and releases come out.

use super::{
    config,
    lanes::Lanes,
    ledger::Item,
    lend::Reader,
    shard::{Phase, ShardState},
    slots::{Marks, NIL, Slab, State},
    timers::Timers,
};
use crate::{Done, Error, Record, Result, Room, Shard};
use std::{collections::VecDeque, sync::Arc, time::Instant};

/// The time, as the caller sees it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For waits and deadlines.
    pub mono: Instant,
    /// Milliseconds since 1970 UTC: what may leave the process.
    pub wall: i64,
}

/// A record that may run now.
#[derive(Debug)]
pub struct Handout {
    /// The slot to settle.
    pub slot: u32,
    /// The record.
    pub record: Record,
    /// Counted from 1.
    pub attempt: u32,
    /// A failure now is the last one.
    pub is_last: bool,
    /// Where it is from.
    pub shard: Shard,
}

/// What the pump has to do for the flow.
#[derive(Debug, Default)]
pub struct Work {
    /// To commit, in one call; answer with [`Flow::committed`] for each.
    pub commits: Vec<Done>,
    /// To release: their last commit is stored.
    pub release: Vec<Shard>,
    /// To pause or resume.
    pub pause: Vec<(Shard, bool)>,
}

/// The flow of one subscription.
#[derive(Debug)]
pub struct Flow {
    pub(super) settings: config::Flow,
    pub(super) marks: Arc<Marks>,
    pub(super) slab: Slab,
    pub(super) bytes: usize,
    pub(super) shards: Vec<Option<ShardState>>,
    pub(super) lanes: Lanes,
    pub(super) ready: VecDeque<u32>,
    pub(super) timers: Timers,
    pub(super) readers: Vec<Reader>,
    /// Settled and not confirmed as stored.
    pub(super) unstored: usize,
    /// Settled with outputs that no `Done` has carried yet.
    pub(super) diverted: usize,
    pub(super) draining: Option<Instant>,
    pub(super) failure: Option<Error>,
    /// The pump waits for room.
    starved: bool,
    /// Commits that were begun, that ended, and that somebody waits for.
    begun: u64,
    ended: u64,
    wanted: u64,
    busy: bool,
}

impl Flow {
    /// A flow that owns nothing yet.
    pub fn new(settings: config::Flow) -> Self {
        let slots = settings.in_flight.clamp(1, NIL as usize - 1);
        Self {
            marks: Arc::new(Marks::new(slots)),
            slab: Slab::new(slots),
            bytes: 0,
            shards: Vec::new(),
            lanes: Lanes::default(),
            ready: VecDeque::new(),
            timers: Timers::default(),
            readers: Vec::new(),
            unstored: 0,
            diverted: 0,
            draining: None,
            failure: None,
            starved: false,
            begun: 0,
            ended: 0,
            wanted: 0,
            busy: false,
            settings,
        }
    }
    /// The half that deliveries see.
    pub fn marks(&self) -> Arc<Marks> {
        self.marks.clone()
    }
    /// Why the subscription must end, if it must.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }
    /// How much may be received. Small change is not worth a fetch: below a quarter of the window it is nothing, and
    /// [`Self::wants_pump`] says when it is worth it again.
    pub fn room(&mut self) -> Room {
        let messages = self
            .settings
            .in_flight
            .saturating_sub(self.slab.used() + self.diverted);
        let bytes = self.settings.in_flight_bytes.saturating_sub(self.bytes);
        let worth = messages >= self.settings.in_flight.div_ceil(4)
            && (bytes >= self.settings.in_flight_bytes.div_ceil(4) || self.slab.used() == 0)
            && self.unstored < self.settings.unstored
            && self.draining.is_none();
        self.starved = !worth && self.draining.is_none();
        if worth {
            Room {
                messages,
                bytes: bytes.max(1),
            }
        } else {
            Room {
                messages: 0,
                bytes: 0,
            }
        }
    }
    /// Whether a step of a reader made work for the pump.
    pub fn wants_pump(&mut self) -> bool {
        let starved = self.starved && self.room().messages > 0;
        let half = !self.busy
            && (self.unstored >= self.settings.unstored.div_ceil(2)
                || self.diverted >= self.settings.in_flight.div_ceil(2));
        starved || half || self.failure.is_some() || self.is_leaving()
    }
    /// Whether something waits for handlers to finish: draining, a flush, a shard that leaves.
    pub fn is_leaving(&self) -> bool {
        self.draining.is_some()
            || self.wanted > self.ended
            || self.live().any(|s| matches!(s.phase, Phase::Leaving(_)))
    }
    /// Takes nothing in and hands nothing out any more; handlers may go on until `deadline`.
    pub fn drain(&mut self, deadline: Instant) {
        self.draining = Some(deadline);
        self.recall();
        self.ready.clear();
    }
    /// Whether every handler has finished, or the deadline of the drain has passed, and everything settled is stored.
    pub fn is_drained(&self, now: Now) -> bool {
        let late = self.draining.is_some_and(|deadline| now.mono >= deadline);
        (late || self.live().all(|s| s.out == 0)) && self.is_stored()
    }
    /// Makes a commit due now: what is settled before this is stored when [`Self::is_flushed`] says so of the number.
    pub fn flush(&mut self) -> u64 {
        if !self.is_stored() {
            self.wanted = self.begun + 1;
        }
        self.wanted
    }
    /// Whether the commit that [`Self::flush`] asked for has ended.
    pub fn is_flushed(&self, ticket: u64) -> bool {
        self.ended >= ticket || self.is_stored()
    }
    /// Whether nothing settled waits to be stored.
    pub fn is_stored(&self) -> bool {
        !self.busy && self.live().all(|s| !s.dirty || s.phase == Phase::Fenced)
    }
    /// Ends a drain: deliveries that are still out are void.
    pub fn end_drain(&mut self) {
        for shard in self.live().map(|s| s.shard).collect::<Vec<_>>() {
            self.void_deliveries(shard);
        }
    }
    /// Every shard that is still ours.
    pub fn owned(&self) -> Vec<Shard> {
        self.live()
            .filter(|s| s.phase != Phase::Fenced)
            .map(|s| s.shard)
            .collect()
    }
    /// In flight: delivered or waiting, and not settled.
    pub fn in_flight(&self) -> usize {
        self.slab.used() + self.diverted
    }
    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }
    pub(super) fn live(&self) -> impl Iterator<Item = &ShardState> {
        self.shards.iter().flatten()
    }

    /// What there is to do. `commits` is empty while a commit is under way.
    pub fn work(&mut self, now: Now) -> Work {
        let mut work = Work::default();
        if !self.busy && self.is_commit_due(now) {
            let mut outputs = 0;
            let limits = self.settings.limits;
            for state in self.shards.iter_mut().flatten() {
                if state.dirty && matches!(state.phase, Phase::Owned | Phase::Leaving(_)) {
                    let before = state.diverted.len();
                    let bytes: usize = state.diverted.iter().map(|d| d.bytes).sum();
                    work.commits
                        .push(state.done(&self.slab, now, &limits, &mut outputs));
                    let carried = before - state.diverted.len();
                    self.diverted -= carried;
                    self.unstored += carried;
                    self.bytes -= bytes - state.diverted.iter().map(|d| d.bytes).sum::<usize>();
                }
            }
            self.busy = !work.commits.is_empty();
            self.begun += u64::from(self.busy);
        }
        self.release(now, &mut work);
        self.pause(&mut work);
        work
    }
    fn is_commit_due(&self, now: Now) -> bool {
        let settings = &self.settings;
        let half =
            self.unstored >= settings.unstored.div_ceil(2) || self.diverted >= settings.in_flight.div_ceil(2);
        self.live().filter(|s| s.dirty).any(|s| match s.phase {
            Phase::Owned => {
                let aged = s
                    .since
                    .is_some_and(|since| now.mono >= since + settings.commit_every);
                half || aged || self.wanted > self.begun || (self.draining.is_some() && s.out == 0)
            }
            Phase::Leaving(until) => s.out == 0 || now.mono >= until || half,
            Phase::Released | Phase::Fenced => false,
        })
    }
    fn release(&mut self, now: Now, work: &mut Work) {
        for state in self.shards.iter_mut().flatten() {
            let Phase::Leaving(until) = state.phase else {
                continue;
            };
            let finished = state.out == 0 || now.mono >= until;
            // Past the grace an owner that cannot store is still asked to let go: the next one redelivers.
            let stored = !state.dirty && state.committing.is_none();
            if finished && stored {
                state.phase = Phase::Released;
                work.release.push(state.shard);
            }
        }
        for shard in &work.release {
            self.void_deliveries(*shard);
        }
    }
    fn pause(&mut self, work: &mut Work) {
        let many = self.live().count() > 1;
        let window = self.settings.in_flight;
        for state in self
            .shards
            .iter_mut()
            .flatten()
            .filter(|s| s.phase == Phase::Owned)
        {
            let near = state.is_near_bound(&self.settings);
            // One partition whose keys are stuck must not take the window from its neighbours.
            let share = if state.paused {
                window.div_ceil(4)
            } else {
                window.div_ceil(2)
            };
            let greedy = many && window >= 8 && state.held >= share;
            if (near || greedy) == state.paused {
                continue;
            }
            state.paused = near || greedy;
            work.pause.push((state.shard, state.paused));
            if let (true, Some(Item { position, slot, .. })) = (near, state.ledger.blocking()) {
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
    /// The answer to one of [`Work::commits`].
    pub fn committed(&mut self, shard: Shard, result: Result<()>) {
        let others = self.live().any(|s| s.committing.is_some() && s.shard != shard);
        self.busy = others;
        if !others {
            self.ended = self.begun;
        }
        let Some(index) = self.index(shard) else { return };
        let Some(state) = &mut self.shards[index] else {
            return;
        };
        let Some(count) = state.committing.take() else {
            return;
        };
        self.unstored -= count;
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == crate::ErrorKind::Fenced => {
                let (topic, partition) = (&*state.topic, shard.partition);
                tracing::info!(
                    topic,
                    partition,
                    "commit refused: another member owns the partition"
                );
                state.phase = Phase::Fenced;
                self.stop(shard);
            }
            // The caller tries a transient failure again for as long as there is time; there was none left.
            Err(error)
                if error.is_transient() && (self.draining.is_some() || state.phase != Phase::Owned) =>
            {
                let (topic, partition) = (&*state.topic, shard.partition);
                tracing::warn!(topic, partition, %error, "given up without a last commit: its messages come again");
                (state.dirty, state.since) = (false, None);
                state.diverted.clear();
            }
            Err(error) => {
                state.dirty = true;
                let context = format!("commit to {}[{}] failed", state.topic, shard.partition);
                self.failure.get_or_insert(error.context(context));
            }
        }
    }
    /// When [`Self::step`] or [`Self::work`] would do something by the time alone.
    pub fn deadline(&self) -> Option<Instant> {
        let commit = |s: &ShardState| {
            s.since
                .filter(|_| !self.busy)
                .map(|since| since + self.settings.commit_every)
        };
        let leaving = |s: &ShardState| match s.phase {
            Phase::Leaving(until) => Some(until),
            _ => None,
        };
        let live = |s: &&ShardState| !matches!(s.phase, Phase::Released | Phase::Fenced);
        let shards = self.live().filter(live).flat_map(|s| [commit(s), leaving(s)]);
        shards
            .chain([self.timers.earliest(), self.draining])
            .flatten()
            .min()
    }
    pub(super) fn index(&self, shard: Shard) -> Option<usize> {
        self.shards
            .iter()
            .position(|s| s.as_ref().is_some_and(|s| s.shard == shard))
    }
}

impl Slab {
    pub(super) fn record(&self, slot: u32) -> Option<Record> {
        if slot == NIL {
            return None;
        }
        let s = &self[slot];
        let batch = s.batch.clone().filter(|_| s.state != State::Free)?;
        Some(Record::new(batch, s.index))
    }
}
