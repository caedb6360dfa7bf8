//! What an application is told about its partitions, and the hook that it is told by.

use crate::{Name, Shard};
use futures_util::{FutureExt, future::BoxFuture};
use std::{collections::VecDeque, fmt, panic::AssertUnwindSafe, sync::Arc};

/// Something happened to a partition of a subscription. See [`Subscribe::on_notice`](crate::Subscribe::on_notice).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The partition is ours from this position on. Nothing of it is delivered before the hook has returned, so local
    /// state can be loaded first.
    Gained {
        /// The topic.
        topic: Name,
        /// The partition.
        partition: u32,
        /// The first position that is not settled.
        position: u128,
    },
    /// The partition is no longer ours, and no message of it is settled any more. Also told of every partition that is
    /// still owned when the subscription ends.
    Lost {
        /// The topic.
        topic: Name,
        /// The partition.
        partition: u32,
    },
    /// What was there when the partition was gained has been handed out; see
    /// [`Control::caught_up`](crate::Control::caught_up) for when it is settled.
    CaughtUp {
        /// The topic.
        topic: Name,
        /// The partition.
        partition: u32,
    },
    /// Positions in `from..to` were removed before they were read.
    DataLoss {
        /// The topic.
        topic: Name,
        /// The partition.
        partition: u32,
        /// The first position that is missing.
        from: u128,
        /// The first position that is there.
        to: u128,
    },
    /// An administrator added partitions: the order of keys that moved is void until the old ones are drained.
    PartitionsChanged {
        /// The topic.
        topic: Name,
        /// How many it has now.
        partitions: u32,
    },
}

pub(crate) type Hook = Arc<dyn Fn(Notice) -> BoxFuture<'static, ()> + Send + Sync>;

type Call = BoxFuture<'static, Result<(), Panicked>>;

/// Runs the hook for one notice after the other, in the order in which things happened.
#[derive(Default)]
pub(crate) struct Notices {
    hook: Option<Hook>,
    waiting: VecDeque<(Notice, Option<Shard>)>,
    running: Option<(Option<Shard>, Call)>,
}

/// The hook panicked: what it keeps may be in any state.
#[derive(Debug)]
pub(crate) struct Panicked;

impl Notices {
    pub(crate) fn new(hook: Option<Hook>) -> Self {
        Self {
            hook,
            ..Self::default()
        }
    }
    /// Whether anybody listens.
    pub(crate) fn is_on(&self) -> bool {
        self.hook.is_some()
    }
    /// Tells this after what was told before; `shard` is what waits for it.
    pub(crate) fn tell(&mut self, notice: Notice, shard: Option<Shard>) {
        if self.is_on() {
            self.waiting.push_back((notice, shard));
        }
    }
    /// Whether everything was told.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_none()
    }
    /// The next that was told, and the shard that waited for it. Cancel-safe; pending for ever when nothing is left.
    pub(crate) async fn told(&mut self) -> Result<Option<Shard>, Panicked> {
        if self.running.is_none()
            && let (Some(hook), Some((notice, shard))) = (&self.hook, self.waiting.pop_front())
        {
            let hook = hook.clone();
            // The call itself is inside, because it may panic as well as its future.
            let call = AssertUnwindSafe(async move { hook(notice).await });
            let call = call.catch_unwind().map(|result| result.map_err(|_| Panicked));
            self.running = Some((shard, Box::pin(call)));
        }
        match &mut self.running {
            Some((shard, call)) => {
                let (shard, result) = (*shard, call.await);
                self.running = None;
                result.map(|()| shard)
            }
            None => std::future::pending().await,
        }
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices")
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
