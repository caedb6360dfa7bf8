//! What the application asks of partitions: stop, go on, read up to a position, tell when the end was reached.

use super::{
    config::DeadLetter,
    machine::Flow,
    shard::{Phase, ShardState},
};
use crate::{Name, Shard};
use std::collections::{HashMap, HashSet};

/// Which partitions are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of the subscription.
    All,
    /// One, by the number of its topic.
    One(u32, u32),
}

impl Which {
    fn covers(self, shard: Shard) -> bool {
        match self {
            Self::All => true,
            Self::One(topic, partition) => (shard.topic, shard.partition) == (topic, partition),
        }
    }
}

/// Where the reading of one partition ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The first position that is not read.
    pub position: u128,
    /// It lies at or before the end seen at the beginning: that end is the end of the reading, even if the positions
    /// before it are holes.
    pub at_end: bool,
}

/// An owned partition, as the application sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owned {
    /// Its topic.
    pub topic: Name,
    /// Its number.
    pub partition: u32,
    /// The first position that is not settled.
    pub position: u128,
    /// The application paused it.
    pub paused: bool,
    /// What was there when it was gained is settled.
    pub caught_up: bool,
}

/// What holds for partitions that come and go.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// Everything is stopped but the exceptions, or nothing but them.
    all: bool,
    exceptions: HashSet<(u32, u32)>,
    bounds: HashMap<(u32, u32), Bound>,
    /// Reading ends at the bounds.
    ends: bool,
    /// How many partitions there will be, where that is known.
    expected: Option<usize>,
}

impl ShardState {
    /// Nothing from here on belongs to the range.
    pub(super) fn reach_bound(&mut self) {
        self.reached = true;
        self.deaf = true;
    }
    fn is_caught_up(&self) -> bool {
        self.caught_up.is_some_and(|end| self.ledger.next() >= end)
    }
}

impl Flow {
    /// For an observer: this many partitions will be gained, and reading ends at these bounds, if there are any.
    pub fn expect(&mut self, partitions: usize, bounds: Option<HashMap<(u32, u32), Bound>>) {
        self.control.expected = Some(partitions);
        self.control.ends = bounds.is_some();
        self.control.bounds = bounds.unwrap_or_default();
    }
    /// Whether it was said where the dead letters of a topic go.
    pub fn knows_topic(&self, topic: u32) -> bool {
        (topic as usize) < self.settings.dead_letter.len()
    }
    /// Where the dead letters of a topic go; `None`: they are logged and skipped.
    pub fn set_dead_letter(&mut self, topic: u32, to: Option<DeadLetter>) {
        let all = &mut self.settings.dead_letter;
        let number = topic as usize;
        all.resize(all.len().max(number + 1), None);
        all[number] = to;
    }
    /// Stops handing these partitions out, also when they are gained later, or lets them go on. What is out goes on. What
    /// is said of all of them replaces what was said of single ones.
    pub fn set_stopped(&mut self, which: Which, stopped: bool) {
        self.control.set(which, stopped);
        for index in 0..self.shards.len() {
            let Some(state) = &mut self.shards[index] else {
                continue;
            };
            let (shard, was) = (state.shard, state.stopped);
            state.stopped = self.control.stops(shard);
            match (was, state.stopped) {
                (false, true) => self.stop(shard),
                (true, false) => self.requeue(index),
                _ => {}
            }
        }
    }
    /// Hands nothing of a shard out until [`Self::let_go_on`]: the application is still taking it over.
    pub fn hold_back(&mut self, shard: Shard) {
        if let Some(state) = self.state(shard) {
            state.held_back = true;
            self.stop(shard);
        }
    }
    /// The application has taken a shard over.
    pub fn let_go_on(&mut self, shard: Shard) {
        if let Some(state) = self.state(shard) {
            state.held_back = false;
        }
        if let Some(index) = self.index(shard) {
            self.requeue(index);
        }
    }
    /// The owned shards among these.
    pub fn covered(&self, which: Which) -> Vec<Shard> {
        let owned = self.live().filter(|s| s.phase == Phase::Owned).map(|s| s.shard);
        owned.filter(|shard| which.covers(*shard)).collect()
    }
    /// Every partition that is owned.
    pub fn assignment(&self) -> Vec<Owned> {
        let owned = self.live().filter(|s| s.phase == Phase::Owned);
        let view = |s: &ShardState| Owned {
            topic: s.topic.clone(),
            partition: s.shard.partition,
            position: s.ledger.next(),
            paused: s.stopped,
            caught_up: s.is_caught_up(),
        };
        let mut owned: Vec<_> = owned.map(view).collect();
        owned.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        owned
    }
    /// Whether what was there when they were gained is settled in every partition, and there are any.
    pub fn is_caught_up(&self) -> bool {
        self.is_complete() && self.live().all(ShardState::is_caught_up)
    }
    /// Whether the range that was asked for is read and settled.
    pub fn is_finished(&self) -> bool {
        let done = |s: &ShardState| s.reached && s.ledger.is_empty();
        self.control.ends && self.is_complete() && self.live().all(done)
    }
    fn is_complete(&self) -> bool {
        self.live().count() >= self.control.expected.unwrap_or(1)
    }
    pub(super) fn take_over(&self, state: &mut ShardState) {
        let place = (state.shard.topic, state.shard.partition);
        state.stopped = self.control.stops(state.shard);
        state.bound = self.control.bounds.get(&place).copied();
        if state
            .bound
            .is_some_and(|bound| state.ledger.next() >= bound.position)
        {
            state.reach_bound();
        }
    }
    pub(super) fn caught_up(&mut self, shard: Shard) {
        let Some(state) = self.state(shard) else { return };
        state.caught_up = Some(state.ledger.end());
        if state.bound.is_some_and(|bound| bound.at_end) {
            state.reach_bound();
        }
    }
}

impl Control {
    fn stops(&self, shard: Shard) -> bool {
        self.all != self.exceptions.contains(&(shard.topic, shard.partition))
    }
    fn set(&mut self, which: Which, stopped: bool) {
        match which {
            Which::All => {
                self.all = stopped;
                self.exceptions.clear();
            }
            Which::One(topic, partition) if stopped == self.all => {
                self.exceptions.remove(&(topic, partition));
            }
            Which::One(topic, partition) => {
                self.exceptions.insert((topic, partition));
            }
        }
    }
}
