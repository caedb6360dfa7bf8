//! What the records of a subscription wait for that cannot be decoded yet: each is asked for once at a time.

use crate::{Error, ErrorKind, Need, Result, Retry};
use futures_util::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::atomic::{
        AtomicBool,
        Ordering::{Acquire, Release},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Waits between tries. The first are short, since what is missing may just be on its way to another replica.
pub(crate) const WAITS: Retry = Retry::exponential(Duration::from_millis(100)).cap(Duration::from_secs(10));
/// How long an answer for good is also that of records which ask later.
const FINAL: Duration = Duration::from_secs(1);
/// How long it is remembered what came, and how often it was asked for.
const KEPT: Duration = Duration::from_secs(60);

/// What some messages of a subscription wait for: [`Member::awaits`](crate::Member::awaits).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Awaited {
    /// What they wait for.
    pub need: Need,
    /// How many wait, about.
    pub messages: usize,
    /// For how long.
    pub age: Duration,
    /// Why it could not be fetched last; `None`: the first try is under way.
    pub error: Option<String>,
}

/// A slot, and what tells its delivery from a later one there.
type Place = (u32, u64);
/// A try, or the wait before the next; the answer to a try.
pub(crate) type Fetch = BoxFuture<'static, (Need, Option<Result<()>>)>;

#[derive(Debug, Default)]
pub(crate) struct Awaiting {
    state: Mutex<State>,
    /// Whether the pump has something to take, so that it need not take a lock to see that there is nothing.
    any: AtomicBool,
}

#[derive(Default)]
struct State {
    needs: HashMap<Need, Entry>,
    asked: Vec<Fetch>,
    again: Vec<Again>,
}

/// A record that waits no more, and why where it waited in vain.
pub(crate) type Again = (Place, Option<String>);

#[derive(Debug)]
struct Entry {
    stage: Stage,
    places: Vec<Place>,
    /// Those that wait, also while they are on their way to ask again.
    messages: usize,
    tries: u32,
    since: Instant,
    changed: Instant,
    error: Option<String>,
}

#[derive(Debug, PartialEq)]
enum Stage {
    /// A try is under way.
    Asked,
    /// The next try is to come.
    Pausing,
    /// Whoever comes next asks again.
    Due,
    /// It came.
    There,
    /// It will not come.
    Refused(String),
}

