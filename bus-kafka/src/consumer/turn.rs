//! Transactions and handovers take turns: what a transaction has begun with is ours until it has ended.

use super::wake::Wake;
use crate::native::{Client, Membership};
use parking_lot::{Condvar, Mutex};
use std::{
    sync::{Arc, OnceLock, Weak},
    time::Instant,
};

/// Held by the writer during a transaction, and by the reader while it gives partitions up or commits by itself. What
/// a transaction produced cannot be taken back, so a partition must not leave in the middle of one; and of two commits
/// the older must not be stored last.
#[derive(Debug)]
pub(super) struct Turn {
    taken: Mutex<bool>,
    free: Condvar,
    wake: Arc<Wake>,
    consumer: OnceLock<Weak<Client>>,
}

impl Turn {
    pub(super) fn new(wake: Arc<Wake>) -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::new(false),
            free: Condvar::new(),
            wake,
            consumer: OnceLock::new(),
        })
    }
    /// For the reader, which never waits: it is woken when the turn is given back.
    pub(super) fn try_take(&self) -> bool {
        !std::mem::replace(&mut *self.taken.lock(), true)
    }
    /// For the writer. Whether it is its turn now.
    pub(super) fn take_until(&self, deadline: Instant) -> bool {
        let mut taken = self.taken.lock();
        while *taken {
            if self.free.wait_until(&mut taken, deadline).timed_out() && *taken {
                return false;
            }
        }
        *taken = true;
        true
    }
    pub(super) fn give_back(&self) {
        *self.taken.lock() = false;
        self.free.notify_one();
        self.wake.wake();
    }
    /// On whose behalf offsets are stored.
    pub(super) fn is_for(&self, consumer: &Arc<Client>) {
        let _ = self.consumer.set(Arc::downgrade(consumer));
    }
    /// The member's place in its group now, if it is a member.
    pub(super) fn membership(&self) -> Option<Membership> {
        self.consumer.get()?.upgrade()?.membership()
    }
}
