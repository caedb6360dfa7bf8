//! A reader without a group: it owns what it reads, and its positions live in it.

use crate::{
    group::not_owner,
    hub::{Hub, changed},
    inbox::{Gain, Inbox, Notice},
    topic::{Partition, Topic},
    wakes::Wakes,
};
use async_trait::async_trait;
use bus_core::{Ack, Bytes, Done, Error, Result, Shard, Start};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug)]
pub(crate) struct Broadcast {
    inbox: Arc<Inbox>,
    topics: Vec<Arc<Topic>>,
    /// `None`: all, also those that are added.
    partitions: Option<Vec<u32>>,
    owned: Mutex<BTreeMap<(u32, u32), u64>>,
}

impl Broadcast {
    /// Opens the partitions at `start`, resolved now.
    pub(crate) fn open(
        hub: &Hub,
        topics: &[Arc<Topic>],
        partitions: Option<Vec<u32>>,
        start: &Start,
        inbox: Arc<Inbox>,
    ) -> Result<Self> {
        let broadcast = Self {
            inbox,
            topics: topics.to_vec(),
            partitions,
            owned: Mutex::default(),
        };
        let mut wakes = Wakes::default();
        for (topic, index) in topics.iter().zip(0..) {
            let mut partitions = topic.partitions();
            if let Some(listed) = &broadcast.partitions {
                let count = partitions.len();
                if let Some(missing) = listed.iter().find(|p| **p as usize >= count) {
                    return Err(Error::invalid(format!(
                        "topic `{}` has partitions 0 to {}, not {missing}",
                        topic.name,
                        count - 1
                    )));
                }
                partitions.retain(|p| listed.contains(&p.number));
            }
            for partition in partitions {
                let next = partition.resolve(start, None)?;
                broadcast.gain(hub, (topic, index), partition, next, &mut wakes);
            }
        }
        Ok(broadcast)
    }

    fn gain(
        &self,
        hub: &Hub,
        (topic, index): (&Arc<Topic>, u32),
        partition: Arc<Partition>,
        next: u128,
        wakes: &mut Wakes,
    ) {
        let shard = Shard {
            topic: index,
            partition: partition.number,
            epoch: hub.number(),
        };
        self.owned.lock().insert((index, shard.partition), shard.epoch);
        let gain = Gain {
            shard,
            topic: topic.clone(),
            next,
            end: partition.bounds().1,
            partition,
            notes: Bytes::new(),
        };
        self.inbox.push(Notice::Gained(gain), wakes);
    }

    /// Gives a shard up; whether it was owned.
    fn lose(&self, shard: Shard, wakes: &mut Wakes) -> bool {
        let mut owned = self.owned.lock();
        let place = (shard.topic, shard.partition);
        let ours = owned.get(&place) == Some(&shard.epoch);
        if ours {
            owned.remove(&place);
            self.inbox.lose(shard, wakes);
        }
        ours
    }

    pub(crate) fn seek(&self, hub: &Hub, shard: Shard, to: &Start) -> Result<()> {
        let topic = self.topics.get(shard.topic as usize);
        let place = topic.and_then(|topic| Some((topic, topic.partition(shard.partition)?)));
        let (topic, partition) = place.ok_or_else(|| not_owner(shard))?;
        let next = partition.resolve(to, None)?;
        let mut wakes = Wakes::default();
        if !self.lose(shard, &mut wakes) {
            return Err(not_owner(shard));
        }
        self.gain(hub, (topic, shard.topic), partition, next, &mut wakes);
        Ok(())
    }

    /// The topic had `before` partitions.
    pub(crate) fn grow(&self, hub: &Hub, topic: &Arc<Topic>, before: u32, wakes: &mut Wakes) {
        for (ours, index) in self.topics.iter().zip(0..).filter(|(t, _)| Arc::ptr_eq(t, topic)) {
            self.inbox.push(changed(topic), wakes);
            if self.partitions.is_some() {
                continue;
            }
            for partition in topic.partitions().into_iter().skip(before as usize) {
                self.gain(hub, (ours, index), partition, 0, wakes);
            }
        }
    }

    pub(crate) fn drop_topic(&self, topic: &Arc<Topic>, wakes: &mut Wakes) {
        for (_, index) in self.topics.iter().zip(0..).filter(|(t, _)| Arc::ptr_eq(t, topic)) {
            let owned = std::mem::take(&mut *self.owned.lock());
            let (gone, kept): (BTreeMap<_, _>, _) = owned.into_iter().partition(|((t, _), _)| *t == index);
            *self.owned.lock() = kept;
            for ((topic, partition), epoch) in gone {
                let shard = Shard {
                    topic,
                    partition,
                    epoch,
                };
                self.inbox.lose(shard, wakes);
            }
            self.inbox.push(Notice::TopicLost(topic.name.clone()), wakes);
        }
    }
}

/// Nothing is stored for a reader without a group.
#[derive(Debug)]
pub(crate) struct BroadcastAck(pub(crate) Arc<Broadcast>);

#[async_trait]
impl Ack for BroadcastAck {
    async fn commit(&self, done: Vec<Done>) -> Vec<Result<()>> {
        done.iter().map(|_| Ok(())).collect()
    }
    async fn release(&self, shard: Shard) -> Result<()> {
        let mut wakes = Wakes::default();
        self.0.lose(shard, &mut wakes);
        Ok(())
    }
}
