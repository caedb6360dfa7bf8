//! What the broken handles of one server share.

use super::Fault;
use crate::{Ack, Error, ErrorKind, Name, Publisher, Shard};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// A group's partition.
pub(super) type Place = (Name, Name, u32);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) fault: Fault,
    pub(super) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Messages published so far.
    pub(super) published: u64,
    pub(super) last_topic: Option<String>,
    /// Payloads that the bus wrote.
    pub(super) own: HashSet<Option<Bytes>>,
    /// Who owns what by the backend's own word.
    pub(super) owners: HashMap<Place, (Shard, Arc<dyn Ack>)>,
    /// The last notes that were stored.
    pub(super) notes: HashMap<Place, Bytes>,
    /// Members so far.
    pub(super) members: HashMap<Name, usize>,
    /// What was forgotten already.
    pub(super) forgotten: HashSet<Place>,
    /// How often the server or the way to it was harmed.
    pub(super) harmed: usize,
    /// Publishes to come that have no reply the first time.
    pub(super) unanswered: usize,
    /// A publish was given up, and what it kept is not given back.
    pub(super) stuck: bool,
    /// Handles that nobody closes any more.
    pub(super) leaked: Vec<Arc<dyn Publisher>>,
    /// Numbers observers.
    pub(super) observers: usize,
}

impl Shared {
    pub(super) fn new(fault: Fault) -> Self {
        Self {
            fault,
            state: Mutex::default(),
        }
    }
    pub(super) fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }
    /// The error, as this fault tells it.
    pub(super) fn error(&self, error: Error) -> Error {
        if self.is(Fault::WrongKinds) {
            Error::new(ErrorKind::Other, error.message())
        } else {
            error
        }
    }
}

/// What one subscriber and its ack know of each other.
#[derive(Debug)]
pub(super) struct Tracks {
    pub(super) shared: Arc<Shared>,
    /// `None`: an observer.
    pub(super) group: Option<Name>,
    pub(super) topics: Vec<Name>,
    pub(super) inner: Arc<dyn Ack>,
    pub(super) seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Behind the last record that was handed out.
    pub(super) highest: HashMap<Shard, u128>,
    /// Stored positions.
    pub(super) stored: HashMap<Shard, u128>,
    /// To be lost and gained again, and where.
    pub(super) flaps: Vec<(Shard, u128)>,
}

impl Tracks {
    pub(super) fn is(&self, fault: Fault) -> bool {
        self.shared.is(fault)
    }
    pub(super) fn place(&self, shard: Shard) -> Option<Place> {
        let topic = self.topics.get(shard.topic as usize)?;
        Some((self.group.clone()?, topic.clone(), shard.partition))
    }
}
