//! The machine: events, verdicts and the time go in; records, commits and releases come out.

use super::{
    collect::Circumstances,
    config,
    control::Control,
    lanes::Lanes,
    lend::Reader,
    shard::{Phase, ShardState},
    slots::{Marks, NIL, Slab, State},
    timers::Timers,
};
use crate::{Done, Error, Record, Room, Shard, stats::Counters};
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
    /// Tells this delivery from a later one in the same slot.
    pub stamp: u64,
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
    pub(super) free_readers: Vec<usize>,
    /// Settled and not confirmed as stored.
    pub(super) unstored: usize,
    /// It was said that reading will stop without a flush.
    pub(super) warned: bool,
    /// Settled with outputs that no `Done` has carried yet.
    pub(super) diverted: usize,
    pub(super) draining: Option<Instant>,
    /// The drain's deadline was seen to be over.
    pub(super) late: bool,
    pub(super) failure: Option<Error>,
    /// Some shard is gated.
    pub(super) gated: bool,
    /// Shards that are paused.
    pub(super) paused: usize,
    pub(super) control: Control,
    /// The pump waits for room.
    starved: bool,
    /// Something is due earlier than the pump can know.
    pub(super) alarm: bool,
    /// A record has come to wait behind one that is out.
    pub(super) followed: bool,
    /// As whoever collects knows them.
    pub(super) circumstances: Circumstances,
    /// Commits that were begun, that ended, and that somebody waits for.
    pub(super) begun: u64,
    pub(super) ended: u64,
    pub(super) wanted: u64,
    pub(super) busy: bool,
    /// The last commit left outputs behind, because there is a limit to what one carries.
    pub(super) partial: bool,
    pub(super) counters: Arc<Counters>,
}

impl Flow {
    /// A flow that owns nothing yet.
    pub fn new(mut settings: config::Flow) -> Self {
        let slots = settings.in_flight.clamp(1, NIL as usize - 1);
        settings.in_flight = slots;
        // What is in flight may all be settled before the next commit.
        settings.unstored = settings.unstored.max(slots);
        Self {
            marks: Arc::new(Marks::new(slots)),
            slab: Slab::new(slots),
            bytes: 0,
            shards: Vec::new(),
            lanes: Lanes::default(),
            ready: VecDeque::new(),
            timers: Timers::default(),
            readers: Vec::new(),
            free_readers: Vec::new(),
            unstored: 0,
            warned: false,
            diverted: 0,
            draining: None,
            late: false,
            failure: None,
            gated: false,
            paused: 0,
            control: Control::default(),
            starved: false,
            alarm: false,
            followed: false,
            circumstances: Circumstances::default(),
            begun: 0,
            ended: 0,
            wanted: 0,
            busy: false,
            partial: false,
            counters: Arc::default(),
            settings,
        }
    }
    /// The half that deliveries see.
    pub fn marks(&self) -> Arc<Marks> {
        self.marks.clone()
    }
    /// What is counted, for whoever asks without a lock.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }
    /// Why the subscription must end, if it must.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }
    /// How much may be received. Small change is not worth a fetch: below a quarter of the window it is nothing, and
    /// [`Self::wants_pump`] says when it is worth it again.
    pub fn room(&mut self) -> Room {
        let (settings, held) = (&self.settings, self.in_flight());
        let unstored = settings.unstored.saturating_sub(self.unstored + held);
        let messages = settings.in_flight.saturating_sub(held).min(unstored);
        let bytes = settings.in_flight_bytes.saturating_sub(self.bytes);
        let worth = messages >= settings.in_flight.div_ceil(4)
            && (bytes >= settings.in_flight_bytes.div_ceil(4) || held == 0)
            && self.draining.is_none();
        self.starved = !worth && self.draining.is_none();
        if worth {
            let (most, most_bytes) = settings.share.unwrap_or((usize::MAX, usize::MAX));
            Room {
                messages: messages.min(most),
                bytes: bytes.min(most_bytes).max(1),
            }
        } else {
            Room {
                messages: 0,
                bytes: 0,
            }
        }
    }
    /// Whether a step of a reader made work for the pump: room, a shard to resume, a commit, or an earlier [`Self::deadline`] than it knows.
    pub fn wants_pump(&mut self) -> bool {
        let starved = self.starved && self.room().messages > 0;
        let half = self.settings.auto_commit && !self.busy && self.is_half();
        let alarm = std::mem::take(&mut self.alarm);
        starved || half || alarm || self.failure.is_some() || self.can_resume() || self.is_leaving()
    }
    /// Whether something waits for handlers to finish: draining, a shard that leaves.
    pub fn is_leaving(&self) -> bool {
        self.draining.is_some() || self.live().any(|s| matches!(s.phase, Phase::Leaving(_)))
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
    /// [`Self::step`] first: a mark that was not taken in is not settled.
    pub fn flush(&mut self) -> u64 {
        if self.is_stored() {
            return self.ended;
        }
        self.wanted = self.begun + 1;
        self.wanted
    }
    /// It is time to store what is settled, unless that is done by hand.
    pub fn tick(&mut self) {
        if self.settings.auto_commit {
            self.flush();
        }
    }
    /// Whether the commit that [`Self::flush`] asked for has ended.
    pub fn is_flushed(&self, ticket: u64) -> bool {
        self.ended >= ticket || self.is_stored()
    }
    /// Whether nothing settled waits to be stored.
    pub fn is_stored(&self) -> bool {
        !self.busy && self.live().all(|s| !s.dirty || !s.commits())
    }
    /// Ends a drain: deliveries that are still out are void.
    pub fn end_drain(&mut self) {
        self.recall();
        self.ready.clear();
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
    /// Bytes of the same, outputs that wait for their commit included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
    /// Settled and not confirmed as stored.
    pub fn unstored(&self) -> usize {
        self.unstored
    }
    pub(super) fn live(&self) -> impl Iterator<Item = &ShardState> {
        self.shards.iter().flatten()
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
