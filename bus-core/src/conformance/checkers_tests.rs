//! Each checker on the shortest history that is right, and the shortest that is wrong.

use super::{stories::history, *};
use std::time::{Duration, Instant};

const ACKED: What = What::Acked { member: 0 };

fn delivered(attempt: u32) -> What {
    What::Delivered { member: 0, attempt }
}

fn published(ids: &[&'static str]) -> Vec<(&'static str, What)> {
    ids.iter().map(|id| (*id, What::Published)).collect()
}

fn after(ids: &[&'static str], story: &[(&'static str, What)]) -> Vec<Happening> {
    history(&[published(ids), story.to_vec()].concat())
}

/// Fails for the first of these words, which names the message, and the second, which says why.
fn bad(answer: Answer, id: &str, why: &str) {
    let text = answer.expect_err(why).to_string();
    assert!(
        text.contains(&format!("{id:?}")) && text.contains(why),
        "{id}, {why}: {text}"
    );
}

#[test]
fn a_message_that_no_one_acknowledged_is_lost() {
    let story = [("a", delivered(1)), ("a", ACKED)];
    assert!(lost(&after(&["a"], &story)).is_ok());
    bad(lost(&after(&["a", "b"], &story)), "b", "1 messages were lost");
    bad(lost(&after(&["a"], &[("a", delivered(1))])), "a", "were lost");
    assert!(lost(&after(&["a"], &[("a", What::DeadLettered)])).is_ok());
}

#[test]
fn what_nobody_published_is_unexpected() {
    assert!(unexpected(&after(&["a"], &[("a", delivered(1))])).is_ok());
    bad(
        unexpected(&after(&["a"], &[("b", delivered(1))])),
        "b",
        "never published",
    );
    bad(
        unexpected(&after(&["a"], &[("b", What::DeadLettered)])),
        "b",
        "never published",
    );
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
    bad(
        duplicated(&after(&["a"], &twice(What::Returned))),
        "a",
        "came again without a cause, to member 0 as attempt 2",
    );
    bad(
        duplicated(&after(&["a"], &twice(ACKED))),
        "a",
        "came again without a cause",
    );
    bad(
        duplicated(&after(&["a"], &[("a", ACKED), ("a", ACKED)])),
        "a",
        "acknowledged twice",
    );
    let late_cause = [("a", delivered(1)), ("a", delivered(1)), ("a", nacked)];
    bad(duplicated(&after(&["a"], &late_cause)), "a", "without a cause");
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
    bad(
        reordered(&after(&["a", "b"], &[b])),
        "b",
        r#"before "a" was settled"#,
    );
    // A nack holds the key.
    bad(
        reordered(&after(&["a", "b"], &[a, nacked, b])),
        "b",
        r#"before "a" was settled"#,
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
    bad(
        overlapping(&after(&["a", "b"], &[a, b])),
        "b",
        r#"while "a" was out"#,
    );
    bad(overlapping(&after(&["a"], &[a, a])), "a", r#"while "a" was out"#);
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
    bad(
        early(&history(&[("a", late), ("a", delivered(2))])),
        "a",
        "too early",
    );
}

#[test]
fn a_message_ends_once() {
    assert!(ended_twice(&history(&[("a", ACKED), ("b", What::DeadLettered)])).is_ok());
    bad(
        ended_twice(&history(&[("a", ACKED), ("a", What::DeadLettered)])),
        "a",
        "not its only end",
    );
    bad(
        ended_twice(&history(&[("a", What::DeadLettered), ("a", What::DeadLettered)])),
        "a",
        "not its only end",
    );
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
    bad(
        miscounted(&history(&[first, nacked, first])),
        "a",
        "attempt 1 instead of 2",
    );
    bad(
        miscounted(&history(&[first, ("a", What::Returned), second])),
        "a",
        "attempt 2 instead of 1",
    );
    bad(miscounted(&history(&[second])), "a", "attempt 2 instead of 1");
}

#[test]
fn a_position_never_goes_back() {
    assert!(went_back(&[1, 1, 5]).is_ok());
    let text = went_back(&[1, 5, 4]).unwrap_err().to_string();
    assert!(text.contains("from 5 to 4"), "{text}");
}
