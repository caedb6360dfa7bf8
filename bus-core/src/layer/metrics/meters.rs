//! The handles of one topic, taken once.

use super::names;
use crate::{ErrorKind, Outcome, Result, Unsent};
use metrics::{Counter, Histogram, counter, histogram};

/// What is published to one topic.
pub(super) struct Published {
    stored: Counter,
    not_stored: Counter,
    unknown: Counter,
    disabled: Counter,
    /// Nobody waited for the outcome.
    pub(super) abandoned: Counter,
    pub(super) bytes: Counter,
    pub(super) seconds: Histogram,
}

impl Published {
    pub(super) fn new(system: &'static str, topic: &str) -> Self {
        let outcome = |outcome: &'static str| counter!(names::PUBLISHED, "system" => system, "topic" => topic.to_owned(), "outcome" => outcome);
        Self {
            stored: outcome("stored"),
            not_stored: outcome("not_stored"),
            unknown: outcome("unknown"),
            disabled: outcome("disabled"),
            abandoned: outcome("abandoned"),
            bytes: counter!(names::PUBLISHED_BYTES, "system" => system, "topic" => topic.to_owned()),
            seconds: histogram!(names::PUBLISH_SECONDS, "system" => system, "topic" => topic.to_owned()),
        }
    }
    /// Counts the outcomes of a batch; answers the kind of its first failure.
    pub(super) fn count(&self, outcomes: &[Result<Outcome, Unsent>]) -> Option<ErrorKind> {
        let (mut stored, mut disabled, mut not_stored, mut unknown) = (0, 0, 0, 0);
        for outcome in outcomes {
            match outcome {
                Ok(Outcome::Stored(_)) => stored += 1,
                // No backend says `Enqueued`: that is the answer of a bus that does not wait.
                Ok(Outcome::Enqueued) => {}
                Ok(Outcome::Disabled) => disabled += 1,
                Err(unsent) if unsent.is_unknown() => unknown += 1,
                Err(_) => not_stored += 1,
            }
        }
        let counts = [
            (&self.stored, stored),
            (&self.disabled, disabled),
            (&self.not_stored, not_stored),
            (&self.unknown, unknown),
        ];
        for (counter, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            counter.increment(count);
        }
        let failed = outcomes.iter().find_map(|outcome| outcome.as_ref().err());
        failed.map(|unsent| unsent.error().kind())
    }
}

/// What is read from one topic by one group.
pub(super) struct Read {
    pub(super) received: Counter,
    pub(super) bytes: Counter,
    pub(super) gained: Counter,
    pub(super) lost: Counter,
    pub(super) data_loss: Counter,
    pub(super) outputs: Counter,
    pub(super) notes: Histogram,
    pub(super) owned: metrics::Gauge,
    pub(super) paused: metrics::Gauge,
    stored: Counter,
    fenced: Counter,
    transient: Counter,
    failed: Counter,
}

impl Read {
    pub(super) fn new(system: &'static str, topic: &str, group: &str) -> Self {
        let labels = || {
            [
                ("system", system.to_owned()),
                ("topic", topic.to_owned()),
                ("group", group.to_owned()),
            ]
        };
        let commits = |result: &'static str| {
            let [system, topic, group] = labels().map(|(_, value)| value);
            counter!(names::COMMITS, "system" => system, "topic" => topic, "group" => group, "result" => result)
        };
        Self {
            received: counter!(names::RECEIVED, &labels()),
            bytes: counter!(names::RECEIVED_BYTES, &labels()),
            gained: counter!(names::GAINED, &labels()),
            lost: counter!(names::LOST, &labels()),
            data_loss: counter!(names::DATA_LOSS, &labels()),
            outputs: counter!(names::OUTPUTS, &labels()),
            notes: histogram!(names::COMMIT_NOTES, &labels()),
            owned: metrics::gauge!(names::OWNED, &labels()),
            paused: metrics::gauge!(names::PAUSED, &labels()),
            stored: commits("stored"),
            fenced: commits("fenced"),
            transient: commits("transient"),
            failed: commits("failed"),
        }
    }
    pub(super) fn committed(&self, result: &Result<()>) {
        let counter = match result {
            Ok(()) => &self.stored,
            Err(error) if error.kind() == ErrorKind::Fenced => &self.fenced,
            Err(error) if error.is_transient() => &self.transient,
            Err(_) => &self.failed,
        };
        counter.increment(1);
    }
}
