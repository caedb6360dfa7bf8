//! What a subscription counts: only core knows which messages are retried, given up or settled too late.
//!
//! The flow is behind one lock, and whoever holds it adds to plain atomics that nobody else writes: no lock, no
//! allocation and no locked instruction for a count. Readers take no lock at all.

use crate::{Control, failures::Failures};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::Instant;

/// What a subscription did so far, and how full it is: [`Control::stats`]. Counts begin with the subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Deliveries handed to the application, later attempts included. A reader's handful counts when it is used up.
    pub delivered: u64,
    /// Acknowledged, with or without outputs.
    pub acked: u64,
    /// Failed, to be tried again: nacked, or dropped without a verdict.
    pub retried: u64,
    /// Given up after the last attempt, to the dead letters. The dead letter is stored with a commit later on.
    pub exhausted: u64,
    /// Given up because the handler rejected it.
    pub rejected: u64,
    /// Given up because it could not be decoded.
    pub undecodable: u64,
    /// Not delivered to the application, because its time was over: skipped, and acked too, or kept as a dead letter.
    pub expired: u64,
    /// Not delivered to the application, because they were replayed for another group: acked too.
    pub for_others: u64,
    /// Given up and not kept, because the subscription has no dead letters.
    pub skipped: u64,
    /// Dropped while its partition or the subscription was leaving: comes again as the same attempt.
    pub returned: u64,
    /// Settled after its partition was lost: without effect, its new owner delivers it again.
    pub late: u64,
    /// Delivered or waiting to be, and not settled, in messages.
    pub in_flight: u64,
    /// The same in bytes.
    pub in_flight_bytes: u64,
    /// Settled and not stored yet: what a crash now would bring again, beside what is in flight.
    pub unstored: u64,
    /// Handlers at work on messages that were acknowledged before ([`Delivery::working`](crate::Delivery::working)).
    pub working: u64,
    /// Handlers that ended while they were timed ([`Control::time_handlers`]).
    pub handled: u64,
    /// How long those ran, together.
    pub handling: Duration,
    /// How long the slowest of them ran.
    pub slowest: Duration,
}

/// The counts themselves.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) delivered: Count,
    pub(crate) acked: Count,
    pub(crate) retried: Count,
    pub(crate) exhausted: Count,
    pub(crate) rejected: Count,
    pub(crate) undecodable: Count,
    pub(crate) expired: Count,
    pub(crate) for_others: Count,
    pub(crate) skipped: Count,
    pub(crate) returned: Count,
    pub(crate) late: Count,
    pub(crate) in_flight: Count,
    pub(crate) in_flight_bytes: Count,
    pub(crate) unstored: Count,
    pub(crate) working: AtomicU64,
    timed: AtomicBool,
    handled: AtomicU64,
    handling: AtomicU64,
    slowest: AtomicU64,
    pub(crate) failures: Failures,
}

/// A number that only the holder of the flow's lock writes.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    // Not `fetch_add`: there is one writer at a time, so a load and a store are enough.
    pub(crate) fn add(&self, more: usize) {
        self.set(self.get() + more as u64);
    }
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counters {
    /// A handler begins; `None`: nobody asked how long they take, and then the clock is not looked at.
    pub(crate) fn begin(&self) -> Option<Instant> {
        self.timed.load(Relaxed).then(Instant::now)
    }
    /// It ended.
    pub(crate) fn end(&self, begun: Option<Instant>) {
        let Some(begun) = begun else { return };
        let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.handled.fetch_add(1, Relaxed);
        self.handling.fetch_add(nanos, Relaxed);
        self.slowest.fetch_max(nanos, Relaxed);
    }
    fn stats(&self) -> Stats {
        Stats {
            delivered: self.delivered.get(),
            acked: self.acked.get(),
            retried: self.retried.get(),
            exhausted: self.exhausted.get(),
            rejected: self.rejected.get(),
            undecodable: self.undecodable.get(),
            expired: self.expired.get(),
            for_others: self.for_others.get(),
            skipped: self.skipped.get(),
            returned: self.returned.get(),
            late: self.late.get(),
            in_flight: self.in_flight.get(),
            in_flight_bytes: self.in_flight_bytes.get(),
            unstored: self.unstored.get(),
            working: self.working.load(Relaxed),
            handled: self.handled.load(Relaxed),
            handling: Duration::from_nanos(self.handling.load(Relaxed)),
            slowest: Duration::from_nanos(self.slowest.load(Relaxed)),
        }
    }
}

impl Control {
    /// What the subscription did so far; also after its end. Takes no lock, asks nobody. Acks only set bits: they are
    /// counted when somebody looks at them, within the commit interval.
    pub fn stats(&self) -> Stats {
        self.counters.stats()
    }
    /// From now on, measures how long each handler of [`for_each`](crate::Subscription::for_each) runs. Off by default,
    /// because it looks at the clock twice a message.
    pub fn time_handlers(&self) {
        self.counters.timed.store(true, Relaxed);
    }
}
