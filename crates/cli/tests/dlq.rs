//! `bus dlq` on real servers: the same on each.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{
    Ran, Running,
    checks::{consume, created, on_every_server, publish, values},
    letters::{dlq, given_up, messages},
    on, unique, until,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{collections::BTreeSet, process::Stdio};

on_every_server! {
    dead_letters_are_looked_after,
    foreign_dead_letters_are_refused,
    a_stopped_replay_is_gone_on_with,
}

fn ids(ran: &Ran) -> BTreeSet<String> {
    let id = |line: &Value| line["id"].as_str().unwrap().to_owned();
    ran.lines().iter().map(id).collect()
}

fn dead_letters_are_looked_after(url: &str) {
    let (topic, group) = (created(url, "dlq", "2"), unique("group"));
    publish(url, &topic, &messages(&["a", "b", "c", "d"])).exits(0);
    given_up(url, &topic, &group, 4);
    let letters = format!("{topic}.{group}.dlq");
    let here = |verb: &str, more: &[&str]| dlq(url, &[verb, &topic, &group], more);

    assert!(
        dlq(url, &[], &[])
            .exits(0)
            .lines()
            .contains(&json!({"stored_in": letters, "partitions": 2, "parked": false}))
    );
    let listed = here("list", &[]).exits(0);
    assert_eq!(listed.lines().len(), 4);
    assert_eq!(here("list", &["--count", "3"]).exits(0).lines().len(), 3);
    let of_b = here("list", &["--key", "b"]).exits(0);
    let [letter] = &of_b.lines()[..] else {
        panic!("{of_b:?}")
    };
    for (name, value) in [
        ("reason", json!("rejected")),
        ("error", json!("no such product")),
        ("attempts", json!(1)),
        ("replays", json!(0)),
        ("group", json!(group)),
        ("topic", json!(topic)),
        ("key", json!("b")),
        ("value", json!("of b")),
        ("headers", json!([["h", "1"], ["h", "2"]])),
    ] {
        assert_eq!(letter[name], value, "{name} of {letter}");
    }
    let id = letter["id"].as_str().unwrap();
    assert_eq!(&here("show", &[id]).exits(0).lines(), &of_b.lines());
    let missing = here("show", &[id, "nowhere/0/0"]).exits(1);
    assert!(
        missing.err.contains("nowhere/0/0") && !missing.err.contains(id),
        "{missing:?}"
    );
    assert!(
        here("list", &["--since", "1h ago", "--before", "1m ago"])
            .exits(0)
            .out
            .is_empty()
    );

    let came_to = |ran: Ran| {
        let line = ran.lines().remove(0);
        ["replayed", "parked", "refused"].map(|name| line[name].as_u64().unwrap())
    };
    let dry = here("replay", &["--key", "b", "--dry-run"]).exits(0);
    assert_eq!(dry.lines()[0]["done"], false);
    assert_eq!(came_to(dry), [1, 0, 0]);
    assert_eq!(
        here("list", &[]).exits(0).lines().len(),
        4,
        "a dry run moves nothing"
    );

    assert_eq!(came_to(here("replay", &["--id", id]).exits(0)), [1, 0, 0]);
    let got = consume(url, &topic, &["--group", &group, "--count", "1", "--idle", "30s"]).exits(0);
    assert_eq!(values(&got), ["of b"]);
    let added = json!([
        ["h", "1"],
        ["h", "2"],
        ["bus-origin-id", id],
        ["bus-replays", "1"],
        ["bus-replay-for", format!("{topic}/{group}")]
    ]);
    assert_eq!(got.lines()[0]["headers"], added);
    let left = here("list", &[]).exits(0);
    assert_eq!(left.lines().len(), 3);
    assert!(!ids(&left).contains(id));

    assert_eq!(came_to(here("park", &["--key", "c"]).exits(0)), [0, 1, 0]);
    let parked = here("list", &["--parked"]).exits(0);
    assert_eq!(values(&parked), ["of c"]);
    assert_eq!(came_to(here("replay", &["--rate", "100"]).exits(0)), [2, 0, 0]);
    assert_eq!(came_to(here("replay", &[]).exits(0)), [0, 0, 0]);
    assert!(here("list", &[]).exits(0).out.is_empty());
    assert_eq!(came_to(here("replay", &["--parked"]).exits(0)), [1, 0, 0]);
    let got = consume(url, &topic, &["--group", &group, "--count", "3", "--idle", "30s"]).exits(0);
    let got: BTreeSet<_> = values(&got).into_iter().collect();
    assert_eq!(got, ["of a", "of c", "of d"].map(str::to_owned).into());
}

fn foreign_dead_letters_are_refused(url: &str) {
    let (topic, group) = (created(url, "dlq-foreign", "1"), unique("group"));
    publish(url, &topic, &messages(&["a"])).exits(0);
    given_up(url, &topic, &group, 1);
    let letters = format!("{topic}.{group}.dlq");
    publish(url, &letters, &messages(&["x"])).exits(0);
    let refused = dlq(url, &["replay", &topic, &group], &[]).exits(1);
    let line = &refused.lines()[0];
    assert_eq!((&line["replayed"], &line["refused"]), (&json!(1), &json!(1)));
    let id = ids(&dlq(url, &["list", &topic, &group], &[]).exits(0))
        .pop_first()
        .unwrap();
    assert!(
        refused.err.contains(&id) && refused.err.contains("park"),
        "{refused:?}"
    );
    let other = created(url, "dlq-into", "1");
    dlq(url, &["replay", &topic, &group, "--into", &other], &[]).exits(0);
    let got = consume(url, &other, &["--count", "1", "--idle", "30s"]).exits(0);
    assert_eq!(values(&got), ["of x"]);
    let none = dlq(url, &["list", &topic, "nobody"], &[]).exits(1);
    assert!(none.err.contains(&format!("{topic}.nobody.dlq")), "{none:?}");
}

fn a_stopped_replay_is_gone_on_with(url: &str) {
    let (topic, group) = (created(url, "dlq-stop", "1"), unique("group"));
    let keys: Vec<_> = (0..60).map(|n| format!("k{n}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    publish(url, &topic, &messages(&keys)).exits(0);
    given_up(url, &topic, &group, 60);
    let left = || dlq(url, &["list", &topic, &group], &[]).exits(0).lines().len();
    // Slow enough to be stopped in the middle.
    let mut replay = on(url, &["dlq", "replay", &topic, &group, "--rate", "2"]);
    replay.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut replay = Running::start(replay);
    until("some were replayed", || (left() < 60).then_some(()));
    replay.signal(Signal::TERM);
    assert_eq!(replay.ended("a replay").code(), Some(1));
    let first: Value = serde_json::from_reader(replay.0.stdout.take().unwrap()).unwrap();
    let first_replayed = first["replayed"].as_u64().unwrap();
    assert!(
        (1..60).contains(&first_replayed) && first["done"] == false,
        "{first}"
    );
    assert_eq!(left() as u64, 60 - first_replayed, "what is left after {first}");
    let rest = dlq(url, &["replay", &topic, &group], &[]).exits(0);
    assert_eq!(rest.lines()[0]["replayed"], 60 - first_replayed);
    let got = consume(url, &topic, &["--group", &group, "--idle", "10s"]).exits(0);
    let expected: BTreeSet<_> = keys.iter().map(|key| format!("of {key}")).collect();
    assert_eq!(values(&got).len(), 60, "each once");
    assert_eq!(values(&got).into_iter().collect::<BTreeSet<_>>(), expected);
}
