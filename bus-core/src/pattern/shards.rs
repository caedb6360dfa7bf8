//! Two sets of numbers for shards: those of the backend's present subscriber, which begins anew whenever it joins, and
//! those of core, which never come twice.

use crate::{Ack, Shard};
use std::{collections::HashMap, sync::Arc};

/// What the reading and the settling half share.
#[derive(Debug, Default)]
pub(super) struct Shards {
    inner: HashMap<Shard, Shard>,
    outer: HashMap<Shard, Shard>,
    epochs: u64,
    /// Seeks that were accepted, until their partition is gained again: core's shards by those of the subscriber.
    sought: HashMap<Shard, Shard>,
    /// Settles for the present subscriber.
    pub(super) ack: Option<Arc<dyn Ack>>,
}

impl Shards {
    /// A shard that was gained: its number for core, where its topic is number `topic`.
    pub(super) fn gain(&mut self, inner: Shard, topic: u32) -> Shard {
        self.epochs += 1;
        self.sought
            .retain(|old, _| (old.topic, old.partition) != (inner.topic, inner.partition));
        let outer = Shard {
            topic,
            partition: inner.partition,
            epoch: self.epochs,
        };
        self.inner.insert(outer, inner);
        self.outer.insert(inner, outer);
        outer
    }
    pub(super) fn lose(&mut self, inner: Shard) -> Option<Shard> {
        let outer = self.outer.remove(&inner)?;
        self.inner.remove(&outer);
        Some(outer)
    }
    pub(super) fn outer(&self, inner: Shard) -> Option<Shard> {
        self.outer.get(&inner).copied()
    }
    pub(super) fn inner(&self, outer: Shard) -> Option<Shard> {
        self.inner.get(&outer).copied()
    }
    /// A seek is about to be asked for, or was refused.
    pub(super) fn seek(&mut self, inner: Shard, outer: Option<Shard>) {
        match outer {
            Some(outer) => self.sought.insert(inner, outer),
            None => self.sought.remove(&inner),
        };
    }
    pub(super) fn seek_failed(&mut self, inner: Shard) -> Option<Shard> {
        self.sought.remove(&inner)
    }
    /// Seeks that were accepted and whose partitions were not gained again.
    pub(super) fn unsought(&mut self) -> Vec<Shard> {
        self.sought.drain().map(|(_, outer)| outer).collect()
    }
    /// Every shard that core holds.
    pub(super) fn held(&self) -> Vec<Shard> {
        self.inner.keys().copied().collect()
    }
    /// Forgets them all, and says which they were.
    pub(super) fn clear(&mut self) -> Vec<Shard> {
        let held = self.held();
        self.inner.clear();
        self.outer.clear();
        self.ack = None;
        held
    }
}
