//! What one fetch brings: an arena of bytes and an index into it.

use crate::{HeadersView, Message, headers, partition};
use bytes::Bytes;
use std::{ops::Range, sync::Arc};

/// A piece of an arena; `ABSENT` is no piece, which is not the same as an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    offset: u32,
    length: u32,
}

impl Span {
    /// No bytes at all: no key, a null payload, no headers.
    pub const ABSENT: Span = Span {
        offset: 0,
        length: u32::MAX,
    };

    /// `length` bytes from `offset`.
    pub fn new(offset: usize, length: usize) -> Self {
        debug_assert!(offset + length < u32::MAX as usize);
        Self {
            offset: offset as u32,
            length: length as u32,
        }
    }
    fn of(self, arena: &[u8]) -> Option<&[u8]> {
        (self != Self::ABSENT).then(|| &arena[self.offset as usize..][..self.length as usize])
    }
    fn bytes(self, arena: &Bytes) -> Option<Bytes> {
        let at = self.offset as usize;
        (self != Self::ABSENT).then(|| arena.slice(at..at + self.length as usize))
    }
    fn moved_back(self, by: u32) -> Self {
        if self == Self::ABSENT {
            return self;
        }
        Self {
            offset: self.offset - by,
            ..self
        }
    }
    fn len(self) -> usize {
        if self == Self::ABSENT {
            0
        } else {
            self.length as usize
        }
    }
}

/// One record's index entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its position in the partition.
    pub position: u128,
    /// Milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// 64 bits of a hash seeded per process; meaningless without a key.
    pub key_hash: u64,
    /// The key.
    pub key: Span,
    /// The payload; absent is a tombstone.
    pub payload: Span,
    /// Headers in the encoded form; absent or empty: none.
    pub headers: Span,
}

impl Entry {
    /// Bytes of key, payload and encoded headers.
    pub fn size(&self) -> usize {
        self.key.len() + self.payload.len() + self.headers.len()
    }
}

/// Records of one shard: keys, payloads and headers lie in `arena`; [`Bytes`] are sliced out when somebody asks.
/// A slow delivery pins its batch, so a backend keeps an arena near [`Batch::ARENA`] bytes at most (a larger
/// record is alone in its batch).
#[derive(Debug)]
pub struct Batch {
    arena: Bytes,
    records: Vec<Entry>,
}

impl Batch {
    /// The size an arena should stay near, in bytes: what one slow delivery can pin.
    pub const ARENA: usize = 256 * 1024;

    /// A batch of these records; every span must lie in the arena.
    pub fn new(arena: Bytes, records: Vec<Entry>) -> Self {
        Self { arena, records }
    }
    /// The records, in log order.
    pub fn records(&self) -> &[Entry] {
        &self.records
    }
}

/// Fills a [`Batch`].
#[derive(Debug, Default)]
pub struct BatchBuilder {
    arena: Vec<u8>,
    records: Vec<Entry>,
}

