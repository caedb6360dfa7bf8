//! What the handles of one memory bus share.

use crate::{
    broadcast::Broadcast,
    clock::Clock,
    config::MemoryConfig,
    group::Group,
    inbox::Notice,
    topic::{Partition, Topic},
    wakes::Wakes,
};
use bus_core::{Error, Name, Result, TopicSpec, mutant};
use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Locks are taken in this order, each for a moment: a topic's queue, `groups`, `topics`, one group, `broadcasts`, one
/// log, one inbox. Publish and receive take a log and an inbox only, and `topics` to read.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) name: Option<String>,
    pub(crate) config: MemoryConfig,
    pub(crate) clock: Clock,
    topics: RwLock<HashMap<Name, Arc<Topic>, RandomState>>,
    pub(crate) groups: Mutex<BTreeMap<Name, Arc<Group>>>,
    pub(crate) broadcasts: Mutex<BTreeMap<u64, Arc<Broadcast>>>,
    numbers: AtomicU64,
}

impl Hub {
    pub(crate) fn new(name: Option<String>, config: MemoryConfig) -> Self {
        Self {
            name,
            config,
            clock: Clock::new(),
            topics: RwLock::default(),
            groups: Mutex::default(),
            broadcasts: Mutex::default(),
            numbers: AtomicU64::new(1),
        }
    }

    /// Numbers members, publishers and epochs; never the same twice, so an epoch is greater than all before it in any
    /// partition, also after a group was deleted and made anew.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed)
    }

    pub(crate) fn topic(&self, name: &str) -> Result<Arc<Topic>> {
        let topics = self.topics.read();
        topics
            .get(name)
            .cloned()
            .ok_or_else(|| Error::topic_missing(name))
    }
    /// Runs `f` with the topic and its partitions, which costs no reference count. `f` takes a log and an inbox at most.
    pub(crate) fn with_topic<R>(
        &self,
        name: &str,
        f: impl FnOnce(&Arc<Topic>, &[Arc<Partition>]) -> R,
    ) -> Result<R> {
        let topics = self.topics.read();
        let topic = topics.get(name).ok_or_else(|| Error::topic_missing(name))?;
        Ok(topic.with_partitions(|partitions| f(topic, partitions)))
    }
    pub(crate) fn topics(&self) -> Vec<Arc<Topic>> {
        let mut topics: Vec<_> = self.topics.read().values().cloned().collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        topics
    }
    pub(crate) fn create(&self, specs: &[TopicSpec]) {
        let mut topics = self.topics.write();
        for spec in specs {
            topics
                .entry(spec.name.clone())
                .or_insert_with(|| Arc::new(Topic::new(spec, &self.config)));
        }
    }

    /// Takes a topic away from groups and readers. Whoever joins in the meantime waits for `groups`.
    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        let mut wakes = Wakes::default();
        let groups = self.groups.lock();
        let topic = self.topics.write().remove(name);
        let topic = topic.ok_or_else(|| Error::topic_missing(name))?;
        for group in groups.values() {
            group.drop_topic(self, &topic.name, &mut wakes);
        }
        for reader in self.broadcasts.lock().values() {
            reader.drop_topic(&topic, &mut wakes);
        }
        drop(groups);
        topic.dissolve();
        Ok(())
    }

    pub(crate) fn grow(&self, name: &str, count: u32) -> Result<()> {
        let mut wakes = Wakes::default();
        let groups = self.groups.lock();
        let topic = self.topic(name)?;
        let now = topic.count();
        if count < now {
            return Err(Error::invalid(format!(
                "topic `{name}` has {now} partitions; there is no way to {count}, because partitions are never removed"
            )));
        }
        if count == now {
            return Ok(());
        }
        topic.add_partitions(count);
        for group in groups.values() {
            group.grow(self, &topic, &mut wakes);
        }
        for reader in self.broadcasts.lock().values() {
            reader.grow(self, &topic, now, &mut wakes);
        }
        Ok(())
    }

    /// Lets publishes go on that waited for a group which is gone or moved.
    pub(crate) fn serve_queues(&self) {
        for topic in self.topics().iter().filter(|t| !t.queue.is_empty()) {
            topic.serve_queue(self);
        }
    }

    /// What every group that reads the topic has settled, by partition; `None` without such a group.
    pub(crate) fn floors(&self, topic: &Topic, partitions: &[Arc<Partition>]) -> Option<Vec<u128>> {
        let mut floors: Option<Vec<u128>> = None;
        for group in self.groups.lock().values() {
            let Some(positions) = group
                .positions(&topic.name)
                .filter(|_| !mutant("trim-past-slowest"))
            else {
                continue;
            };
            let floors = floors.get_or_insert_with(|| vec![u128::MAX; partitions.len()]);
            for (floor, position) in floors.iter_mut().zip(positions) {
                *floor = position.min(*floor);
            }
        }
        floors
    }

    /// The group that is farthest behind, which is the one that keeps a full topic full.
    pub(crate) fn slowest(&self, topic: &Topic) -> Option<Name> {
        let partitions = topic.partitions();
        let groups = self.groups.lock();
        let behind = groups.values().filter_map(|group| {
            let positions = group.positions(&topic.name)?;
            let lag = |(p, position): (&Arc<Partition>, u128)| p.log.lock().count(position);
            let behind: u64 = partitions.iter().zip(positions).map(lag).sum();
            Some((behind, group.name.clone()))
        });
        behind.max().map(|(_, name)| name)
    }
}

/// Tells of new partitions.
pub(crate) fn changed(topic: &Topic) -> Notice {
    Notice::PartitionsChanged {
        topic: topic.name.clone(),
        partitions: topic.count(),
    }
}
