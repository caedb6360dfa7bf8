//! The log of one partition: sealed batches that readers share, and a tail that is filled in place.

use crate::{
    inbox::Inbox,
    stock::{Stock, footprint},
    wakes::Wakes,
};
use bus_core::{Batch, BatchBuilder, Entry, Message, Room};
use std::{collections::VecDeque, ops::Range, sync::Arc};

/// Up to here a reader copies its part of the tail: cheaper than a sealed batch of a few records, which would leave the
/// log in crumbs for the next reader.
const COPIED: usize = 8 * 1024;

#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) batch: Arc<Batch>,
    /// Records and their footprint that are not trimmed yet; memory goes when the whole segment does.
    pub(crate) live: usize,
    pub(crate) bytes: usize,
    pub(crate) newest: i64,
}

impl Segment {
    fn new(builder: BatchBuilder, bytes: usize, newest: i64) -> Self {
        Self {
            live: builder.len(),
            batch: Arc::new(builder.finish()),
            bytes,
            newest,
        }
    }
    fn last(&self) -> u128 {
        self.batch.records().last().map_or(0, |e| e.position)
    }
}

/// Somebody who reads this partition, by the epoch of his shard.
#[derive(Debug)]
pub(crate) struct Reader {
    epoch: u64,
    next: u128,
    inbox: Arc<Inbox>,
    /// He has read everything and wants to be told.
    armed: bool,
    /// He knows that his next record is gone.
    told: bool,
}

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) segments: VecDeque<Segment>,
    tail: BatchBuilder,
    tail_bytes: usize,
    tail_newest: i64,
    /// The oldest position that is kept, and one past the newest.
    first: u128,
    end: u128,
    readers: Vec<Reader>,
    armed: usize,
    /// The end at the last compaction.
    compacted: u128,
    stock: Arc<Stock>,
}

impl Log {
    pub(crate) fn new(stock: Arc<Stock>) -> Self {
        Self {
            segments: VecDeque::new(),
            tail: BatchBuilder::default(),
            tail_bytes: 0,
            tail_newest: i64::MIN,
            first: 0,
            end: 0,
            readers: Vec::new(),
            armed: 0,
            compacted: 0,
            stock,
        }
    }

    pub(crate) fn first(&self) -> u128 {
        self.first
    }
    pub(crate) fn end(&self) -> u128 {
        self.end
    }

    /// Stores a message that the stock has counted already.
    pub(crate) fn append(&mut self, now: i64, message: &Message) -> u128 {
        let size = message.size();
        if self.tail.bytes() + size > Batch::ARENA {
            self.seal();
        }
        let position = self.end;
        let timestamp = message.timestamp.unwrap_or(now);
        let (key, payload) = (message.key.as_deref(), message.payload.as_deref());
        if message.headers.is_empty() {
            self.tail
                .push_with_headers(position, timestamp, key, payload, &[]);
        } else {
            self.tail
                .push(position, timestamp, key, payload, message.headers.iter());
        }
        if let Some(entry) = self.tail.records().last() {
            self.tail_bytes += footprint(entry);
        }
        self.tail_newest = self.tail_newest.max(timestamp);
        self.end += 1;
        position
    }

    /// Tells the readers that had read everything. Once a burst: who is told is not armed any more.
    pub(crate) fn alarm(&mut self, wakes: &mut Wakes) {
        if self.armed == 0 {
            return;
        }
        self.armed = 0;
        for reader in self.readers.iter_mut().filter(|r| r.armed) {
            reader.armed = false;
            reader.inbox.ready(reader.epoch, wakes);
        }
    }

    pub(crate) fn seal(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        // A full one is followed by a full one, mostly; grown step by step it would be copied once more.
        let full = self.tail.bytes() > Batch::ARENA / 2;
        let next = if full {
            BatchBuilder::with_capacity(self.tail.len(), Batch::ARENA)
        } else {
            BatchBuilder::with_capacity(self.tail.len().max(16), self.tail.bytes().max(2_048))
        };
        let mut tail = std::mem::replace(&mut self.tail, next);
        if !full {
            tail.shrink_to_fit();
        }
        self.segments.push_back(Segment::new(
            tail,
            std::mem::take(&mut self.tail_bytes),
            std::mem::replace(&mut self.tail_newest, i64::MIN),
        ));
    }

