//! What happened during a check, in the order in which it happened.

use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};
use tokio::sync::Notify;

/// What tells one message from another: its payload, as text.
pub type Id = Arc<str>;

/// Where a message is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The partition's number.
    pub partition: u32,
    /// The position in it.
    pub position: u128,
}

/// One thing that happened to one message.
#[derive(Clone, Debug)]
pub struct Happening {
    /// When.
    pub at: Instant,
    /// To which message.
    pub id: Id,
    /// Its key.
    pub key: Option<Id>,
    /// Where it is stored, if whoever recorded this knew.
    pub place: Option<Place>,
    /// What.
    pub what: What,
}

/// What may happen to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It was handed to a publisher, in this order among those of its key.
    Published,
    /// A member got it.
    Delivered {
        /// Which one.
        member: u32,
        /// For the how-manieth time, as the bus counts.
        attempt: u32,
    },
    /// A member acknowledged it.
    Acked {
        /// Which one.
        member: u32,
    },
    /// A member wants it again.
    Nacked {
        /// Not before this.
        until: Instant,
    },
    /// A member gave it back unsettled: its subscription ended, or its partition was taken.
    Returned,
    /// It was found among the dead letters.
    DeadLettered,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages published.
    pub published: usize,
    /// Deliveries, each time anew.
    pub delivered: usize,
    /// Messages acknowledged at least once.
    pub acked: usize,
    /// Nacks, each time anew.
    pub nacked: usize,
    /// Dead letters.
    pub dead: usize,
}

/// A record of what happened, shared by everybody who takes part in a check.
#[derive(Debug, Default)]
pub struct History {
    log: Mutex<Log>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Log {
    happenings: Vec<Happening>,
    acked: HashSet<Id>,
    by_member: HashMap<u32, usize>,
    failure: Option<String>,
    tally: Tally,
}

impl History {
    /// Records that something happened to a message now.
    pub fn add(&self, id: &Id, key: &Option<Id>, what: What) {
        self.add_at(id, key, None, what);
    }
    /// Records that something happened now to a message that is stored there.
    pub fn add_at(&self, id: &Id, key: &Option<Id>, place: Option<Place>, what: What) {
        let mut log = self.log.lock();
        let tally = &mut log.tally;
        match what {
            What::Published => tally.published += 1,
            What::Delivered { .. } => tally.delivered += 1,
            What::Nacked { .. } => tally.nacked += 1,
            What::DeadLettered => tally.dead += 1,
            What::Returned => {}
            What::Acked { member } => {
                *log.by_member.entry(member).or_default() += 1;
                if log.acked.insert(id.clone()) {
                    log.tally.acked += 1;
                }
            }
        }
        // Under the lock, so that the order of the log is the order of the times.
        log.happenings.push(Happening {
            at: Instant::now(),
            id: id.clone(),
            key: key.clone(),
            place,
            what,
        });
        drop(log);
        self.changed.notify_waiters();
    }
    /// How often what happened so far.
    pub fn tally(&self) -> Tally {
        self.log.lock().tally
    }
    /// Acks of one member so far.
    pub fn acks_of(&self, member: u32) -> usize {
        self.log.lock().by_member.get(&member).copied().unwrap_or(0)
    }
    /// Records that somebody who takes part had to stop, so that nobody waits for what cannot happen any more.
    pub fn fail(&self, why: String) {
        self.log.lock().failure.get_or_insert(why);
        self.changed.notify_waiters();
    }
    /// Why somebody had to stop.
    pub fn failure(&self) -> Option<String> {
        self.log.lock().failure.clone()
    }
    /// Why somebody had to stop, which was to be.
    pub fn forgive(&self) -> Option<String> {
        self.log.lock().failure.take()
    }
    /// Messages that were published and not acknowledged so far.
    pub fn open(&self) -> Vec<Id> {
        let log = self.log.lock();
        let published = log.happenings.iter().filter(|h| h.what == What::Published);
        published
            .map(|h| &h.id)
            .filter(|id| !log.acked.contains(*id))
            .cloned()
            .collect()
    }
    /// Everything so far.
    pub fn happenings(&self) -> Vec<Happening> {
        self.log.lock().happenings.clone()
    }
    /// Returns once this holds; it is looked at whenever something happened.
    pub async fn reaches(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if holds(self) {
                return;
            }
            changed.await;
        }
    }
}
