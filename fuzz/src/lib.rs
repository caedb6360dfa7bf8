//! What the targets share.

use bus::{Batch, Record};
use bus_core::BatchBuilder;
use std::sync::Arc;

/// A record with this payload and this encoded block of headers, as a backend hands it out.
pub fn record(payload: &[u8], headers: &[u8]) -> Record {
    let mut batch = BatchBuilder::with_capacity(1, payload.len() + headers.len());
    batch.push_with_headers(7, 0, Some(b"key"), Some(payload), headers);
    first(batch.finish())
}

/// The first record of a batch that has one.
pub fn first(batch: Batch) -> Record {
    Record::new(Arc::new(batch), 0)
}
