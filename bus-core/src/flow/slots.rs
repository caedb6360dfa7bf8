//! What is in flight: a slab of slots, and beside it the bits by which a delivery marks its own.
//!
//! A slot is freed because of its own delivery and nobody else, also after its shard was lost, so there is no
//! generation to compare: an ack is one `fetch_or` and one load.

use crate::{
    Batch, Message, Name, mutant,
    sync::{AtomicU32, AtomicU64, Mutex},
};
use std::{
    sync::{
        Arc,
        atomic::Ordering::{AcqRel, SeqCst},
    },
    time::{Duration, Instant},
};

/// What became of a delivery. An ack without outputs is a bit instead, because it is the hot path.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Done; these messages belong to it.
    AckWith(Vec<(Name, Message)>),
    /// Try again after this, or after the retry policy's wait.
    Nack {
        /// `None`: the retry policy's wait.
        after: Option<Duration>,
        /// What went wrong: it stands in the dead letter when this was the last attempt.
        error: Option<String>,
    },
    /// To the dead letters now.
    Reject {
        /// A word: `rejected`, `undecodable`, `expired`, or one of the application's.
        reason: &'static str,
        /// What went wrong.
        error: String,
    },
    /// Dropped without a word: a nack, but while its shard leaves it is returned with the same attempt count.
    Dropped,
    /// Nobody tried it: it comes again with the same attempt count, when its shard hands out.
    Returned,
    /// It cannot be decoded yet: it waits, with the same attempt count, until [`Flow::is_ready`](super::Flow::is_ready).
    Unready,
}

/// The half of the slab that deliveries see.
#[derive(Debug)]
pub struct Marks {
    acked: Box<[AtomicU64]>,
    lost: Box<[AtomicU64]>,
    /// Whether another of its lane waits behind a slot.
    followed: Box<[AtomicU64]>,
    verdicts: Mutex<Vec<(u32, Verdict)>>,
    /// After how many more marks somebody must be woken; 0: nobody waits.
    parked: AtomicU32,
}

impl Marks {
    /// Marks for so many slots.
    pub fn new(slots: usize) -> Self {
        let words = || (0..slots.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self {
            acked: words(),
            lost: words(),
            followed: words(),
            verdicts: Mutex::default(),
            parked: AtomicU32::new(0),
        }
    }
    /// Marks a slot as acknowledged; true: somebody waits for it and must be woken.
    // Sequentially consistent, because the waiter first parks and then looks at the bits, and we do the reverse.
    pub fn ack(&self, slot: u32) -> bool {
        let order = if mutant("ack-unordered") { AcqRel } else { SeqCst };
        self.acked[slot as usize / 64].fetch_or(1 << (slot % 64), order);
        self.parked.load(SeqCst) != 0 && self.ends_wait(slot)
    }
    /// Leaves a verdict for a slot; true as in [`Self::ack`].
    pub fn settle(&self, slot: u32, verdict: Verdict) -> bool {
        self.verdicts.lock().push((slot, verdict));
        self.parked.load(SeqCst) != 0 && self.ends_wait(slot)
    }
    /// Only one of many that mark ends a wait: whoever is woken parks again.
    #[cold]
    fn ends_wait(&self, slot: u32) -> bool {
        if self.followed[slot as usize / 64].load(SeqCst) & (1 << (slot % 64)) != 0 {
            return self.parked.swap(0, SeqCst) != 0;
        }
        let less = |parked: u32| parked.checked_sub(1);
        self.parked.fetch_update(SeqCst, SeqCst, less) == Ok(1)
    }
    pub(super) fn set_followed(&self, slot: u32, followed: bool) {
        let bit = 1 << (slot % 64);
        let word = &self.followed[slot as usize / 64];
        if followed {
            word.fetch_or(bit, SeqCst);
        } else if word.load(SeqCst) & bit != 0 {
            word.fetch_and(!bit, SeqCst);
        }
    }
    /// Whether the slot's shard was taken away.
    pub fn is_lost(&self, slot: u32) -> bool {
        self.lost[slot as usize / 64].load(SeqCst) & (1 << (slot % 64)) != 0
    }
    pub(super) fn set_lost(&self, slot: u32, lost: bool) {
        let bit = 1 << (slot % 64);
        let word = &self.lost[slot as usize / 64];
        if lost {
            word.fetch_or(bit, SeqCst)
        } else {
            word.fetch_and(!bit, SeqCst)
        };
    }
    /// Asks to be woken by so many marks, or by the first of a slot that another waits behind; 0: not at all. Look at
    /// [`Self::any`] afterwards: what was marked before does not count.
    pub fn park(&self, marks: u32) {
        if self.parked.load(SeqCst) != marks {
            self.parked.store(marks, SeqCst);
        }
    }
    /// Whether something was marked and not yet taken.
    pub fn any(&self) -> bool {
        self.acked.iter().any(|w| w.load(SeqCst) != 0) || !self.verdicts.lock().is_empty()
    }
    pub(super) fn take_acked(&self, word: usize) -> u64 {
        // A load first: most words are empty, and a swap would take the line from whoever marks.
        if self.acked[word].load(SeqCst) == 0 {
            0
        } else {
            self.acked[word].swap(0, SeqCst)
        }
    }
    pub(super) fn words(&self) -> usize {
        self.acked.len()
    }
    pub(super) fn take_verdicts(&self) -> Vec<(u32, Verdict)> {
        std::mem::take(&mut self.verdicts.lock())
    }
}

/// No slot.
pub(super) const NIL: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// In nobody's hands.
    Free,
    /// Behind another of its lane.
    Waiting,
    /// May be handed out.
    Ready,
    /// A head that waits for its time.
    Timer,
    /// A head that waits for what its codec needs.
    Unready,
    /// Handed out.
    Out,
    /// Handed out, and its shard is gone: freed by its delivery, touches nothing.
    Void,
}

