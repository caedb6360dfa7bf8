//! Partitions that are assigned and do not begin, or do not go on: why, where that takes long.

use super::{
    part::{Part, Place, State},
    reader::Reader,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long partitions may be here and not begin before that is said. Finding out where the group stands takes a few
/// requests; this is longer than any of them takes where servers are well.
const LONG: Duration = Duration::from_secs(5);

/// What holds partitions up.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// One that waits for the end of a transaction that a former owner left open. Waiting is all that can be done, so
    /// that is said at once.
    pub(super) transaction: Option<Place>,
    /// Why topics could not be looked at the last time.
    pub(super) unseen: Option<String>,
    /// Why the last request for a position, or to store one, failed.
    pub(super) failure: Option<String>,
    /// What was said.
    said: Option<String>,
}

impl Reader {
    pub(super) fn held_timer(&mut self, now: Instant) {
        let first = self
            .parts
            .values()
            .filter(|part| part.waits())
            .min_by_key(|part| part.since);
        let why = first.and_then(|part| self.why(part, now));
        self.tell_held(why);
    }

    fn why(&self, first: &Part, now: Instant) -> Option<String> {
        let asks = |place: &Place| self.parts.get(place).is_some_and(|p| p.state == State::Asking);
        if let Some((topic, partition)) = self.held.transaction.filter(asks) {
            return Some(format!(
                "partition {partition} of topic `{}` waits for a transaction that a former owner left open; it ends at \
                 its `transaction.timeout.ms`, 10 s later at most, or when that process comes back under its `instance`",
                self.topics[topic as usize]
            ));
        }
        if now < first.since + LONG {
            return None;
        }
        let topic = first.shard.topic;
        let name = &self.topics[topic as usize];
        let what = format!("partition {} of topic `{name}` waits", first.shard.partition);
        let because =
            |failure: &Option<String>| failure.as_ref().map(|f| format!(": {f}")).unwrap_or_default();
        let unanswered =
            self.held.failure.is_some() || self.asking.is_some_and(|asking| now > asking.first + LONG);
        let place = (topic, first.shard.partition);
        let aside = matches!(first.state, State::Finding | State::Active);
        Some(if aside && self.seeks.contains_key(&place) {
            let why = because(&self.held.failure);
            format!("{what} until where it goes on can be looked up and stored{why}")
        } else if aside && self.group.is_some() && first.state == State::Finding {
            format!("{what} until it is known whether it is still this member's")
        } else if aside {
            let why = because(&self.held.failure);
            format!("{what} until its position can be looked up{why}")
        } else if self.suspects.contains_key(&topic) {
            let why = because(&self.held.unseen);
            format!("{what} until the topic can be described, to know whose its stored position is{why}")
        } else if first.state == State::Starting {
            let why = because(&self.held.failure);
            format!("{what} until the group's start there can be looked up and stored{why}")
        } else if self.left_since.contains_key(&topic) && !unanswered {
            format!("{what} until the owner of the topic's first partition stores where the group starts")
        } else {
            let why = because(&self.held.failure);
            format!("{what} until the group's coordinator says where the group stands{why}")
        })
    }

    /// Says what holds partitions up, or that nothing does any more.
    pub(super) fn tell_held(&mut self, why: Option<String>) {
        if self.held.said == why {
            return;
        }
        let who = Arc::as_ptr(&self.mail) as usize;
        if self.health.held(who, why.clone())
            && let Some(why) = &why
        {
            tracing::warn!(target: "bus::kafka", group = ?self.group, "{why}");
        }
        self.held.said = why;
    }
}
