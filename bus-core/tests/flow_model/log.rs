//! The simulated backend: a log of partitions with one owner each, a stored position, notes and outputs.

use bus_core::{Batch, BatchBuilder, Done, Event, Message, Name, Room, Shard};
use bytes::Bytes;
use std::{collections::VecDeque, sync::Arc};

#[derive(Clone, Debug)]
pub(crate) struct Rec {
    pub(crate) position: u128,
    pub(crate) key: Option<u8>,
    pub(crate) size: usize,
}

/// One member's reading of a partition, in one epoch.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) member: usize,
    pub(crate) epoch: u64,
    /// Fetched up to there; what of it waits for room.
    fetched: usize,
    buffer: VecDeque<usize>,
    /// Where the last fetch ended: the first position that was not read.
    at: u128,
    pub(crate) paused: bool,
    pub(crate) silent: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) log: Vec<Rec>,
    last: u128,
    pub(crate) trimmed: usize,
    pub(crate) next: u128,
    pub(crate) notes: Bytes,
    pub(crate) epoch: u64,
    pub(crate) owner: Option<usize>,
    /// The owner's, and those of former owners that do not know yet.
    pub(crate) readings: Vec<Reading>,
}

pub(crate) const TOPIC: &str = "t";

pub(crate) fn shard(part: usize, epoch: u64) -> Shard {
    Shard {
        topic: 0,
        partition: part as u32,
        epoch,
    }
}

impl Part {
    pub(crate) fn publish(&mut self, sparse: bool, gap: u8, key: Option<u8>, size: usize) {
        let gap = u128::from(gap);
        self.last = match sparse {
            true if gap == 0 => self.last + 1,
            true => ((self.last >> 64) + gap * gap * 7) << 64 | (gap % 2),
            false => self.last + if gap == 4 { 5 } else { 1 },
        };
        self.log.push(Rec {
            position: self.last,
            key,
            size,
        });
    }
    pub(crate) fn end(&self) -> u128 {
        self.log.last().map_or(0, |r| r.position + 1)
    }
    pub(crate) fn first(&self) -> u128 {
        self.log.get(self.trimmed).map_or(self.end(), |r| r.position)
    }
    pub(crate) fn reading(&mut self, member: usize) -> Option<&mut Reading> {
        self.readings.iter_mut().rev().find(|r| r.member == member)
    }
    pub(crate) fn gain(&mut self, part: usize, member: usize) -> Event {
        self.epoch += 1;
        self.owner = Some(member);
        let at = self.log.partition_point(|r| r.position < self.next);
        self.readings.push(Reading {
            member,
            epoch: self.epoch,
            fetched: at,
            buffer: VecDeque::new(),
            at: self.next,
            paused: false,
            silent: false,
        });
        Event::Gained {
            shard: shard(part, self.epoch),
            topic: TOPIC.into(),
            next: self.next,
            notes: self.notes.clone(),
        }
    }
    /// What one fetch brings to `member`: records within the room, or what is missing.
    pub(crate) fn fetch(&mut self, part: usize, member: usize, room: &mut Room) -> Vec<Event> {
        let (trimmed, first) = (self.trimmed, self.first());
        let Some(reading) = self.readings.iter_mut().rev().find(|r| r.member == member) else {
            return Vec::new();
        };
        if reading.silent {
            return Vec::new();
        }
        let mut events = Vec::new();
        if reading.fetched < trimmed {
            // Overtakes what was fetched and waits for room.
            let (from, to) = (reading.at, first);
            (reading.fetched, reading.at) = (trimmed, first);
            let shard = shard(part, reading.epoch);
            events.push(Event::DataLoss { shard, from, to });
        }
        while reading.buffer.len() < 6 && reading.fetched < self.log.len() {
            reading.at = self.log[reading.fetched].position + 1;
            reading.buffer.push_back(reading.fetched);
            reading.fetched += 1;
        }
        let mut batch = BatchBuilder::default();
        while let Some(index) = reading
            .buffer
            .front()
            .filter(|_| room.messages > 0 && !reading.paused)
        {
            let rec = &self.log[*index];
            let size = rec.size + usize::from(rec.key.is_some());
            if size > room.bytes && !batch.is_empty() {
                break;
            }
            let key = rec.key.map(|k| [k]);
            let (key, payload) = (key.as_ref().map(|k| &k[..]), vec![7u8; rec.size]);
            batch.push(rec.position, 0, key, Some(&payload), std::iter::empty());
            room.messages -= 1;
            room.bytes = room.bytes.saturating_sub(size);
            reading.buffer.pop_front();
            if room.bytes == 0 {
                room.messages = 0;
            }
        }
        if !batch.is_empty() {
            let range = 0..batch.len() as u32;
            let (shard, batch): (Shard, Arc<Batch>) = (shard(part, reading.epoch), Arc::new(batch.finish()));
            events.push(Event::Records { shard, batch, range });
        }
        events
    }
    /// Whether a fetch would bring something.
    pub(crate) fn has_more(&self, member: usize, room: Room) -> bool {
        let more = |r: &Reading| !r.buffer.is_empty() || r.fetched < self.log.len();
        let reading = self
            .readings
            .iter()
            .rev()
            .find(|r| r.member == member && !r.silent);
        reading.is_some_and(|r| r.fetched < self.trimmed || (room.messages > 0 && !r.paused && more(r)))
    }
    /// Stores, if it comes from the owner.
    pub(crate) fn store(&mut self, done: &Done) -> bool {
        let fenced = self.owner.is_none() || done.shard.epoch != self.epoch;
        if !fenced {
            self.next = done.next;
            self.notes = done.notes.clone();
        }
        !fenced
    }
}

/// What an output says about where it comes from.
pub(crate) fn origin(output: &(Name, Message)) -> String {
    let (topic, message) = output;
    let header = |name: &str| {
        let value = message.headers.get(name).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    if **topic == *"dlq" {
        let (at, why, n) = (
            header("bus-origin-position"),
            header("bus-reason"),
            header("bus-attempts"),
        );
        format!("dlq {}/{at} {why} {n}", header("bus-origin-partition"))
    } else {
        String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned()
    }
}
