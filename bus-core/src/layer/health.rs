//! What is known of the broker and of our subscriptions, without asking anybody.

use super::{
    around::{Around, Call, Wrapped},
    group_of,
    op::Op,
};
use crate::{
    Ack, Backend, Done, Error, ErrorKind, Event, Message, Name, Pending, Publisher, Result, Room, Shard,
    Source, Subscriber,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

/// Watches the calls of a backend, and says what they showed: [`report`](Self::report). Cheap to clone; every clone is the
/// same.
///
/// The broker counts as out of reach from a call that failed with `Unavailable` or `Timeout` until one succeeds.
/// [`Backend::health`] fails then too, with that error, beside what the backend knows by itself. The log lines about a
/// connection that is lost and is back come from the backends, which know the address.
#[derive(Clone, Debug)]
pub struct Health {
    wrapped: Wrapped<Known>,
}

/// What [`Health`] knows.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// Whether the last call that could tell was answered, and the backend itself knows nothing else.
    pub connected: bool,
    /// Since when that is so.
    pub since: SystemTime,
    /// What failed last, also when all is well again. A broker's address is in its text.
    pub last_error: Option<LastError>,
    /// The operations that fail, with how often in a row.
    pub failing: Vec<Failing>,
    /// The subscriptions that are alive.
    pub subscriptions: Vec<Membership>,
    /// When a publish was confirmed last.
    pub last_publish: Option<SystemTime>,
    /// When a commit was stored last.
    pub last_commit: Option<SystemTime>,
}

/// A call that failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct LastError {
    /// When.
    pub at: SystemTime,
    /// What was asked for, as metrics and spans call it.
    pub operation: &'static str,
    /// Why.
    pub error: Error,
}

/// An operation that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failing {
    /// Its name, as metrics and spans call it.
    pub operation: &'static str,
    /// Failures since it succeeded last.
    pub times: u64,
}

/// A subscription that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Membership {
    /// Its group; `None`: an observer.
    pub group: Option<Name>,
    /// What it reads.
    pub topics: Vec<Name>,
    /// The partitions it owns, with their topics, sorted.
    pub owned: Vec<(Name, u32)>,
    /// Those of them whose ownership is in doubt.
    pub suspended: Vec<(Name, u32)>,
}

impl Health {
    /// Watches this backend.
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        let around = Arc::new(Known {
            down: AtomicBool::new(false),
            last_publish: AtomicU64::new(0),
            last_commit: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            state: Mutex::new(State {
                since: SystemTime::now(),
                last_error: None,
                failing: BTreeMap::new(),
                seats: Vec::new(),
            }),
        });
        Self {
            wrapped: Wrapped { inner, around },
        }
    }
    /// What is known now.
    pub fn report(&self) -> Report {
        let known = &self.wrapped.around;
        let connected = self.health().is_ok();
        let mut state = known.state.lock();
        state.seats.retain(|seat| seat.strong_count() > 0);
        let failing = state.failing.iter();
        Report {
            connected,
            since: state.since,
            last_error: state.last_error.as_ref().map(LastError::duplicate),
            failing: failing
                .map(|(&operation, &times)| Failing { operation, times })
                .collect(),
            subscriptions: state
                .seats
                .iter()
                .filter_map(Weak::upgrade)
                .map(|seat| seat.membership())
                .collect(),
            last_publish: at(&known.last_publish),
            last_commit: at(&known.last_commit),
        }
    }
}

is_backend!(Health);

impl LastError {
    fn duplicate(&self) -> Self {
        Self {
            error: self.error.duplicate(),
            ..*self
        }
    }
}

#[derive(Debug)]
struct Known {
    /// Out of reach, by our own calls.
    down: AtomicBool,
    /// Milliseconds since 1970 UTC; 0: never.
    last_publish: AtomicU64,
    last_commit: AtomicU64,
    /// Some operation fails: its success has to be noted.
    failed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    since: SystemTime,
    last_error: Option<LastError>,
    failing: BTreeMap<&'static str, u64>,
    seats: Vec<Weak<Seat>>,
}

#[derive(Debug)]
struct Seat {
    group: Option<Name>,
    topics: Vec<Name>,
    shards: Mutex<Shards>,
}

#[derive(Debug, Default)]
struct Shards {
    owned: BTreeSet<Shard>,
    suspended: BTreeSet<Shard>,
}

impl Seat {
    fn happened(&self, event: &Event) {
        match event {
            Event::Gained { shard, .. } => {
                self.shards.lock().owned.insert(*shard);
            }
            Event::Lost(shard) => {
                let mut shards = self.shards.lock();
                shards.owned.remove(shard);
                shards.suspended.remove(shard);
            }
            Event::Suspended(shard) => {
                self.shards.lock().suspended.insert(*shard);
            }
            Event::Resumed(shard) => {
                self.shards.lock().suspended.remove(shard);
            }
            _ => {}
        }
    }
    fn membership(&self) -> Membership {
        let names = |shards: &BTreeSet<Shard>| {
            let name = |s: &Shard| Some((self.topics.get(s.topic as usize)?.clone(), s.partition));
            shards.iter().filter_map(name).collect()
        };
        let shards = self.shards.lock();
        Membership {
            group: self.group.clone(),
            topics: self.topics.clone(),
            owned: names(&shards.owned),
            suspended: names(&shards.suspended),
        }
    }
}