    pub(crate) fn changed_since_compaction(&self) -> bool {
        self.compacted < self.end
    }

    /// Puts compacted records in the place of all others.
    pub(crate) fn replace(&mut self, compacted: Vec<BatchBuilder>) -> Vec<Segment> {
        self.compacted = self.end;
        let compacted = compacted.into_iter().filter(|b| !b.is_empty());
        let segments = compacted.map(|builder| {
            let bytes = builder.records().iter().map(footprint).sum();
            let newest = builder.records().iter().map(|e| e.timestamp).max();
            Segment::new(builder, bytes, newest.unwrap_or(i64::MIN))
        });
        let old = std::mem::replace(&mut self.segments, segments.collect());
        for segment in &old {
            self.stock.release(segment.live, segment.bytes);
        }
        for segment in &self.segments {
            self.stock.force(segment.live, segment.bytes);
        }
        old.into()
    }

    /// Hands out records from `next` on, as many as `room` has, and returns where the reader is then. The first record
    /// of a call (`alone`) may be larger than the room.
    pub(crate) fn read(
        &mut self,
        mut next: u128,
        room: &mut Room,
        alone: &mut bool,
        mut out: impl FnMut(Arc<Batch>, Range<u32>),
    ) -> u128 {
        let unread = self.tail.len() - behind(self.tail.records(), next);
        if unread * self.tail.bytes() > COPIED * self.tail.len() {
            self.seal();
        }
        let from = self.segments.partition_point(|s| s.last() < next);
        for segment in self.segments.range(from..) {
            let records = segment.batch.records();
            let range = fitting(records, next, room, alone);
            let Some(last) = records[range.clone()].last() else {
                return next;
            };
            next = last.position + 1;
            let whole = range.end == records.len();
            out(segment.batch.clone(), range.start as u32..range.end as u32);
            if !whole {
                return next;
            }
        }
        let range = fitting(self.tail.records(), next, room, alone);
        if let Some(last) = self.tail.records()[range.clone()].last() {
            next = last.position + 1;
            out(Arc::new(self.tail.copy_of(range.clone())), 0..range.len() as u32);
        }
        // Behind the last record there may be nothing but what compaction removed.
        if range.end == self.tail.len() {
            self.end
        } else {
            next
        }
    }

    /// Forgets what lies before `to`. The batches come back to be freed without the lock.
    pub(crate) fn trim(&mut self, to: u128, wakes: &mut Wakes) -> Vec<Segment> {
        let to = to.min(self.end);
        let mut gone = Vec::new();
        if to <= self.first {
            return gone;
        }
        if self.tail.records().first().is_some_and(|e| e.position < to) {
            self.seal();
        }
        while let Some(segment) = self.segments.pop_front_if(|s| s.last() < to) {
            self.stock.release(segment.live, segment.bytes);
            gone.push(segment);
        }
        if let Some(segment) = self.segments.front_mut() {
            let records = segment.batch.records();
            let cut = &records[behind(records, self.first)..behind(records, to)];
            let bytes = cut.iter().map(footprint).sum::<usize>();
            segment.live -= cut.len();
            segment.bytes -= bytes;
            self.stock.release(cut.len(), bytes);
        }
        self.first = to;
        for reader in self.readers.iter_mut().filter(|r| r.next < to && !r.told) {
            reader.told = true;
            reader.inbox.overtaken(reader.epoch, wakes);
        }
        gone
    }

    /// Forgets the records at the beginning that are older than `cutoff`.
    pub(crate) fn expire(&mut self, cutoff: i64, wakes: &mut Wakes) -> Vec<Segment> {
        if self.oldest().is_none_or(|oldest| oldest >= cutoff) {
            return Vec::new();
        }
        let kept = |records: &[Entry]| records.iter().find(|e| e.timestamp >= cutoff).map(|e| e.position);
        let segments = self.segments.iter().filter(|s| s.newest >= cutoff);
        let to = segments
            .filter_map(|s| {
                let records = s.batch.records();
                kept(&records[behind(records, self.first)..])
            })
            .next()
            .or_else(|| kept(self.tail.records()));
        self.trim(to.unwrap_or(self.end), wakes)
    }

