//! How far one shard was read.

use super::state::Open;
use bus_core::Shard;
use std::sync::Arc;

/// One shard's place.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) shard: Shard,
    pub(super) stream: Arc<str>,
    pub(super) run_id: Arc<str>,
    pub(super) next: u128,
    /// The end that was seen when it was gained, until it was handed out.
    pub(super) end: Option<u128>,
    pub(super) paused: bool,
    pub(super) suspended: bool,
    /// Bytes that wait at the reader.
    pub(super) waiting: usize,
    /// From where the last request asked.
    pub(super) asked: u128,
}

impl Cursor {
    /// At the place that was gained.
    pub(super) fn at(open: &Open) -> Self {
        Self {
            shard: open.shard,
            stream: open.stream.clone(),
            run_id: open.run_id.clone(),
            next: open.next,
            end: open.end.filter(|end| *end >= open.next),
            paused: false,
            suspended: false,
            waiting: 0,
            asked: open.next,
        }
    }
}