impl BatchBuilder {
    /// An empty one with room for so many records and bytes.
    pub fn with_capacity(records: usize, bytes: usize) -> Self {
        Self {
            arena: Vec::with_capacity(bytes),
            records: Vec::with_capacity(records),
        }
    }
    /// Adds a record by copying its bytes. Positions must grow.
    pub fn push<'a>(
        &mut self,
        position: u128,
        timestamp: i64,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) {
        let at = self.arena.len();
        headers::encode(headers, &mut self.arena);
        let encoded = if self.arena.len() == at + 4 {
            self.arena.truncate(at);
            Span::ABSENT
        } else {
            Span::new(at, self.arena.len() - at)
        };
        self.push_encoded(position, timestamp, key, payload, encoded);
    }
    /// Adds a record whose headers are already encoded ([`crate::Headers::encode`]); an empty slice is none.
    pub fn push_with_headers(
        &mut self,
        position: u128,
        timestamp: i64,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: &[u8],
    ) {
        let span = if headers.is_empty() {
            Span::ABSENT
        } else {
            self.copy(headers)
        };
        self.push_encoded(position, timestamp, key, payload, span);
    }
    fn push_encoded(
        &mut self,
        position: u128,
        timestamp: i64,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: Span,
    ) {
        let entry = Entry {
            position,
            timestamp,
            key_hash: key.map_or(0, partition::key_hash),
            key: key.map_or(Span::ABSENT, |k| self.copy(k)),
            payload: payload.map_or(Span::ABSENT, |p| self.copy(p)),
            headers,
        };
        self.records.push(entry);
    }
    fn copy(&mut self, bytes: &[u8]) -> Span {
        let span = Span::new(self.arena.len(), bytes.len());
        self.arena.extend_from_slice(bytes);
        span
    }
    /// Records so far.
    pub fn len(&self) -> usize {
        self.records.len()
    }
    /// Whether there are none yet.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }
    /// The records so far.
    pub fn records(&self) -> &[Entry] {
        &self.records
    }
    /// Some of the records with a copy of their bytes, for a reader of what is still being filled.
    pub fn copy_of(&self, range: Range<usize>) -> Batch {
        let records = &self.records[range];
        let spans = records.iter().flat_map(|e| [e.key, e.payload, e.headers]);
        let (from, to) = spans
            .filter(|span| *span != Span::ABSENT)
            .fold((u32::MAX, 0), |(from, to), span| {
                (from.min(span.offset), to.max(span.offset + span.length))
            });
        let from = from.min(to);
        let records = records.iter().map(|e| Entry {
            key: e.key.moved_back(from),
            payload: e.payload.moved_back(from),
            headers: e.headers.moved_back(from),
            ..*e
        });
        Batch {
            records: records.collect(),
            arena: Bytes::copy_from_slice(&self.arena[from as usize..to as usize]),
        }
    }
    /// Gives unused capacity back, for a batch that is kept.
    pub fn shrink_to_fit(&mut self) {
        self.arena.shrink_to_fit();
        self.records.shrink_to_fit();
    }
    /// The batch.
    pub fn finish(self) -> Batch {
        Batch {
            arena: Bytes::from(self.arena),
            records: self.records,
        }
    }
}

/// One record of a batch, as it was stored.
#[derive(Clone, Debug)]
pub struct Record {
    batch: Arc<Batch>,
    index: u32,
}

impl Record {
    /// The record at `index` of `batch`.
    pub fn new(batch: Arc<Batch>, index: u32) -> Self {
        Self { batch, index }
    }
    /// Its index entry.
    pub fn entry(&self) -> &Entry {
        &self.batch.records[self.index as usize]
    }
    /// The key; `None` without one, which is not the same as an empty one.
    pub fn key(&self) -> Option<&[u8]> {
        self.entry().key.of(&self.batch.arena)
    }
    /// The key, sharing the batch's memory.
    pub fn key_bytes(&self) -> Option<Bytes> {
        self.entry().key.bytes(&self.batch.arena)
    }
    /// The payload; `None` is a tombstone.
    pub fn payload(&self) -> Option<&[u8]> {
        self.entry().payload.of(&self.batch.arena)
    }
    /// The payload, sharing the batch's memory.
    pub fn payload_bytes(&self) -> Option<Bytes> {
        self.entry().payload.bytes(&self.batch.arena)
    }
    /// The headers, read in place.
    pub fn headers(&self) -> HeadersView<'_> {
        HeadersView::new(self.entry().headers.of(&self.batch.arena).unwrap_or_default())
    }
    /// Milliseconds since 1970 UTC.
    pub fn timestamp(&self) -> i64 {
        self.entry().timestamp
    }
    /// The position in its partition.
    pub fn position(&self) -> u128 {
        self.entry().position
    }
    /// The same bytes as a message to publish, key, headers and timestamp included; no partition.
    pub fn to_message(&self) -> Message {
        Message {
            key: self.key_bytes(),
            payload: self.payload_bytes(),
            headers: self.headers().to_owned(),
            timestamp: Some(self.timestamp()),
            partition: None,
        }
    }
}
