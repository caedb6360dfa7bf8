//! After a restart or a failover: whether the server still has what was read.

use super::{state::Shared, watch::Watched};
use crate::{
    id,
    scripts::Script,
    wire::{Link, Pipeline, Value},
};
use bus_core::Result;
use std::{collections::BTreeMap, time::Duration};

/// What one subscription knows of the history that it has seen.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The last record that was read of a shard, where that is still to be compared.
    read: BTreeMap<(u32, u32), u128>,
}

impl History {
    /// The server of a partition may have another history now: what was read has to be compared with it.
    pub(super) fn remember(&mut self, shared: &Shared, key: (u32, u32)) {
        let mut state = shared.lock();
        let before = state.read.remove(&key);
        let read = state.held.get(&key).and_then(|held| held.read).or(before);
        self.read.extend(read.map(|read| (key, read)));
    }

    /// Whether a partition is still to be compared.
    pub(super) fn is_open(&self, key: (u32, u32)) -> bool {
        self.read.contains_key(&key)
    }

    /// Compares. What is gone is kept beside the lease: who owns the partition, now or later, is told of it there.
    pub(super) async fn look(
        &mut self,
        link: &Link,
        limit: Duration,
        group: &str,
        topics: &[Watched],
    ) -> Result<()> {
        if self.read.is_empty() {
            return Ok(());
        }
        let (mut pipeline, mut asked) = (Pipeline::new(), Vec::new());
        for ((topic, partition), read) in &self.read {
            let watched = topics.iter().find(|t| t.index == *topic && !t.lost);
            let Some(watched) = watched.filter(|t| t.streams.len() > *partition as usize) else {
                continue;
            };
            let [stream, lease] =
                [&watched.streams, &watched.leases].map(|keys| keys[*partition as usize].as_bytes());
            compare(
                &mut pipeline,
                &[stream, lease],
                *read,
                watched.info.compact,
                group,
            );
            asked.push(((*topic, *partition), &watched.info.name, *read));
        }
        let asked_of: Vec<_> = asked.iter().map(|(key, ..)| *key).collect();
        self.read.retain(|key, _| asked_of.contains(key));
        if asked.is_empty() {
            return Ok(());
        }
        let mut failed = Ok(());
        let answers = link.each(&pipeline, limit).await;
        for ((key, topic, read), answer) in asked.into_iter().zip(answers) {
            match answer.and_then(|answer| link.check(answer.value)) {
                Ok(reply) => {
                    gone(&reply, topic, key.1, read);
                    self.read.remove(&key);
                }
                // It is asked again, and the partition not acquired before.
                Err(error) => failed = Err(error),
            }
        }
        failed
    }
}

/// Asks whether a stream still has what was read up to `read`. Keys: the stream, and a group's lease.
pub(super) fn compare(pipeline: &mut Pipeline, keys: &[&[u8]], read: u128, compact: bool, group: &str) {
    let (read, compact): (_, &[u8]) = (id::id(read), if compact { b"1" } else { b"0" });
    pipeline.script(
        Script::History,
        keys,
        &[read.as_bytes(), compact, group.as_bytes()],
    );
}

/// The ranges that a lease keeps: the last id before each that is there, and the last of it.
pub(super) fn ranges(reply: &Value) -> Vec<(u128, u128)> {
    let words: Vec<u128> = reply
        .text()
        .unwrap_or_default()
        .split(' ')
        .filter_map(|word| id::position(word.as_bytes()))
        .collect();
    let mut ranges: Vec<_> = words
        .chunks_exact(2)
        .map(|pair| (pair[0].saturating_add(1), pair[1].saturating_add(1)))
        .collect();
    ranges.sort_unstable();
    ranges
}

/// The positions that were read and are gone, if any.
pub(super) fn gone(reply: &Value, topic: &str, partition: u32, read: u128) -> Option<(u128, u128)> {
    if reply.at(0).text() != Some("BACK") {
        return None;
    }
    let kept = reply.at(1).bytes().and_then(id::position)?;
    tracing::error!(
        topic, partition, from = %id::id(kept.saturating_add(1)), to = %id::id(read),
        "redis lost records that were read: its history went back"
    );
    Some((kept.saturating_add(1), read.saturating_add(1)))
}
