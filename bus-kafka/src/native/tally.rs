//! Counts the requests of a transactional producer, and those that were answered.
//!
//! librdkafka sends a request again by itself when no answer came. The epoch stays the same, so if the first copy was
//! only late, it takes effect in the *next* transaction: ends it, or moves its offsets. Whoever sees a request without
//! an answer must not begin another transaction with this producer.

use super::intercept::Witness;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Produce, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit.
const KEYS: [i16; 5] = [0, 24, 25, 26, 28];

#[derive(Debug, Default)]
pub(super) struct Tally {
    sent: AtomicU64,
    answered: AtomicU64,
}

impl Tally {
    /// Requests that were sent and have no answer, yet or ever.
    pub(super) fn unanswered(&self) -> u64 {
        let answered = self.answered.load(Ordering::Acquire);
        self.sent.load(Ordering::Acquire).saturating_sub(answered)
    }
}

impl Witness for Tally {
    fn sent(&self, key: i16) {
        if KEYS.contains(&key) {
            self.sent.fetch_add(1, Ordering::AcqRel);
        }
    }
    fn answered(&self, key: i16, _: Duration) {
        if KEYS.contains(&key) {
            self.answered.fetch_add(1, Ordering::AcqRel);
        }
    }
}
