//! Short histories for the tests of checkers.

use crate::conformance::{Happening, Place, What};
use std::time::{Duration, Instant};

pub(super) type Step = (&'static str, What);

pub(super) fn delivered(id: &'static str, member: u32) -> Step {
    (id, What::Delivered { member, attempt: 1 })
}
pub(super) fn acked(id: &'static str, member: u32) -> Step {
    (id, What::Acked { member })
}
pub(super) fn nacked(id: &'static str) -> Step {
    let until = Instant::now();
    (id, What::Nacked { until })
}
pub(super) fn returned(id: &'static str) -> Step {
    (id, What::Returned)
}
pub(super) fn dead(id: &'static str) -> Step {
    (id, What::DeadLettered)
}

/// Messages `a` and `b` have the key `k`, others have none; all are stored in partition 0, at the place of their letter
/// in the alphabet. Each happens a millisecond after the one before.
pub(super) fn history(story: &[Step]) -> Vec<Happening> {
    let start = Instant::now();
    let happening = |(at, (id, what)): (usize, &Step)| Happening {
        at: start + Duration::from_millis(at as u64),
        id: (*id).into(),
        key: matches!(*id, "a" | "b").then(|| "k".into()),
        place: Some(Place {
            partition: 0,
            position: id.bytes().map(|b| u128::from(b - b'a')).sum(),
        }),
        what: *what,
    };
    story.iter().enumerate().map(happening).collect()
}
