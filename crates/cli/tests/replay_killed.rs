//! `bus dlq replay`, killed in the middle and started again: nothing is lost, nothing is left, and what comes twice stays
//! within what is promised.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{
    Running,
    checks::{consume, created, on_every_server, publish},
    letters::{dlq, given_up, messages},
    on, unique, until,
};
use rustix::process::Signal;
use std::{collections::BTreeMap, process::Stdio};

on_every_server! {
    a_killed_replay_replays_nothing_twice,
    a_killed_replay_at_least_once_makes_a_second_copy_at_most,
}

const LETTERS: usize = 200;

fn a_killed_replay_replays_nothing_twice(url: &str) {
    assert_eq!(killed(url, "dlq-killed", &[]), 0, "came a second time");
}

/// A second copy has the same origin, which is what tells it apart from another message.
fn a_killed_replay_at_least_once_makes_a_second_copy_at_most(url: &str) {
    killed(url, "dlq-killed-twice", &["--at-least-once"]);
}

/// Kills a replay in the middle, and starts it again; how many messages came a second time. It panics where one is
/// lost, left, or comes a third time.
fn killed(url: &str, what: &str, words: &[&str]) -> usize {
    let (topic, group) = (created(url, what, "2"), unique("group"));
    let keys: Vec<_> = (0..LETTERS).map(|n| format!("k{n}")).collect();
    publish(url, &topic, &messages(&keys)).exits(0);
    given_up(url, &topic, &group, LETTERS);
    let left = || dlq(url, &["list", &topic, &group], &[]).exits(0).lines().len();
    assert_eq!(left(), LETTERS);

    // Slow enough to be killed in the middle, with some on their way.
    let words = [&["dlq", "replay", &topic, &group][..], words].concat();
    let mut replay = on(url, &[&words[..], &["--rate", "8"]].concat());
    replay.stdout(Stdio::null()).stderr(Stdio::null());
    let mut replay = Running::start(replay);
    until("some were replayed", || (left() < LETTERS).then_some(()));
    replay.signal(Signal::KILL);
    assert_eq!(replay.ended("the killed one").code(), None);
    let open = left();
    assert!(
        (1..LETTERS).contains(&open),
        "{open} are left: it was not killed in the middle"
    );

    let rest = common::run(on(url, &words)).exits(0);
    let line = &rest.lines()[0];
    assert!(line["done"] == true && line["parked"] == 0, "{line}");
    assert_eq!(left(), 0, "what is left after {line}");
    let got = consume(url, &topic, &["--group", &group, "--idle", "10s"]);
    let mut copies: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in got.lines() {
        let headers = line["headers"].as_array().unwrap();
        let origin = headers
            .iter()
            .find(|header| header[0] == "bus-origin-id")
            .unwrap();
        copies
            .entry(line["value"].as_str().unwrap().to_owned())
            .or_default()
            .push(origin[1].as_str().unwrap().to_owned());
    }
    let came: Vec<_> = copies.keys().cloned().collect();
    let mut expected: Vec<_> = keys.iter().map(|key| format!("of {key}")).collect();
    expected.sort();
    assert_eq!(came, expected, "nothing is lost, nothing is new");
    for (value, origins) in &copies {
        assert!(
            origins.len() <= 2 && origins.iter().all(|origin| *origin == origins[0]),
            "{value}: {origins:?}"
        );
    }
    copies.values().filter(|origins| origins.len() > 1).count()
}
