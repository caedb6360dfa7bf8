//! What is asked for, and what it came to.

use super::{DeadLetters, fate::Action, run};
use crate::{Error, Name, Result};
use futures_util::future::BoxFuture;
use std::{
    fmt,
    future::{Future, IntoFuture},
    num::NonZeroU32,
};

/// A replay of dead letters to be, or their parking: set what differs from the defaults, then await it.
///
/// Each message goes back to the topic and partition that it came from, with its key, payload, headers and timestamp as
/// they were, its `bus-origin-id`, and `bus-replays`, which counts. Other groups of that topic pass it by (`bus-replay-for`).
/// It does not expire any more. What was replayed three times before is parked instead.
///
/// What was dead when it was awaited is replayed, and no more: what dies of it anew is for the next one. It is a member of
/// the group `<dlq>.replay`; a second one at the same time does a part of the work or waits. Exactly once where the
/// backend has transactions: nothing is lost or replayed twice by a crash in the middle, and a dropped future is one.
///
/// It fails with `TopicMissing` where the topic they came from is gone, `GroupMissing` where the group has no position on it,
/// `Conflict` where another replay holds on to a part for more than 30 s.
///
/// What the filters leave out in front of something that they want goes to the end of the topic of dead letters, as it is.
#[must_use = "a replay begins when it is awaited"]
pub struct Replay {
    pub(super) letters: DeadLetters,
    pub(super) action: Action,
    pub(super) at_most: u64,
    pub(super) rate: Option<u32>,
    pub(super) into: Option<Name>,
    pub(super) every_group: bool,
    pub(super) dry_run: bool,
    pub(super) exactly_once: bool,
    pub(super) progress: Option<Box<dyn Fn(ReplayProgress) + Send + Sync>>,
    pub(super) stop: BoxFuture<'static, ()>,
    /// Ends like a process that is killed, after so many.
    pub(super) crash_after: Option<u64>,
}

/// How far a replay is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayProgress {
    /// Dead letters replayed or parked so far. They are stored a little later, within 200 ms.
    pub done: u64,
    /// Dead letters that are to be, counted before it began.
    pub total: u64,
}

/// What a replay came to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Replayed {
    /// Put back.
    pub replayed: u64,
    /// Moved to `<dlq>.parked`.
    pub parked: u64,
    /// Left out, and moved to the end of the topic of dead letters.
    pub requeued: u64,
    /// Wanted and not moved: they stay dead letters.
    pub refused: u64,
    /// Which, and why; the first hundred.
    pub refusals: Vec<Refused>,
}

/// A dead letter that cannot be replayed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refused {
    /// Its [id](super::DeadLetter::id).
    pub id: String,
    /// Why: `Invalid` where it does not say where it came from, `TooLarge` where the count does not fit.
    pub error: Error,
}

impl Replay {
    pub(super) fn new(letters: DeadLetters, action: Action) -> Self {
        Self {
            letters,
            action,
            at_most: u64::MAX,
            rate: None,
            into: None,
            every_group: false,
            dry_run: false,
            exactly_once: true,
            progress: None,
            stop: Box::pin(std::future::pending()),
            crash_after: None,
        }
    }
    /// No more than so many, the oldest of each partition first (default: all).
    pub fn at_most(mut self, messages: u64) -> Self {
        self.at_most = messages;
        self
    }
    /// So many a second at most, evenly spread (default: as fast as the broker takes them).
    pub fn rate(mut self, per_second: NonZeroU32) -> Self {
        self.rate = Some(per_second.get());
        self
    }
    /// Into this topic instead, for all of its groups; where a message goes there follows from its key. Also what does not
    /// say where it came from can go there.
    pub fn into_topic(mut self, topic: impl Into<Name>) -> Self {
        self.into = Some(topic.into());
        self
    }
    /// For every group of the topic again (default: only for the group that gave it up, since the others have handled it).
    pub fn for_every_group(mut self) -> Self {
        self.every_group = true;
        self
    }
    /// Moves nothing; the answer is what it would come to.
    pub fn dry_run(mut self, dry: bool) -> Self {
        self.dry_run = dry;
        self
    }
    /// Without transactions, for brokers that refuse this user any: a crash may then leave a second copy with the same
    /// `bus-origin-id` of what was under way. Where they cost nothing (memory, Redis) nothing changes.
    pub fn at_least_once(mut self) -> Self {
        self.exactly_once = false;
        self
    }
    /// Calls `hook` after each message.
    pub fn on_progress(mut self, hook: impl Fn(ReplayProgress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Box::new(hook));
        self
    }
    /// Ends in order when this does: what was moved is stored, the rest stays.
    pub fn stop_when(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Box::pin(stop);
        self
    }
    /// Ends like a process that is killed after so many.
    #[cfg(feature = "conformance")]
    pub(crate) fn crash_after(mut self, messages: u64) -> Self {
        self.crash_after = Some(messages);
        self
    }
}

impl IntoFuture for Replay {
    type Output = Result<Replayed>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(run::run(self))
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("letters", &self.letters)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}
