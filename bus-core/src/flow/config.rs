//! The knobs of a flow, with their defaults and reasons.

use crate::{Limits, Name, Retry};
use std::time::Duration;

/// Which deliveries may run at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// One delivery of a key at a time, in publish order; messages without a key have no order (default).
    #[default]
    Key,
    /// One delivery of a partition at a time, in log order.
    Partition,
    /// No order: a nacked message does not hold back others of its key.
    None,
}

/// What happens when records were removed before they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossPolicy {
    /// The subscription ends with a `DataLoss` error that names the range (default: nothing ever silently jumps).
    #[default]
    Stop,
    /// A warning names the range, and reading goes on behind it.
    GoOn,
}

/// Where the dead letters of one topic go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The topic; it exists.
    pub topic: Name,
    /// Its partitions: a dead letter keeps its partition number, modulo this.
    pub partitions: u32,
    /// Where those go instead that were given up for one of these reasons.
    pub by_reason: Vec<(Name, DeadLetter)>,
}

impl DeadLetter {
    /// Where a dead letter goes for this reason.
    pub fn of(&self, reason: &str) -> &DeadLetter {
        let own = self.by_reason.iter().find(|(known, _)| **known == *reason);
        own.map_or(self, |(_, to)| to)
    }
}

/// Settings of a flow.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The group's name; empty for an observer.
    pub group: Name,
    /// Messages delivered and not settled, at most (default 1 024: enough to hide a handler's latency, few enough
    /// to redeliver after a crash).
    pub in_flight: usize,
    /// Bytes of the same (default 16 MiB).
    pub in_flight_bytes: usize,
    /// Messages and bytes that one partition may hold before it is paused (default `None`: half of the window, while
    /// there are others). With it one receive brings no more than that, so no partition can take another one's part.
    pub share: Option<(usize, usize)>,
    /// Messages settled and not stored, at most (default 65 536); at half of that a commit goes out at once.
    pub unstored: usize,
    /// Age at which what is settled is stored (default 200 ms: what a crash may redeliver, against commits a second).
    pub commit_every: Duration,
    /// Whether that happens by itself (default yes); else what is settled is stored on a flush, a drain and a handover
    /// alone, and reading stops once `unstored` is used up.
    pub auto_commit: bool,
    /// Which deliveries may run at the same time.
    pub order: Order,
    /// Waits and attempts.
    pub retry: Retry,
    /// Dead letters by [`Shard::topic`](crate::Shard::topic); `None`: such a message is logged and skipped.
    pub dead_letter: Vec<Option<DeadLetter>>,
    /// What to do about removed records.
    pub on_data_loss: LossPolicy,
    /// The backend's sizes.
    pub limits: Limits,
}

impl Flow {
    /// The defaults, for a group of this name on a backend with these sizes.
    pub fn new(group: Name, limits: Limits) -> Self {
        Self {
            group,
            in_flight: 1024,
            in_flight_bytes: 16 << 20,
            share: None,
            unstored: 65_536,
            commit_every: Duration::from_millis(200),
            auto_commit: true,
            order: Order::default(),
            retry: Retry::default(),
            dead_letter: Vec::new(),
            on_data_loss: LossPolicy::default(),
            limits,
        }
    }
}
