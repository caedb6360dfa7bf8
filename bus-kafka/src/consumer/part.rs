//! One partition, as the thread knows it.

use super::{mailbox::Gauge, starts::Found};
use crate::native::Queue;
use bus_core::{Bytes, Shard};
use std::{sync::Arc, time::Instant};

/// A topic's index in the subscription, and a partition.
pub(super) type Place = (u32, u32);

pub(super) struct Part {
    pub(super) state: State,
    /// Since when it has waited; valid in `Asking`, `Starting` and `Finding`, and where it is adrift.
    pub(super) since: Instant,
    /// A start that was found too late to be stored without asking once more.
    pub(super) found: Option<Found>,
    /// Part of librdkafka's assignment.
    pub(super) assigned: bool,
    /// The last epoch in which it was owned; valid in `Active` and `Leaving`.
    pub(super) shard: Shard,
    /// The tag of the last question for its stored offset. What was asked before it was assigned is no answer: its
    /// former owner may have stored more since.
    pub(super) asked: usize,
    pub(super) queue: Option<Queue>,
    pub(super) gauge: Arc<Gauge>,
    /// librdkafka's position is not to be trusted: nothing is read before it was told again.
    pub(super) stray: bool,
    /// It is out of range: nothing is known of its position before it was started again.
    pub(super) adrift: bool,
    /// What is stored for others to see, where that is beyond the position: only what holds no record lies between.
    pub(super) tidied: i64,
    /// The offset that the next record has at least.
    pub(super) expected: i64,
    /// What the last commit of this epoch stored.
    pub(super) stored: i64,
    pub(super) notes: Bytes,
    /// The end that was seen when it was gained, until it is reached.
    pub(super) end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Assigned by the group; its stored offset is being asked for.
    Asking,
    /// The group has no position there: its start is being looked up and stored.
    Starting,
    /// Its position is being looked up or stored.
    Finding,
    /// Owned: records flow.
    Active,
    /// Owned until it is released or its grace is over: no records any more.
    Leaving,
    /// Not owned, though perhaps still in librdkafka's assignment.
    Void,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Unknown,
    At(i64),
    Reached,
}

impl Part {
    pub(super) fn new(place: Place, state: State) -> Self {
        Self {
            state,
            since: Instant::now(),
            found: None,
            assigned: false,
            shard: Shard {
                topic: place.0,
                partition: place.1,
                epoch: 0,
            },
            asked: 0,
            queue: None,
            gauge: Arc::default(),
            stray: false,
            adrift: false,
            tidied: 0,
            expected: 0,
            stored: 0,
            notes: Bytes::new(),
            end: End::Unknown,
        }
    }
    /// Not read before something is known that has to be asked for.
    pub(super) fn waits(&self) -> bool {
        match self.state {
            State::Asking | State::Starting | State::Finding => true,
            State::Active => self.adrift,
            State::Leaving | State::Void => false,
        }
    }
    /// Owned in exactly this epoch.
    pub(super) fn is(&self, shard: Shard) -> bool {
        self.shard == shard && matches!(self.state, State::Active | State::Leaving)
    }
    pub(super) fn is_owned(&self) -> bool {
        matches!(self.state, State::Active | State::Leaving)
    }
}
