//! `bus consume` on real servers: the same on each.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{
    Running,
    checks::{consume, created, numbers, on_every_server, publish, values},
    flights, on, run, unique,
};
use rustix::process::Signal;
use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

on_every_server! {
    an_observer_leaves_no_trace,
    a_group_goes_on_where_it_was,
    ends_are_told_apart,
    a_reader_that_goes_away_loses_nothing,
    nothing_is_acknowledged_with_no_ack,
    starting_at_a_place,
    several_topics_are_read_at_once,
    interrupted_twice_it_ends_at_once,
}

fn an_observer_leaves_no_trace(url: &str) {
    let topic = created(url, "observed", "1");
    publish(url, &topic, &numbers(3)).exits(0);
    for _ in 0..2 {
        assert_eq!(
            values(&consume(url, &topic, &["--count", "3", "--idle", "30s"]).exits(0)),
            ["1", "2", "3"]
        );
    }
    let trace = run(on(url, &["lag"]))
        .exits(0)
        .lines()
        .iter()
        .any(|line| line["topic"] == topic);
    assert!(!trace, "a position is stored");
}

fn a_group_goes_on_where_it_was(url: &str) {
    let (topic, group) = (created(url, "goes-on", "1"), unique("group"));
    publish(url, &topic, &numbers(5)).exits(0);
    let words = ["--group", &group, "--idle", "30s", "--count"];
    assert_eq!(
        values(&consume(url, &topic, &[&words[..], &["2"]].concat()).exits(0)),
        ["1", "2"]
    );
    let described = run(on(url, &["groups", "describe", &group])).exits(0).lines();
    assert_eq!(described[0]["lag"], 3, "{described:?}");
    let rest = consume(url, &topic, &[&words[..], &["3"]].concat()).exits(0);
    assert_eq!(values(&rest), ["3", "4", "5"]);
    assert!(
        rest.lines().iter().all(|line| line["attempt"] == 1),
        "what was not printed was no attempt: {rest:?}"
    );
    assert_eq!(run(on(url, &["lag", &group])).exits(0).lines()[0]["lag"], 0);
}

fn ends_are_told_apart(url: &str) {
    let (topic, group) = (created(url, "ends", "2"), unique("group"));
    let nothing = consume(url, &topic, &["--idle", "1s"]).exits(3);
    assert_eq!(nothing.out, "");
    consume(url, &topic, &["--idle", "1s", "--group", &group]).exits(3);
    publish(url, &topic, &numbers(2)).exits(0);
    assert_eq!(
        consume(url, &topic, &["--idle", "10s", "--count", "3"])
            .exits(3)
            .lines()
            .len(),
        2
    );
    assert_eq!(consume(url, &topic, &["--idle", "10s"]).exits(0).lines().len(), 2);
    assert_eq!(
        consume(url, &topic, &["--idle", "10s", "--group", &group])
            .exits(0)
            .lines()
            .len(),
        2
    );
    for signal in [Signal::INT, Signal::TERM] {
        let mut command = on(url, &["consume", &topic, "--group", &group]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut running = Running::start(command);
        publish(url, &topic, &numbers(1)).exits(0);
        let mut line = String::new();
        BufReader::new(running.0.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        running.signal(signal);
        assert_eq!(running.ended("a signal").code(), Some(0));
        assert_eq!(
            run(on(url, &["groups", "describe", &group])).exits(0).lines()[0]["lag"],
            0
        );
    }
}

fn a_reader_that_goes_away_loses_nothing(url: &str) {
    let (topic, group) = (created(url, "head", "4"), unique("group"));
    publish(url, &topic, &flights()).exits(0);
    let mut command = on(url, &["consume", &topic, "--group", &group]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(command);
    let mut line = String::new();
    // Dropped after one line, as `head -1` does.
    BufReader::with_capacity(64, running.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(running.ended("the end of a pipe").code(), Some(0));
    let mut said = String::new();
    running
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(said, "", "it ends quietly");
    // The pipe took some; what it did not take comes now, each the first time as far as the group knows.
    let rest = consume(url, &topic, &["--group", &group, "--idle", "10s"])
        .exits(0)
        .lines();
    assert!(rest.len() > 500 && rest.len() < 1_000, "{}", rest.len());
    assert!(rest.iter().all(|line| line["attempt"] == 1));
    assert_eq!(
        run(on(url, &["groups", "describe", &group])).exits(0).lines()[0]["lag"],
        0
    );
}

fn nothing_is_acknowledged_with_no_ack(url: &str) {
    let (topic, group) = (created(url, "no-ack", "1"), unique("group"));
    publish(url, &topic, &numbers(3)).exits(0);
    for _ in 0..2 {
        let seen = consume(
            url,
            &topic,
            &["--group", &group, "--no-ack", "--count", "3", "--idle", "30s"],
        )
        .exits(0);
        assert_eq!(values(&seen), ["1", "2", "3"]);
    }
    let seen = consume(url, &topic, &["--group", &group, "--count", "3", "--idle", "30s"])
        .exits(0)
        .lines();
    assert!(
        seen.iter().all(|line| line["attempt"] == 1),
        "looking is no attempt: {seen:?}"
    );
}

fn starting_at_a_place(url: &str) {
    let topic = created(url, "place", "1");
    let stored = publish(url, &topic, &numbers(4)).exits(0).lines();
    let third = stored[2]["position"]
        .as_str()
        .map_or_else(|| stored[2]["position"].to_string(), str::to_owned);
    let from = |place: &str, count: &str| {
        values(&consume(
            url,
            &topic,
            &["--from", place, "--count", count, "--idle", "30s"],
        ))
    };
    assert_eq!(from(&third, "2"), ["3", "4"]);
    assert_eq!(from(&format!("0:{third}"), "2"), ["3", "4"]);
    assert_eq!(from("1h ago", "4"), ["1", "2", "3", "4"]);
    assert_eq!(from("2020-01-01T00:00:00Z", "1"), ["1"]);
    assert_eq!(
        consume(url, &topic, &["--from", "latest", "--idle", "1s"])
            .exits(3)
            .out,
        ""
    );
}

fn several_topics_are_read_at_once(url: &str) {
    let (one, two, group) = (
        created(url, "one", "1"),
        created(url, "two", "2"),
        unique("group"),
    );
    publish(url, &one, &numbers(2)).exits(0);
    publish(url, &two, &numbers(3)).exits(0);
    for words in [&[][..], &["--group", &group]] {
        let found = consume(
            url,
            &one,
            &[&[&*two, "--count", "5", "--idle", "30s"], words].concat(),
        )
        .exits(0)
        .lines();
        let of = |topic: &str| found.iter().filter(|line| line["topic"] == topic).count();
        assert_eq!((of(&one), of(&two)), (2, 3));
    }
}

fn interrupted_twice_it_ends_at_once(url: &str) {
    let (topic, group) = (created(url, "twice", "1"), unique("group"));
    publish(url, &topic, &flights()).exits(0);
    let mut command = on(url, &["consume", &topic, "--group", &group]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(command);
    // Nobody reads its output any more, and a pipe takes a quarter of it: it cannot finish what is under way.
    let mut output = BufReader::with_capacity(64, running.0.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    running.signal(Signal::TERM);
    let mut said = String::new();
    BufReader::new(running.0.stderr.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert!(said.contains("stopping"), "{said}");
    assert!(running.0.try_wait().unwrap().is_none(), "it waits for its reader");
    running.signal(Signal::INT);
    assert_eq!(running.ended("a second signal").code(), Some(130));
}
