//! What the halves of a subscription share: which shards are ours, and what `receive` is to tell.

use super::{loss, observer::Found, ordinals::Ordinals};
use crate::facts::Facts;
use bus_core::{Error, Event, Name, Shard};
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Instant,
};
use tokio::sync::Notify;

/// Shared by the subscriber, its acks and the task that keeps the leases.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// There is something for `receive`.
    pub(crate) wake: Notify,
    /// There is something for the keeper.
    pub(crate) kick: Notify,
}

/// Behind the lock.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) held: BTreeMap<(u32, u32), Held>,
    pub(crate) notices: VecDeque<Notice>,
    pub(crate) closing: bool,
    /// What ended the keeper: no waiting helps against it.
    pub(crate) fatal: Option<Error>,
    /// Partitions that were just given back, and when: others go first.
    pub(crate) released: BTreeMap<(u32, u32), Instant>,
    /// The last records that were read of shards that were lost. A commit may see another run of the server first, and
    /// lose the shard; what was read is compared all the same.
    pub(crate) read: BTreeMap<(u32, u32), u128>,
}

/// A shard that is ours.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) shard: Shard,
    pub(crate) stream: Arc<str>,
    pub(crate) lease: Arc<str>,
    /// The server's run in which it was acquired: another run may have another history.
    pub(crate) run_id: Arc<str>,
    /// When the last renewal that succeeded was sent.
    pub(crate) renewed: Instant,
    pub(crate) suspended: bool,
    /// Until when it may be kept, where it has to go.
    pub(crate) losing: Option<Instant>,
    /// The sequence of the last commit whose end is known.
    pub(crate) sequence: u64,
    /// What the last commit stored, in this epoch.
    pub(crate) stored: Option<(u128, Bytes)>,
    pub(crate) ordinals: Ordinals,
    /// Ends of the stream that are not compared with what was read yet, and those before them.
    pub(crate) facts: Option<Facts>,
    pub(crate) compared: Option<Facts>,
    /// The last record that was read.
    pub(crate) read: Option<u128>,
    pub(crate) counting: bool,
    /// Up to where it was told of a history that went back.
    pub(crate) heard: u128,
}

/// What `receive` is to tell, in order.
#[derive(Debug)]
pub(crate) enum Notice {
    /// As it is.
    Event(Event),
    /// A shard, and how to read it.
    Open(Open),
    /// A shard of everyone's, behind which there is another history now.
    Reopen(Reopen),
}

/// A shard that goes on under a new epoch.
#[derive(Debug)]
pub(crate) struct Reopen {
    pub(crate) shard: Shard,
    pub(crate) topic: Name,
    pub(crate) found: Found,
    /// Positions that were read and are gone.
    pub(crate) gone: Option<(u128, u128)>,
}

/// A shard that was gained.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) shard: Shard,
    pub(crate) topic: Name,
    pub(crate) next: u128,
    pub(crate) notes: Bytes,
    pub(crate) stream: Arc<str>,
    pub(crate) run_id: Arc<str>,
    /// The newest entry at that moment.
    pub(crate) end: Option<u128>,
}

impl Shared {
    /// The state.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
    /// Tells `receive`.
    pub(crate) fn tell(&self, event: Event) {
        self.lock().notices.push_back(Notice::Event(event));
        self.wake.notify_one();
    }
    /// A shard is ours.
    pub(crate) fn open(&self, held: Held, open: Open) {
        let mut state = self.lock();
        state.held.insert((held.shard.topic, held.shard.partition), held);
        state.notices.push_back(Notice::Open(open));
        drop(state);
        self.wake.notify_one();
    }
    /// A shard is not ours any more; nothing happens where that is known.
    pub(crate) fn lose(&self, shard: Shard) {
        if self.lock().lose(shard) {
            self.wake.notify_one();
            self.kick.notify_one();
        }
    }
}

impl State {
    /// The shard, while it is ours in that epoch.
    pub(crate) fn get(&mut self, shard: Shard) -> Option<&mut Held> {
        self.held
            .get_mut(&(shard.topic, shard.partition))
            .filter(|held| held.shard == shard)
    }
    /// Forgets a shard and says so, once.
    pub(crate) fn lose(&mut self, shard: Shard) -> bool {
        if self.get(shard).is_none() {
            return false;
        }
        let key = (shard.topic, shard.partition);
        let read = self.held.remove(&key).and_then(|held| held.read);
        self.read.extend(read.map(|read| (key, read)));
        self.notices.push_back(Notice::Event(Event::Lost(shard)));
        true
    }
}

impl Held {
    /// The ends of the stream were seen; compared as soon as no reply is on its way.
    pub(crate) fn saw(&mut self, facts: Option<Facts>) {
        if self.counting && self.facts.is_none() {
            self.facts = facts;
        }
    }
    /// What is to be told of ranges that the lease keeps: each once in this epoch.
    pub(crate) fn hear(&mut self, ranges: Vec<(u128, u128)>) -> impl Iterator<Item = Event> + use<> {
        let (shard, heard) = (self.shard, self.heard);
        self.heard = ranges.iter().fold(self.heard, |heard, (_, to)| heard.max(*to));
        let ahead = ranges.into_iter().filter(move |(_, to)| *to > heard);
        ahead.map(move |(from, to)| Event::DataLoss {
            shard,
            from: from.max(heard),
            to,
        })
    }
    /// Compares what was removed with what was read up to `read_to`, and forgets what is settled. The positions that
    /// are missing.
    pub(crate) fn compare(&mut self, read_to: u128) -> Vec<(u128, u128)> {
        let missing = match self.facts.take() {
            Some(facts) => {
                let before = self.compared.replace(facts);
                loss::missing(&mut self.ordinals, before, facts, read_to)
            }
            None => Vec::new(),
        };
        if let Some((next, _)) = self.stored {
            self.ordinals.settle(next);
        }
        missing
    }
}
