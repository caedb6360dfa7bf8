//! Some dead letters out of many.

use super::DeadLetter;
use bytes::Bytes;
use std::collections::HashSet;

/// What is wanted: all of it has to fit, and of a list one.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) reasons: HashSet<String>,
    pub(super) keys: HashSet<Bytes>,
    pub(super) since: Option<i64>,
    pub(super) before: Option<i64>,
    pub(super) partitions: HashSet<u32>,
    pub(super) ids: HashSet<String>,
}

impl Filter {
    pub(super) fn wants(&self, letter: &DeadLetter) -> bool {
        let reason = letter.reason.as_ref();
        let partition = letter.origin.as_ref().map(|origin| origin.partition);
        // A dead letter that does not say when it became one has at least the message's time.
        let time = letter.time.or(letter.message.timestamp);
        one_of(&self.reasons, reason, |reason| self.reasons.contains(reason))
            && one_of(&self.keys, letter.message.key.as_ref(), |key| {
                self.keys.contains(key)
            })
            && one_of(&self.partitions, partition, |partition| {
                self.partitions.contains(&partition)
            })
            && (self.ids.is_empty() || self.ids.contains(&letter.id))
            && self
                .since
                .is_none_or(|since| time.is_some_and(|time| time >= since))
            && self
                .before
                .is_none_or(|before| time.is_some_and(|time| time < before))
    }
}

/// Nothing is asked for, or what is said is asked for.
fn one_of<T, V>(asked: &HashSet<T>, said: Option<V>, contains: impl FnOnce(V) -> bool) -> bool {
    asked.is_empty() || said.is_some_and(contains)
}
