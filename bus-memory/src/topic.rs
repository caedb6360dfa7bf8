//! A topic and its partitions.

use crate::{
    clock::millis_of,
    config::MemoryConfig,
    log::{Log, Segment},
    queue::Queue,
    stock::Stock,
    wakes::Wakes,
};
use bus_core::{Error, Message, Name, Result, Start, TopicSpec, partition::Partitioner};
use parking_lot::{Mutex, RwLock};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

/// One partition. Its lock is the only one that a publish to it and a read from it take.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) number: u32,
    pub(crate) log: Mutex<Log>,
}

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: Name,
    spec: TopicSpec,
    retention: Option<i64>,
    partitions: RwLock<Vec<Arc<Partition>>>,
    /// Counts publishes without a key, which take turns.
    turn: AtomicU32,
    pub(crate) stock: Arc<Stock>,
    pub(crate) queue: Queue,
}

impl Topic {
    pub(crate) fn new(spec: &TopicSpec, config: &MemoryConfig) -> Self {
        let stock = Arc::new(Stock::new(config.max_messages, config.max_bytes));
        // A compacted topic keeps the newest record of each key, however old.
        let retention = spec.retention.filter(|_| !spec.compact);
        let topic = Self {
            name: spec.name.clone(),
            spec: spec.clone(),
            retention: retention.map(|r| i64::try_from(r.as_millis()).unwrap_or(i64::MAX)),
            partitions: RwLock::new(Vec::new()),
            turn: AtomicU32::new(0),
            stock,
            queue: Queue::default(),
        };
        topic.add_partitions(spec.partitions);
        topic
    }

    pub(crate) fn spec(&self) -> TopicSpec {
        self.spec.clone().partitions(self.count())
    }
    pub(crate) fn compact(&self) -> bool {
        self.spec.compact
    }
    pub(crate) fn has_retention(&self) -> bool {
        self.retention.is_some()
    }
    pub(crate) fn count(&self) -> u32 {
        self.partitions.read().len() as u32
    }
    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().clone()
    }
    pub(crate) fn partition(&self, number: u32) -> Option<Arc<Partition>> {
        self.partitions.read().get(number as usize).cloned()
    }
    pub(crate) fn add_partitions(&self, count: u32) {
        let mut partitions = self.partitions.write();
        for number in partitions.len() as u32..count {
            let log = Mutex::new(Log::new(self.stock.clone()));
            partitions.push(Arc::new(Partition { number, log }));
        }
    }

    /// Runs `f` with the partitions, without a copy of the list.
    pub(crate) fn with_partitions<R>(&self, f: impl FnOnce(&[Arc<Partition>]) -> R) -> R {
        f(&self.partitions.read())
    }

    /// The turn of a message without a key.
    pub(crate) fn turn(&self) -> u32 {
        self.turn.fetch_add(1, Relaxed)
    }

    /// Where a message goes, or why it cannot be stored. `turn` places those without a key.
    pub(crate) fn place(&self, message: &Message, count: u32, turn: u32, limit: usize) -> Result<u32> {
        let size = message.size();
        if size > limit {
            return Err(Error::too_large(&self.name, size, limit));
        }
        if self.spec.compact && message.key.is_none() {
            return Err(Error::invalid(format!(
                "topic `{}` is compacted: give each message a key",
                self.name
            )));
        }
        match (message.partition, &message.key) {
            (Some(partition), _) if partition >= count => Err(Error::invalid(format!(
                "topic `{}` has partitions 0 to {}, not {partition}",
                self.name,
                count - 1
            ))),
            (Some(partition), _) => Ok(partition),
            (None, Some(key)) => Ok(Partitioner::Murmur2.partition(key, count)),
            (None, None) => Ok(turn % count),
        }
    }

    /// The time before which records are forgotten, if this topic forgets any by age.
    pub(crate) fn cutoff(&self, now: i64) -> Option<i64> {
        self.retention.map(|retention| now.saturating_sub(retention))
    }
    pub(crate) fn expire(&self, partition: &Partition, now: i64, wakes: &mut Wakes) -> Vec<Segment> {
        match self.cutoff(now) {
            Some(cutoff) => partition.log.lock().expire(cutoff, wakes),
            None => Vec::new(),
        }
    }
}

impl Partition {
    /// Where `start` lies; `stored` is what [`Start::Stored`] means. A position behind the end is the end.
    pub(crate) fn resolve(&self, start: &Start, stored: Option<u128>) -> Result<u128> {
        let log = self.log.lock();
        Ok(match start {
            Start::Earliest => log.first(),
            Start::Latest => log.end(),
            Start::Time(time) => log.since(millis_of(*time)),
            Start::Positions(positions) => positions
                .get(&self.number)
                .map_or(log.first(), |position| (*position).min(log.end())),
            Start::Stored => {
                return stored.ok_or_else(|| {
                    Error::new(
                        bus_core::ErrorKind::GroupMissing,
                        "there is no stored position; start with another `Start` first",
                    )
                });
            }
            _ => {
                return Err(Error::new(
                    bus_core::ErrorKind::Unsupported,
                    "memory does not know this `Start`",
                ));
            }
        })
    }

    pub(crate) fn bounds(&self) -> (u128, u128) {
        let log = self.log.lock();
        (log.first(), log.end())
    }
}