    /// The timestamp of the oldest record.
    pub(crate) fn oldest(&self) -> Option<i64> {
        let records = match self.segments.front() {
            Some(segment) => segment.batch.records(),
            None => self.tail.records(),
        };
        records.get(behind(records, self.first)).map(|e| e.timestamp)
    }

    /// The position of the first record that is not older than `timestamp`.
    pub(crate) fn since(&self, timestamp: i64) -> u128 {
        let segments = self.segments.iter().filter(|s| s.newest >= timestamp);
        segments
            .flat_map(|s| s.batch.records())
            .chain(self.tail.records())
            .find(|e| e.timestamp >= timestamp && e.position >= self.first)
            .map_or(self.end, |e| e.position)
    }

    /// Records from `position` on.
    pub(crate) fn count(&self, position: u128) -> u64 {
        let from = position.max(self.first);
        let at = self.segments.partition_point(|s| s.last() < from);
        let sealed = self.segments.range(at..).map(|s| s.batch.records());
        sealed
            .chain([self.tail.records()])
            .map(|records| (records.len() - behind(records, from)) as u64)
            .sum()
    }

    /// Where the record lies that is `n` records behind the oldest one.
    pub(crate) fn nth(&self, mut n: usize) -> u128 {
        for segment in &self.segments {
            if n < segment.live {
                let records = segment.batch.records();
                return records[records.len() - segment.live + n].position;
            }
            n -= segment.live;
        }
        self.tail.records().get(n).map_or(self.end, |e| e.position)
    }

    pub(crate) fn register(&mut self, epoch: u64, next: u128, inbox: Arc<Inbox>) {
        self.readers.push(Reader {
            epoch,
            next,
            inbox,
            armed: false,
            told: false,
        });
    }
    pub(crate) fn deregister(&mut self, epoch: u64) {
        if let Some(at) = self.readers.iter().position(|r| r.epoch == epoch) {
            let reader = self.readers.swap_remove(at);
            self.armed -= usize::from(reader.armed);
        }
    }
    /// Notes where a reader is. At the end it will be told of the next record; otherwise it comes back by itself: the
    /// answer says which.
    pub(crate) fn moved(&mut self, epoch: u64, next: u128) -> bool {
        let at_end = next >= self.end;
        if let Some(reader) = self.readers.iter_mut().find(|r| r.epoch == epoch) {
            reader.next = next;
            reader.told = false;
            if at_end && !reader.armed {
                reader.armed = true;
                self.armed += 1;
            }
        }
        at_end
    }
    /// Notes that a reader knows what he has missed.
    pub(crate) fn told(&mut self, epoch: u64, next: u128) {
        if let Some(reader) = self.readers.iter_mut().find(|r| r.epoch == epoch) {
            reader.next = next;
            reader.told = false;
        }
    }
    /// The position that every reader has passed.
    pub(crate) fn slowest_reader(&self) -> Option<u128> {
        self.readers.iter().map(|r| r.next).min()
    }
}

/// How many of the records lie before `position`.
fn behind(records: &[Entry], position: u128) -> usize {
    match records.last() {
        Some(last) if last.position < position => records.len(),
        _ => records.partition_point(|e| e.position < position),
    }
}

fn fitting(records: &[Entry], next: u128, room: &mut Room, alone: &mut bool) -> Range<usize> {
    let from = behind(records, next);
    let mut to = from;
    for entry in records[from..].iter().take(room.messages) {
        let size = entry.size();
        if size > room.bytes && !*alone {
            // Nothing smaller behind it may overtake.
            room.bytes = 0;
            break;
        }
        *alone = false;
        room.bytes = room.bytes.saturating_sub(size);
        to += 1;
    }
    room.messages -= to - from;
    from..to
}
