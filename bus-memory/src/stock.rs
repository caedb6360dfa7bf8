//! What a topic holds, against what it may hold.

use bus_core::{Entry, Message};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Messages and bytes of all partitions of a topic. Partitions have locks of their own, so these are atomics.
#[derive(Debug)]
pub(crate) struct Stock {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    max_messages: usize,
    max_bytes: usize,
}

impl Stock {
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self {
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            max_messages,
            max_bytes,
        }
    }

    /// Counts what is about to be stored, if there is room. Two counters cannot change at once, so a refusal may be due
    /// to somebody who is refused himself at that moment: who is refused must look after the queue ([`crate::queue`]).
    pub(crate) fn reserve(&self, messages: usize, bytes: usize) -> bool {
        let fits = self.messages.fetch_add(messages, Relaxed) + messages <= self.max_messages;
        let fits = self.bytes.fetch_add(bytes, Relaxed) + bytes <= self.max_bytes && fits;
        if !fits {
            self.release(messages, bytes);
        }
        fits
    }
    /// Counts what is stored in any case.
    pub(crate) fn force(&self, messages: usize, bytes: usize) {
        self.messages.fetch_add(messages, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }
    pub(crate) fn release(&self, messages: usize, bytes: usize) {
        self.messages.fetch_sub(messages, Relaxed);
        self.bytes.fetch_sub(bytes, Relaxed);
    }
    /// How much must go before so much more fits: messages and bytes.
    pub(crate) fn missing(&self, messages: usize, bytes: usize) -> (usize, usize) {
        let over =
            |now: &AtomicUsize, more: usize, max: usize| (now.load(Relaxed) + more).saturating_sub(max);
        (
            over(&self.messages, messages, self.max_messages),
            over(&self.bytes, bytes, self.max_bytes),
        )
    }
    pub(crate) fn max_messages(&self) -> usize {
        self.max_messages
    }
    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.messages.load(Relaxed), self.bytes.load(Relaxed))
    }
}

/// Bytes that a message takes in a log, its index entry included; equal to [`footprint`] of its entry.
pub(crate) fn footprint_of(message: &Message) -> usize {
    let headers = match message.headers.len() {
        0 => 0,
        n => 4 + 8 * n + message.headers.size(),
    };
    let bytes = |b: &Option<bus_core::Bytes>| b.as_ref().map_or(0, |b| b.len());
    bytes(&message.key) + bytes(&message.payload) + headers + size_of::<Entry>()
}

/// Bytes that a stored record takes.
pub(crate) fn footprint(entry: &Entry) -> usize {
    entry.size() + size_of::<Entry>()
}