impl Awaiting {
    /// Asks for it, unless that is under way; what was said where it will not come.
    pub(crate) fn ask(
        &self,
        need: &Need,
        ready: impl FnOnce() -> Option<BoxFuture<'static, Result<()>>>,
    ) -> Option<String> {
        if let Some(known) = self.state.lock().known(need) {
            return known;
        }
        // A codec's own code, so not under the lock.
        let Some(ready) = ready() else {
            return Some(format!("{need} is missing, and its codec has no way to fetch it"));
        };
        let mut state = self.state.lock();
        // Somebody else may have been faster.
        if let Some(known) = state.known(need) {
            return known;
        }
        let fetch = state.begin(need.clone(), ready);
        state.asked.push(fetch);
        self.any.store(true, Release);
        None
    }
    /// A record waits from now on.
    pub(crate) fn join(&self, need: &Need, place: Place) {
        let mut state = self.state.lock();
        match state.needs.get_mut(need) {
            Some(entry) if matches!(entry.stage, Stage::Asked | Stage::Pausing) => {
                entry.places.push(place);
                entry.messages = entry.messages.max(entry.places.len());
            }
            // It came meanwhile.
            _ => state.again.push((place, None)),
        }
        self.any.store(true, Release);
    }
    /// What wait no more, and what was asked for, since the last call.
    pub(crate) fn take(&self) -> (Vec<Again>, Vec<Fetch>) {
        // Swapped before the lock is taken: what comes in between is found now, and looked for once more.
        if !self.any.swap(false, Acquire) {
            return Default::default();
        }
        let mut state = self.state.lock();
        (std::mem::take(&mut state.again), std::mem::take(&mut state.asked))
    }
    /// A try has its answer, or the wait before the next is over: what is to be awaited now.
    pub(crate) fn fetched(&self, (need, answer): (Need, Option<Result<()>>)) -> Option<Fetch> {
        let mut state = self.state.lock();
        let State { needs, again, .. } = &mut *state;
        let entry = needs.get_mut(&need)?;
        entry.changed = Instant::now();
        let mut refused = None;
        match answer {
            Some(Err(error)) if error.is_transient() => {
                let (tries, messages) = (entry.tries, entry.places.len());
                match entry.error.replace(error.to_string()) {
                    None => {
                        tracing::warn!(%need, %error, messages, "messages wait for what their codec needs")
                    }
                    Some(_) => tracing::debug!(%need, %error, messages, tries, "messages still wait"),
                }
                entry.stage = Stage::Pausing;
                let wait = WAITS.wait(tries);
                return Some(Box::pin(async move {
                    sleep(wait).await;
                    (need, None)
                }));
            }
            Some(Err(error)) => {
                refused = Some(error.to_string());
                (entry.stage, entry.messages) = (Stage::Refused(error.to_string()), 0);
            }
            Some(Ok(())) => {
                if entry.error.take().is_some() {
                    // Who asks again for what has just come waits as after one try.
                    entry.tries = 1;
                    let waited = entry.since.elapsed();
                    tracing::info!(%need, ?waited, "what messages waited for is there");
                }
                (entry.stage, entry.messages) = (Stage::There, 0);
            }
            None => entry.stage = Stage::Due,
        }
        again.extend(entry.places.drain(..).map(|place| (place, refused.clone())));
        self.any.store(true, Release);
        None
    }
    /// What is waited for.
    pub(crate) fn list(&self) -> Vec<Awaited> {
        let state = self.state.lock();
        // One that is due for long waits for nobody: its records have left with their partitions.
        let waits = |entry: &Entry| match entry.stage {
            Stage::Asked | Stage::Pausing => true,
            Stage::Due => entry.changed.elapsed() < KEPT,
            Stage::There | Stage::Refused(_) => false,
        };
        let awaited = |(need, entry): (&Need, &Entry)| Awaited {
            need: need.clone(),
            messages: entry.messages,
            age: entry.since.elapsed(),
            error: entry.error.clone(),
        };
        let found = state.needs.iter().filter(|(_, entry)| waits(entry));
        found.map(awaited).collect()
    }
}

impl State {
    /// What is known: nothing, that it is asked for (`Some(None)`), or that it will not come.
    fn known(&self, need: &Need) -> Option<Option<String>> {
        let entry = self.needs.get(need)?;
        match &entry.stage {
            Stage::Asked | Stage::Pausing => Some(None),
            Stage::Refused(why) if entry.changed.elapsed() < FINAL => Some(Some(why.clone())),
            _ => None,
        }
    }
    fn begin(&mut self, need: Need, ready: BoxFuture<'static, Result<()>>) -> Fetch {
        let now = Instant::now();
        let under_way = |entry: &Entry| matches!(entry.stage, Stage::Asked | Stage::Pausing);
        self.needs
            .retain(|_, entry| under_way(entry) || entry.changed + KEPT > now);
        let entry = self.needs.entry(need.clone()).or_insert_with(|| Entry {
            stage: Stage::Due,
            places: Vec::new(),
            messages: 0,
            tries: 0,
            since: now,
            changed: now,
            error: None,
        });
        // What came a moment ago and is asked for again would come in a circle without a wait.
        let wait = match entry.stage {
            Stage::There => WAITS.wait(entry.tries.max(1)),
            _ => Duration::ZERO,
        };
        if !matches!(entry.stage, Stage::Due) {
            (entry.since, entry.error) = (now, None);
        }
        entry.tries = match entry.stage {
            Stage::Refused(_) => 1,
            _ => entry.tries.saturating_add(1),
        };
        (entry.stage, entry.changed) = (Stage::Asked, now);
        Box::pin(async move {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            let panicked = |_| Err(Error::new(ErrorKind::Other, format!("fetching {need} panicked")));
            let answer = AssertUnwindSafe(ready).catch_unwind().await;
            let answer = answer.unwrap_or_else(panicked);
            (need, Some(answer))
        })
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}
