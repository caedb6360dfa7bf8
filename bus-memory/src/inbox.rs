//! How a subscriber hears of things: notices about ownership, partitions with something to read, and one parked waker.

use crate::{topic::Partition, topic::Topic, wakes::Wakes};
use bus_core::{Bytes, Name, Shard};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Poll, Waker},
};
use tokio::time::{Instant, sleep_until};

/// What a group or an administrator tells a subscriber.
#[derive(Debug)]
pub(crate) enum Notice {
    Gained(Gain),
    Losing { shard: Shard, until: Instant },
    Lost(Shard),
    TopicLost(Name),
    PartitionsChanged { topic: Name, partitions: u32 },
}

/// A partition to read, and from where.
#[derive(Debug)]
pub(crate) struct Gain {
    pub(crate) shard: Shard,
    pub(crate) topic: Arc<Topic>,
    pub(crate) partition: Arc<Partition>,
    pub(crate) next: u128,
    /// The end at the time of assignment: behind it the reader has caught up.
    pub(crate) end: u128,
    pub(crate) notes: Bytes,
}

/// What one look takes out.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) notices: VecDeque<Notice>,
    /// Epochs of shards whose next record was removed before it was read.
    pub(crate) overtaken: Vec<u64>,
}

#[derive(Debug, Default)]
struct State {
    taken: Taken,
    /// Epochs of shards with records; each at most once, because a publisher disarms what it puts here.
    ready: VecDeque<u64>,
    waker: Option<Waker>,
    wants_records: bool,
    /// When the group has to look at its clock again.
    deadline: Option<Instant>,
}

#[derive(Debug, Default)]
pub(crate) struct Inbox(Mutex<State>);

impl Inbox {
    pub(crate) fn push(&self, notice: Notice, wakes: &mut Wakes) {
        let mut state = self.0.lock();
        // Only the newest count matters, and a reader that never looks must not let them pile up.
        if let Notice::PartitionsChanged { topic, .. } = &notice {
            state
                .taken
                .notices
                .retain(|n| !matches!(n, Notice::PartitionsChanged { topic: t, .. } if t == topic));
        }
        state.taken.notices.push_back(notice);
        wakes.add(state.waker.take());
    }

    /// Takes back a shard that the subscriber has not heard of yet.
    pub(crate) fn take_back(&self, shard: Shard) -> bool {
        let mut state = self.0.lock();
        let notices = &mut state.taken.notices;
        let found = notices
            .iter()
            .position(|n| matches!(n, Notice::Gained(gain) if gain.shard == shard));
        found.is_some_and(|at| {
            notices.remove(at);
            // A seek of a shard that leaves announces both at once.
            notices.retain(|n| !matches!(n, Notice::Losing { shard: s, .. } if *s == shard));
            true
        })
    }

    /// Says that a shard is lost; one that was never heard of just disappears.
    pub(crate) fn lose(&self, shard: Shard, wakes: &mut Wakes) {
        if self.take_back(shard) {
            return;
        }
        let mut state = self.0.lock();
        let notices = &mut state.taken.notices;
        notices.retain(|n| !matches!(n, Notice::Losing { shard: s, .. } if *s == shard));
        notices.push_back(Notice::Lost(shard));
        wakes.add(state.waker.take());
    }

    pub(crate) fn ready(&self, epoch: u64, wakes: &mut Wakes) {
        let mut state = self.0.lock();
        state.ready.push_back(epoch);
        if state.wants_records {
            wakes.add(state.waker.take());
        }
    }

    pub(crate) fn overtaken(&self, epoch: u64, wakes: &mut Wakes) {
        let mut state = self.0.lock();
        state.taken.overtaken.push(epoch);
        wakes.add(state.waker.take());
    }

    pub(crate) fn set_deadline(&self, deadline: Option<Instant>, wakes: &mut Wakes) {
        let mut state = self.0.lock();
        if state.deadline != deadline {
            state.deadline = deadline;
            wakes.add(state.waker.take());
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.lock().deadline
    }

    /// Takes what is urgent, and moves what is ready behind `ready`.
    pub(crate) fn take(&self, ready: &mut VecDeque<u64>) -> Taken {
        let mut state = self.0.lock();
        ready.append(&mut state.ready);
        std::mem::take(&mut state.taken)
    }

    /// Waits until there is something to take, or the deadline is due. Takes nothing, so it may be dropped.
    pub(crate) async fn wait(&self, wants_records: bool) {
        let deadline = self.deadline();
        let mut timer = pin!(deadline.map(sleep_until));
        poll_fn(|cx| {
            if let Some(timer) = timer.as_mut().as_pin_mut()
                && timer.poll(cx).is_ready()
            {
                return Poll::Ready(());
            }
            let mut state = self.0.lock();
            let urgent = !state.taken.notices.is_empty() || !state.taken.overtaken.is_empty();
            let records = wants_records && !state.ready.is_empty();
            if urgent || records || state.deadline != deadline {
                state.waker = None;
                return Poll::Ready(());
            }
            state.wants_records = wants_records;
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await
    }
}
