//! What handlers of a subscription failed with last.

use crate::{Control, Name};
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Failures that are kept until somebody takes them.
const KEPT: usize = 16;
/// Bytes of an error's text that are kept.
const TEXT: usize = 1024;

/// A message that was not handled, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failed {
    /// Its topic.
    pub topic: Name,
    /// Its partition.
    pub partition: u32,
    /// Its position.
    pub position: u128,
    /// Which delivery it was, from 1.
    pub attempt: u32,
    /// What was said, 1 KiB of it at most.
    pub error: String,
}

/// The newest failures of a subscription.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<VecDeque<Failed>>);

impl Failures {
    pub(crate) fn push(&self, mut failed: Failed) {
        failed.error.truncate(failed.error.floor_char_boundary(TEXT));
        let mut kept = self.0.lock();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(failed);
    }
}

impl Control {
    /// What its handlers failed with since this was asked last, the newest 16, oldest first: what was said by
    /// [`Delivery::fail`](crate::Delivery::fail) and [`reject`](crate::Delivery::reject), or by a codec. Also after its end.
    pub fn take_failures(&self) -> Vec<Failed> {
        self.counters.failures.0.lock().drain(..).collect()
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            topic,
            partition,
            attempt,
            error,
            ..
        } = self;
        let position = crate::position::format(self.position);
        write!(
            f,
            "{topic}[{partition}] at {position}, attempt {attempt}: {error}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_bounded() {
        let failures = Failures::default();
        for attempt in 1..=20 {
            failures.push(Failed {
                topic: "t".into(),
                partition: 0,
                position: 7,
                attempt,
                error: "é".repeat(TEXT),
            });
        }
        let kept = failures.0.lock();
        assert_eq!((kept.len(), kept[0].attempt), (KEPT, 5));
        assert!(kept.iter().all(|failed| failed.error.len() <= TEXT));
    }
}