impl Known {
    /// A call was answered.
    fn fine(&self, operation: &'static str) {
        if self.failed.load(Relaxed) {
            let mut state = self.state.lock();
            state.failing.remove(operation);
            self.failed.store(!state.failing.is_empty(), Relaxed);
        }
        if self.down.load(Relaxed) && self.down.swap(false, Relaxed) {
            self.state.lock().since = SystemTime::now();
        }
    }
    fn failed(&self, operation: &'static str, error: &Error) {
        let mut state = self.state.lock();
        let now = SystemTime::now();
        if is_silence(error) {
            if !self.down.swap(true, Relaxed) {
                state.since = now;
            }
        } else if self.down.swap(false, Relaxed) {
            // A refusal is an answer.
            state.since = now;
        }
        *state.failing.entry(operation).or_default() += 1;
        self.failed.store(true, Relaxed);
        state.last_error = Some(LastError {
            at: now,
            operation,
            error: error.duplicate(),
        });
    }
    fn told<T>(&self, operation: &'static str, result: &Result<T>) {
        match result {
            Ok(_) => self.fine(operation),
            // Not the broker's fault, and no failing of ours.
            Err(error) if error.kind() == ErrorKind::Fenced => self.fine(operation),
            Err(error) => self.failed(operation, error),
        }
    }
    fn published(&self, outcomes: &[Result<crate::Outcome, crate::Unsent>]) {
        let failure = outcomes.iter().find_map(|outcome| outcome.as_ref().err());
        if outcomes.iter().any(Result::is_ok) {
            stamp(&self.last_publish);
        }
        match failure {
            None => self.fine("publish"),
            Some(unsent) => self.failed("publish", unsent.error()),
        }
    }
}

/// Whether nobody answered.
fn is_silence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}

fn stamp(time: &AtomicU64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    time.store(now.unwrap_or_default().as_millis() as u64, Relaxed);
}

fn at(time: &AtomicU64) -> Option<SystemTime> {
    match time.load(Relaxed) {
        0 => None,
        millis => Some(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)),
    }
}

impl Around for Known {
    type Seat = Seat;
    fn seat(&self, source: &Source, _: &Arc<dyn Ack>) -> Arc<Seat> {
        let seat = Arc::new(Seat {
            group: Some(group_of(source)).filter(|g| !g.is_empty()).map(Name::from),
            topics: source.topics.clone(),
            shards: Mutex::default(),
        });
        let mut state = self.state.lock();
        state.seats.retain(|seat| seat.strong_count() > 0);
        state.seats.push(Arc::downgrade(&seat));
        seat
    }
    async fn call<T: Send>(
        &self,
        call: Call<'_>,
        inner: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let result = inner.await;
        // What only lets go says nothing about the broker: a close is bounded and may end without an answer.
        if !(call.op.closes() || call.op == Op::OpenPublisher) {
            self.told(call.op.name(), &result);
        }
        result
    }
    fn publish(self: &Arc<Self>, inner: &dyn Publisher, topic: &str, batch: Vec<Message>) -> Pending {
        match inner.publish_batch(topic, batch).now() {
            Ok(outcomes) => {
                self.published(&outcomes);
                Pending::ready(outcomes)
            }
            Err(pending) => {
                let known = self.clone();
                Pending::new(async move {
                    let outcomes = pending.await;
                    known.published(&outcomes);
                    outcomes
                })
            }
        }
    }
    async fn receive(
        &self,
        seat: &Seat,
        inner: &mut dyn Subscriber,
        room: Room,
        events: &mut Vec<Event>,
    ) -> Result<()> {
        let before = events.len();
        let result = inner.receive(room, events).await;
        let mut records = false;
        for event in events.iter().skip(before) {
            records |= matches!(event, Event::Records { .. });
            seat.happened(event);
        }
        // Events may be the backend's own conclusion; records are an answer of the broker.
        if records || result.is_err() {
            self.told("receive", &result);
        }
        result
    }
    fn paused(&self, _: &Seat, _: Shard, _: bool) {}
    async fn commit(&self, _: &Seat, inner: &dyn Ack, done: Vec<Done>) -> Vec<Result<()>> {
        let results = inner.commit(done).await;
        if results.iter().any(Result::is_ok) {
            stamp(&self.last_commit);
        }
        let failure = |result: &&Result<()>| result.as_ref().is_err_and(|e| e.kind() != ErrorKind::Fenced);
        match results.iter().find(failure) {
            Some(failed) => self.told("commit", failed),
            None => self.fine("commit"),
        }
        results
    }
    fn health(&self, inner: Result<()>) -> Result<()> {
        inner?;
        if !self.down.load(Relaxed) {
            return Ok(());
        }
        match &self.state.lock().last_error {
            Some(last) => Err(last.error.duplicate()),
            None => Ok(()),
        }
    }
}
