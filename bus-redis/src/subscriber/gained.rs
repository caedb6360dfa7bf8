//! A shard that was just acquired, or moved by a seek.

use super::{
    history,
    ordinals::Ordinals,
    state::{Held, Open, Shared},
};
use crate::{
    facts::Facts,
    id,
    scripts::Script,
    wire::{Link, Value},
};
use bus_core::{Event, Name, Result, Shard};
use bytes::Bytes;
use std::{sync::Arc, time::Instant};

/// Where a shard is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) topic: Name,
    pub(crate) stream: Arc<str>,
    pub(crate) lease: Arc<str>,
    pub(crate) run_id: Arc<str>,
    /// Whether what was removed is found by counting.
    pub(crate) counting: bool,
}

/// What `acquire` and `seek` answer.
pub(crate) struct Gained {
    next: u128,
    read: Option<u64>,
    notes: Bytes,
    facts: Option<Facts>,
    /// What was read and is gone: what no owner has heard of, and what the group has not passed.
    gone: Vec<(u128, u128)>,
}

impl Gained {
    pub(crate) fn read(reply: &Value) -> Self {
        let last = reply.at(2).bytes().and_then(id::position).unwrap_or(0);
        Self {
            next: last.saturating_add(1),
            read: reply.at(3).int().and_then(|read| u64::try_from(read).ok()),
            notes: reply
                .at(4)
                .bytes()
                .map(Bytes::copy_from_slice)
                .unwrap_or_default(),
            facts: Facts::read(reply, 5),
            gone: history::ranges(reply.at(11)),
        }
    }

    /// Says that the shard is ours since `sent`.
    pub(crate) fn tell(self, shared: &Shared, shard: Shard, place: Place, sent: Instant) {
        let mut held = Held {
            shard,
            stream: place.stream.clone(),
            lease: place.lease,
            run_id: place.run_id.clone(),
            renewed: sent,
            suspended: false,
            losing: None,
            sequence: 0,
            stored: None,
            ordinals: Ordinals::new(self.read),
            facts: None,
            compared: None,
            read: None,
            counting: place.counting,
            heard: 0,
        };
        // What was removed while nobody owned the partition is known before the first record is read.
        held.saw(self.facts);
        let missing = held.compare(self.next);
        let gone = held.hear(self.gone);
        let open = Open {
            shard,
            topic: place.topic,
            next: self.next,
            notes: self.notes,
            stream: place.stream,
            run_id: place.run_id,
            end: self.facts.and_then(|f| f.newest),
        };
        shared.open(held, open);
        for (from, to) in missing {
            shared.tell(Event::DataLoss { shard, from, to });
        }
        for loss in gone {
            shared.tell(loss);
        }
    }
}

/// Gives a lease back; one that is not ours any more is no error.
pub(crate) async fn release(link: &Link, lease: &str, member: &str, shard: Shard) -> Result<()> {
    let epoch = shard.epoch.to_string();
    link.run(
        Script::Release,
        &[lease.as_bytes()],
        &[member.as_bytes(), epoch.as_bytes()],
    )
    .await?;
    Ok(())
}
