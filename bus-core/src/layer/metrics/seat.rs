//! One subscription: its partitions come and go, and what it still has at its end is given back to the gauges.

use super::{meters::Read, names};
use crate::{Done, Event, Result, Shard, Source, layer::group_of};
use metrics::{Histogram, histogram};
use parking_lot::Mutex;
use std::{collections::HashSet, fmt};

pub(super) struct Seat {
    /// By number of the topic.
    topics: Vec<Read>,
    pub(super) seconds: Histogram,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    owned: HashSet<Shard>,
    paused: HashSet<Shard>,
}

impl Seat {
    pub(super) fn new(system: &'static str, source: &Source) -> Self {
        let group = group_of(source);
        let read = |topic: &crate::Name| Read::new(system, topic, group);
        Self {
            topics: source.topics.iter().map(read).collect(),
            seconds: histogram!(names::COMMIT_SECONDS, "system" => system, "group" => group.to_owned()),
            held: Mutex::default(),
        }
    }
    fn of(&self, shard: Shard) -> Option<&Read> {
        self.topics.get(shard.topic as usize)
    }
    pub(super) fn happened(&self, event: &Event) {
        match event {
            Event::Records { shard, batch, range } => {
                let Some(read) = self.of(*shard) else { return };
                let records = batch.records().get(range.start as usize..range.end as usize);
                let bytes: usize = records.unwrap_or_default().iter().map(crate::Entry::size).sum();
                read.received.increment(range.len() as u64);
                read.bytes.increment(bytes as u64);
            }
            Event::Gained { shard, .. } => {
                let Some(read) = self.of(*shard) else { return };
                read.gained.increment(1);
                if self.held.lock().owned.insert(*shard) {
                    read.owned.increment(1.0);
                }
            }
            Event::Lost(shard) => {
                let Some(read) = self.of(*shard) else { return };
                read.lost.increment(1);
                self.paused(*shard, false);
                if self.held.lock().owned.remove(shard) {
                    read.owned.decrement(1.0);
                }
            }
            Event::DataLoss { shard, .. } => {
                if let Some(read) = self.of(*shard) {
                    read.data_loss.increment(1);
                }
            }
            _ => {}
        }
    }
    pub(super) fn paused(&self, shard: Shard, paused: bool) {
        let Some(read) = self.of(shard) else { return };
        let mut held = self.held.lock();
        if paused && held.owned.contains(&shard) && held.paused.insert(shard) {
            read.paused.increment(1.0);
        } else if !paused && held.paused.remove(&shard) {
            read.paused.decrement(1.0);
        }
    }
    /// What a commit is about, to be counted when it has its answers.
    pub(super) fn asked(&self, done: &[Done]) -> Vec<(Shard, usize)> {
        let each = |done: &Done| {
            if let Some(read) = self.of(done.shard) {
                read.notes.record(done.notes.len() as f64);
            }
            (done.shard, done.outputs.len())
        };
        done.iter().map(each).collect()
    }
    pub(super) fn committed(&self, shard: Shard, outputs: usize, result: &Result<()>) {
        let Some(read) = self.of(shard) else { return };
        read.committed(result);
        if result.is_ok() {
            read.outputs.increment(outputs as u64);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let held = std::mem::take(self.held.get_mut());
        for read in held.owned.iter().filter_map(|shard| self.of(*shard)) {
            read.owned.decrement(1.0);
        }
        for read in held.paused.iter().filter_map(|shard| self.of(*shard)) {
            read.paused.decrement(1.0);
        }
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat")
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}
