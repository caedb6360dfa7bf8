//! After a restart or a failover: whether the server still has what was read.

use super::{state::Shared, watch::Watched};
use crate::{
    id,
    scripts::Script,
    wire::{Link, Pipeline},
};
use bus_core::{Event, Result, Shard};
use std::collections::BTreeMap;

/// What one subscription knows of the history that it has seen.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The last record that was read of a shard, where that is still to be compared.
    read: BTreeMap<(u32, u32), u128>,
    /// Positions that were read and are gone, to be told with the next `Gained`.
    gone: BTreeMap<(u32, u32), (u128, u128)>,
}

impl History {
    /// The server may have another history now: what was read has to be compared with it.
    pub(super) fn remember(&mut self, shared: &Shared) {
        let mut state = shared.lock();
        self.read.append(&mut state.read);
        for (key, held) in &state.held {
            if let Some(read) = held.read {
                self.read.insert(*key, read);
            }
        }
    }

    /// Compares. What is gone is logged here, because the shard may be another member's by now.
    pub(super) async fn look(&mut self, link: &Link, topics: &[Watched]) -> Result<()> {
        if self.read.is_empty() {
            return Ok(());
        }
        let (mut pipeline, mut asked) = (Pipeline::new(), Vec::new());
        for ((topic, partition), read) in &self.read {
            let watched = topics.iter().find(|t| t.index == *topic && !t.lost);
            let Some((watched, stream)) =
                watched.and_then(|t| Some((t, t.streams.get(*partition as usize)?)))
            else {
                continue;
            };
            compare(&mut pipeline, stream, *read, watched.info.compact);
            asked.push(((*topic, *partition), &watched.info.name, *read));
        }
        let replies = if asked.is_empty() {
            Vec::new()
        } else {
            link.call(&pipeline).await?.values
        };
        for ((key, topic, read), reply) in asked.into_iter().zip(replies) {
            if let Some(range) = gone(&link.check(reply)?, topic, key.1, read) {
                self.gone.insert(key, range);
            }
        }
        self.read.clear();
        Ok(())
    }

    /// What is gone of partitions that are another member's by now: told by themselves, since they are not gained here.
    pub(super) fn elsewhere(&mut self, is: impl Fn(u32, u32) -> bool) -> Vec<Event> {
        let others = self
            .gone
            .extract_if(.., |(topic, partition), _| is(*topic, *partition));
        let told = |((topic, partition), (from, to))| {
            // In no epoch of ours: a notice, and no reason to stop.
            let shard = Shard {
                topic,
                partition,
                epoch: 0,
            };
            Event::DataLoss { shard, from, to }
        };
        others.map(told).collect()
    }

    /// What is gone of a shard that is ours again from `next` on.
    pub(super) fn take(&mut self, topic: u32, partition: u32, next: u128) -> Option<(u128, u128)> {
        let (from, to) = self.gone.remove(&(topic, partition))?;
        (next < to).then_some((from.max(next), to))
    }
}

/// Asks whether a stream still has what was read up to `read`.
pub(super) fn compare(pipeline: &mut Pipeline, stream: &str, read: u128, compact: bool) {
    let (read, compact): (_, &[u8]) = (id::id(read), if compact { b"1" } else { b"0" });
    pipeline.script(Script::History, &[stream.as_bytes()], &[read.as_bytes(), compact]);
}

/// The positions that were read and are gone, if any.
pub(super) fn gone(
    reply: &crate::wire::Value,
    topic: &str,
    partition: u32,
    read: u128,
) -> Option<(u128, u128)> {
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
