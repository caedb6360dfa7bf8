//! Each checker on the shortest history that is right, and the shortest that is wrong.

use super::*;
use std::time::{Duration, Instant};

const ACKED: What = What::Acked { member: 0 };

fn delivered(attempt: u32) -> What {
    What::Delivered { member: 0, attempt }
}

/// Messages `a` and `b` have the key `k`, others have none; each happens a millisecond after the one before.
fn history(story: &[(&str, What)]) -> Vec<Happening> {
    let start = Instant::now();
    let happening = |(at, (id, what)): (usize, &(&str, What))| Happening {
        at: start + Duration::from_millis(at as u64),
        id: (*id).into(),
        key: matches!(*id, "a" | "b").then(|| "k".into()),
        what: *what,
    };
    story.iter().enumerate().map(happening).collect()
}

fn published(ids: &[&'static str]) -> Vec<(&'static str, What)> {
    ids.iter().map(|id| (*id, What::Published)).collect()
}

fn after(ids: &[&'static str], story: &[(&'static str, What)]) -> Vec<Happening> {
    history(&[published(ids), story.to_vec()].concat())
}

#[test]
fn a_message_that_no_one_acknowledged_is_lost() {
    let story = [("a", delivered(1)), ("a", ACKED)];
    assert!(lost(&after(&["a"], &story)).is_ok());
    assert!(lost(&after(&["a", "b"], &story)).is_err());
    assert!(lost(&after(&["a"], &[("a", delivered(1))])).is_err());
    assert!(lost(&after(&["a"], &[("a", What::DeadLettered)])).is_ok());
}

#[test]
fn what_nobody_published_is_unexpected() {
    assert!(unexpected(&after(&["a"], &[("a", delivered(1))])).is_ok());
    assert!(unexpected(&after(&["a"], &[("b", delivered(1))])).is_err());
    assert!(unexpected(&after(&["a"], &[("b", What::DeadLettered)])).is_err());
}

#[test]
fn a_second_delivery_needs_a_cause() {
    let nacked = What::Nacked {
        until: Instant::now(),
    };
    let twice = |cause| {
        [
            ("a", delivered(1)),
            ("a", cause),
            ("a", delivered(2)),
            ("a", ACKED),
        ]
    };
    assert!(duplicated(&after(&["a"], &twice(nacked))).is_ok());
    assert!(duplicated(&after(&["a"], &twice(What::Returned))).is_err());
    assert!(duplicated(&after(&["a"], &twice(ACKED))).is_err());
    assert!(duplicated(&after(&["a"], &[("a", ACKED), ("a", ACKED)])).is_err());
    let late_cause = [("a", delivered(1)), ("a", delivered(1)), ("a", nacked)];
    assert!(
        duplicated(&after(&["a"], &late_cause)).is_err(),
        "the cause comes first"
    );
}

#[test]
fn a_key_keeps_its_order() {
    let (a, b) = (("a", delivered(1)), ("b", delivered(1)));
    let nacked = (
        "a",
        What::Nacked {
            until: Instant::now(),
        },
    );
    assert!(reordered(&after(&["a", "b"], &[a, ("a", ACKED), b])).is_ok());
    assert!(reordered(&after(&["a", "b"], &[b])).is_err());
    assert!(
        reordered(&after(&["a", "b"], &[a, nacked, b])).is_err(),
        "a nack holds the key"
    );
    assert!(
        reordered(&after(&["x", "y"], &[("y", delivered(1))])).is_ok(),
        "no key, no order"
    );
    assert!(
        reordered(&after(&["a", "b"], &[a, b, ("a", What::DeadLettered)])).is_ok(),
        "given up before b"
    );
}

#[test]
fn two_of_a_key_are_never_out_at_once() {
    let (a, b) = (("a", delivered(1)), ("b", delivered(1)));
    assert!(overlapping(&after(&["a", "b"], &[a, ("a", ACKED), b])).is_ok());
    assert!(overlapping(&after(&["a", "b"], &[a, b])).is_err());
    assert!(overlapping(&after(&["a"], &[a, a])).is_err(), "nor the same one");
    assert!(overlapping(&after(&["x", "y"], &[("x", delivered(1)), ("y", delivered(1))])).is_ok());
}

#[test]
fn a_delay_is_a_promise() {
    let soon = What::Nacked {
        until: Instant::now(),
    };
    let late = What::Nacked {
        until: Instant::now() + Duration::from_secs(60),
    };
    assert!(early(&history(&[("a", soon), ("a", delivered(2))])).is_ok());
    assert!(early(&history(&[("a", late), ("a", delivered(2))])).is_err());
}

#[test]
fn a_message_ends_once() {
    assert!(ended_twice(&history(&[("a", ACKED), ("b", What::DeadLettered)])).is_ok());
    assert!(ended_twice(&history(&[("a", ACKED), ("a", What::DeadLettered)])).is_err());
    assert!(ended_twice(&history(&[("a", What::DeadLettered), ("a", What::DeadLettered)])).is_err());
}

#[test]
fn attempts_count_failures() {
    let nacked = (
        "a",
        What::Nacked {
            until: Instant::now(),
        },
    );
    let (first, second) = (("a", delivered(1)), ("a", delivered(2)));
    assert!(miscounted(&history(&[first, nacked, second])).is_ok());
    assert!(miscounted(&history(&[first, nacked, first])).is_err());
    assert!(miscounted(&history(&[first, ("a", What::Returned), second])).is_err());
    assert!(miscounted(&history(&[second])).is_err());
}

#[test]
fn a_position_never_goes_back() {
    assert!(went_back(&[1, 1, 5]).is_ok());
    assert!(went_back(&[1, 5, 4]).is_err());
}