#[derive(Debug)]
pub(super) struct Slot {
    /// Tells this use of the slot from the next, for timers that were left behind.
    pub(super) stamp: u64,
    pub(super) shard: u32,
    pub(super) seq: u64,
    pub(super) batch: Option<Arc<Batch>>,
    pub(super) index: u32,
    pub(super) lane: Option<u64>,
    pub(super) next: u32,
    pub(super) state: State,
    pub(super) failures: u32,
    pub(super) not_before: Option<Instant>,
    /// Since when it may run.
    pub(super) runnable: Option<Instant>,
    pub(super) bytes: usize,
}

/// The half of the slab that the flow sees.
#[derive(Debug)]
pub(super) struct Slab {
    slots: Vec<Slot>,
    free: Vec<u32>,
    stamp: u64,
}

impl Slab {
    pub(super) fn new(slots: usize) -> Self {
        let empty = |_| Slot {
            stamp: 0,
            shard: 0,
            seq: 0,
            batch: None,
            index: 0,
            lane: None,
            next: NIL,
            state: State::Free,
            failures: 0,
            not_before: None,
            runnable: None,
            bytes: 0,
        };
        Self {
            slots: (0..slots).map(empty).collect(),
            free: (0..slots as u32).rev().collect(),
            stamp: 0,
        }
    }
    pub(super) fn take(&mut self) -> Option<u32> {
        let slot = self.free.pop()?;
        self.stamp += 1;
        let s = &mut self.slots[slot as usize];
        (s.stamp, s.next, s.failures, s.not_before, s.lane) = (self.stamp, NIL, 0, None, None);
        Some(slot)
    }
    pub(super) fn free(&mut self, slot: u32) {
        let s = &mut self.slots[slot as usize];
        debug_assert_ne!(s.state, State::Free, "a slot is freed once");
        (s.state, s.batch) = (State::Free, None);
        self.free.push(slot);
    }
    pub(super) fn used(&self) -> usize {
        self.slots.len() - self.free.len()
    }
    pub(super) fn of_shard(&self, shard: u32) -> impl Iterator<Item = u32> + '_ {
        let live = move |s: &Slot| s.shard == shard && !matches!(s.state, State::Free | State::Void);
        self.slots
            .iter()
            .enumerate()
            .filter(move |(_, s)| live(s))
            .map(|(i, _)| i as u32)
    }
}

impl std::ops::Index<u32> for Slab {
    type Output = Slot;
    fn index(&self, slot: u32) -> &Slot {
        &self.slots[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for Slab {
    fn index_mut(&mut self, slot: u32) -> &mut Slot {
        &mut self.slots[slot as usize]
    }
}

#[cfg(all(test, loom))]
#[path = "slots_loom.rs"]
mod loom;
#[cfg(all(test, not(loom)))]
#[path = "slots_model.rs"]
mod model;
