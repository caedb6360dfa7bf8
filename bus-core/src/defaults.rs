//! What the publishes and subscriptions of a bus begin with.

use crate::{Name, Stamp, Start, Subscribe, dead_letter_topic};
use std::time::Duration;

/// What the publishes and subscriptions of a bus begin with, where settings say so once for all of them. A subscription's
/// own setters win.
///
/// ```
/// use bus_core::{Defaults, Start};
/// let defaults = Defaults::default().start(Start::Latest).in_flight(100).dead_letter("{topic}-dlq");
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until a bus is made with it"]
pub struct Defaults {
    start: Option<Start>,
    auto_commit: bool,
    commit_every: Option<Duration>,
    in_flight: Option<usize>,
    dead_letter: Option<Name>,
    fire_and_forget: bool,
    stamp: Option<Stamp>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            start: None,
            auto_commit: true,
            commit_every: None,
            in_flight: None,
            dead_letter: None,
            fire_and_forget: false,
            stamp: None,
        }
    }
}

impl Defaults {
    /// Where a new group begins: [`Subscribe::start`].
    pub fn start(mut self, start: Start) -> Self {
        self.start = Some(start);
        self
    }
    /// Whether acknowledged positions go out in the background: [`Subscribe::auto_commit`].
    pub fn auto_commit(mut self, on: bool) -> Self {
        self.auto_commit = on;
        self
    }
    /// The age at which acks are stored: [`Subscribe::commit_every`].
    pub fn commit_every(mut self, age: Duration) -> Self {
        self.commit_every = Some(age);
        self
    }
    /// Messages delivered and not settled, at most: [`Subscribe::in_flight`].
    pub fn in_flight(mut self, messages: usize) -> Self {
        self.in_flight = Some(messages);
        self
    }
    /// Where given-up messages go: [`Subscribe::dead_letter`].
    pub fn dead_letter(mut self, topic: impl Into<Name>) -> Self {
        self.dead_letter = Some(topic.into());
        self
    }
    /// Whether a publish answers [`Outcome::Enqueued`](crate::Outcome::Enqueued) as soon as the message is taken, where it
    /// is not stored at once (default no). As with [`Bus::enqueue`](crate::Bus::enqueue), failures are logged, counted and
    /// reported by `flush` and `close`, and so much may be taken and not stored before a publish waits.
    pub fn fire_and_forget(mut self, on: bool) -> Self {
        self.fire_and_forget = on;
        self
    }
    /// What completes or refuses each message before it is published.
    pub fn stamp(mut self, stamp: Stamp) -> Self {
        self.stamp = Some(stamp);
        self
    }
    /// Where the dead letters of this topic and group go, if anything is said of it.
    pub(crate) fn dead_letters_of(&self, topic: &str, group: &str) -> Option<Name> {
        let template = self.dead_letter.as_ref()?;
        // What makes no name could not have been subscribed with.
        dead_letter_topic(template, topic, group).ok()
    }
    pub(crate) fn stamped(&self) -> Option<&Stamp> {
        self.stamp.as_ref()
    }
    pub(crate) fn forgets(&self) -> bool {
        self.fire_and_forget
    }
    /// A group's subscription that has none of its own settings yet.
    pub(crate) fn apply<T, C: crate::Codec<T>>(&self, mut to: Subscribe<T, C>) -> Subscribe<T, C> {
        if let Some(start) = &self.start {
            to = to.start(start.clone());
        }
        if let Some(age) = self.commit_every {
            to = to.commit_every(age);
        }
        if let Some(messages) = self.in_flight {
            to = to.in_flight(messages);
        }
        if let Some(topic) = &self.dead_letter {
            to = to.dead_letter(topic.clone());
        }
        to.auto_commit(self.auto_commit)
    }
}
