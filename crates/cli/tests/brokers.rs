//! Publishing, consuming and looking after topics and groups, on real servers: the same on each.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{Ran, Running, Server, feed, flights, on, run, unique, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::Stdio,
    time::{Duration, Instant},
};

/// Each check on each server, as a test of its own.
macro_rules! on_every_server {
    ($($check:ident),* $(,)?) => {
        mod kafka { $(#[test] fn $check() { super::checked(super::Server::kafka(), stringify!($check), super::$check); })* }
        mod redis { $(#[test] fn $check() { super::checked(super::Server::redis(), stringify!($check), super::$check); })* }
        mod redis_8 { $(#[test] fn $check() { super::checked(super::Server::redis_8(), stringify!($check), super::$check); })* }
    };
}

on_every_server! {
    what_is_published_is_consumed_unchanged,
    what_is_printed_can_be_published,
    failed_lines_are_named,
    an_observer_leaves_no_trace,
    a_group_goes_on_where_it_was,
    ends_are_told_apart,
    a_reader_that_goes_away_loses_nothing,
    nothing_is_acknowledged_with_no_ack,
    groups_are_reset,
    topics_are_looked_after,
    starting_at_a_place,
    check_says_what_it_found,
    several_topics_are_read_at_once,
    interrupted_twice_it_ends_at_once,
    a_publisher_that_is_interrupted_says_how_far_it_came,
}

fn checked(server: Server, name: &str, check: fn(&str)) {
    check(&server.url);
    server.passed(&format!("cli: {}", name.replace('_', " ")));
}

fn created(url: &str, what: &str, partitions: &str) -> String {
    let topic = unique(what);
    run(on(url, &["topics", "create", &topic, "--partitions", partitions])).exits(0);
    topic
}

fn publish(url: &str, topic: &str, lines: &[u8]) -> Ran {
    feed(on(url, &["publish", topic, "--json"]), lines)
}

fn consume(url: &str, topic: &str, words: &[&str]) -> Ran {
    run(on(url, &[&["consume", topic, "--json"][..], words].concat()))
}

/// Values one to `count`, all of one key, so that they have one order.
fn numbers(count: u32) -> Vec<u8> {
    (1..=count)
        .map(|n| format!("{{\"key\":\"k\",\"value\":{n}}}\n"))
        .collect::<String>()
        .into()
}

fn values(ran: &Ran) -> Vec<String> {
    ran.lines()
        .iter()
        .map(|line| line["value"].as_str().unwrap_or("?").to_owned())
        .collect()
}

fn what_is_published_is_consumed_unchanged(url: &str) {
    let topic = created(url, "unchanged", "2");
    let lines = [
        (
            json!({"key": "a", "value": "text \u{e9}\n"}),
            json!({"key": "a", "value": "text \u{e9}\n"}),
        ),
        (
            json!({"key": null, "value": ""}),
            json!({"key": null, "value": ""}),
        ),
        (
            json!({"key": "", "value": null}),
            json!({"key": "", "value": null}),
        ),
        (
            json!({"key_base64": "/w==", "value_base64": "AP8="}),
            json!({"key_base64": "/w==", "value_base64": "AP8="}),
        ),
        (
            json!({"value": "h", "headers": [["n", "1"], ["n", null], ["e", ""], ["b", {"base64": "/w=="}]]}),
            json!({"key": null, "value": "h", "headers": [["n", "1"], ["n", null], ["e", ""], ["b", {"base64": "/w=="}]]}),
        ),
    ];
    let mut input: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
    // Written by hand, because a parser would not keep the order and the digits.
    input += "{\"key\":\"o\", \"value\": { \"z\" : 1.50, \"a\": [ 1e400 , \"x y\" ] } }\n";
    let stored = publish(url, &topic, input.as_bytes()).exits(0).lines();
    let found = consume(url, &topic, &["--count", "6", "--idle", "30s"])
        .exits(0)
        .lines();
    let mut expected: Vec<_> = lines.into_iter().map(|(_, expected)| expected).collect();
    expected.push(json!({"key": "o", "value": "{\"z\":1.50,\"a\":[1e400,\"x y\"]}"}));
    assert_eq!(stored.len(), 6);
    for (stored, expected) in stored.iter().zip(&expected) {
        let at = |line: &&Value| {
            line["partition"] == stored["partition"] && line["position"] == stored["position"]
        };
        let line = found
            .iter()
            .find(at)
            .unwrap_or_else(|| panic!("{stored} in {found:?}"));
        let fields = expected.as_object().unwrap();
        for (field, value) in fields {
            assert_eq!(&line[field], value, "{field} of {line}");
        }
        if !fields.contains_key("headers") {
            assert_eq!(line["headers"], json!([]));
        }
        assert_eq!((&line["topic"], &line["attempt"]), (&json!(topic), &json!(1)));
        assert!(line["timestamp"].as_i64().unwrap() > 1_600_000_000_000, "{line}");
        assert_eq!(line["position"].is_string(), url.starts_with("redis"), "{line}");
    }
}

fn what_is_printed_can_be_published(url: &str) {
    let (from, to) = (created(url, "from", "2"), created(url, "to", "2"));
    let input = "{\"key\":\"a\",\"value\":\"x\",\"headers\":{\"n\":\"1\"},\"timestamp\":1700000000000}\n{\"value_base64\":\"/w==\"}\n";
    publish(url, &from, input.as_bytes()).exits(0);
    let first = consume(url, &from, &["--count", "2", "--idle", "30s"]).exits(0);
    publish(url, &to, first.out.as_bytes()).exits(0);
    let second = consume(url, &to, &["--count", "2", "--idle", "30s"]).exits(0);
    let contents = |ran: &Ran| {
        let mut lines = ran.lines();
        for line in &mut lines {
            let fields = line.as_object_mut().unwrap();
            fields.remove("topic");
            fields.remove("position");
            // Only one was set, the other is the time of storing.
            if fields["timestamp"] != 1_700_000_000_000_i64 {
                fields.remove("timestamp");
            }
        }
        lines.sort_by_key(ToString::to_string);
        lines
            .iter_mut()
            .for_each(|line| drop(line.as_object_mut().unwrap().remove("timestamp")));
        lines
    };
    assert_eq!(contents(&first), contents(&second));
    assert!(second.out.contains("1700000000000"), "{second:?}");
}

fn failed_lines_are_named(url: &str) {
    let topic = created(url, "failed", "2");
    let input = b"{\"value\":1,\"partition\":0}\n{\"value\":\n{\"value\":2,\"partition\":7}\n{\"value\":3,\"partition\":0}\n";
    let ran = publish(url, &topic, input).exits(1);
    assert_eq!(ran.lines().len(), 2, "{ran:?}");
    assert!(
        ran.err.contains("line 2: ") && ran.err.contains("line 3: "),
        "{}",
        ran.err
    );
    let found = consume(url, &topic, &["--count", "2", "--idle", "30s"]).exits(0);
    assert_eq!(values(&found), ["1", "3"]);

    let small = if url.starts_with("kafka") {
        url.to_owned()
    } else {
        format!("{url}?message.max=1MiB")
    };
    let big = format!(
        "{{\"value\":\"{}\"}}\n{{\"value\":\"small\"}}\n",
        "x".repeat(2 << 20)
    );
    let ran = publish(&small, &topic, big.as_bytes()).exits(1);
    assert!(
        ran.err.contains("line 1: ") && ran.err.contains("limit"),
        "{}",
        ran.err
    );
    assert_eq!(ran.lines().len(), 1, "{ran:?}");

    let missing = unique("missing");
    for words in [
        &["publish", &missing, "x"][..],
        &["consume", &missing],
        &["consume", &missing, "--group", "g"],
    ] {
        let ran = run(on(url, words)).exits(1);
        assert!(
            ran.err.contains(&format!("bus topics create {missing}")),
            "{ran:?}"
        );
    }
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
        consume(url, &topic, &["--idle", "2s", "--count", "3"])
            .exits(3)
            .lines()
            .len(),
        2
    );
    assert_eq!(consume(url, &topic, &["--idle", "2s"]).exits(0).lines().len(), 2);
    assert_eq!(
        consume(url, &topic, &["--idle", "2s", "--group", &group])
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
    let rest = consume(url, &topic, &["--group", &group, "--idle", "3s"])
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

fn groups_are_reset(url: &str) {
    let (topic, group) = (created(url, "reset", "1"), unique("group"));
    let stored = publish(url, &topic, &numbers(4)).exits(0).lines();
    consume(url, &topic, &["--group", &group, "--count", "4", "--idle", "30s"]).exits(0);
    let reset = |to: &str, more: &[&str]| {
        run(on(
            url,
            &[&["groups", "reset", &group, "--topic", &topic, "--to", to], more].concat(),
        ))
    };
    let shown = reset("earliest", &["--dry-run"]).exits(0).lines();
    assert_eq!(
        (&shown[0]["to"], &shown[0]["done"]),
        (&stored[0]["position"], &json!(false))
    );
    assert_eq!(
        run(on(url, &["lag", &group])).lines()[0]["lag"],
        0,
        "a dry run moves nothing"
    );

    let third = stored[2]["position"]
        .as_str()
        .map_or_else(|| stored[2]["position"].to_string(), str::to_owned);
    let moved = reset(&third, &[]).exits(0).lines();
    assert_eq!(
        (&moved[0]["to"], &moved[0]["done"]),
        (&stored[2]["position"], &json!(true))
    );
    let again = consume(url, &topic, &["--group", &group, "--count", "2", "--idle", "30s"]).exits(0);
    assert_eq!(values(&again), ["3", "4"]);
    reset("1h ago", &[]).exits(0);
    assert_eq!(run(on(url, &["lag", &group])).lines()[0]["lag"], 4);
    reset("latest", &[]).exits(0);

    let mut member = on(url, &["consume", &topic, "--group", &group]);
    member.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut member = Running::start(member);
    publish(url, &topic, &numbers(1)).exits(0);
    let mut line = String::new();
    BufReader::new(member.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let refused = reset("earliest", &[]).exits(1);
    assert!(
        refused.err.contains("live members") && refused.out.is_empty(),
        "{refused:?}"
    );
    run(on(url, &["groups", "delete", &group, "-y"])).exits(1);
    member.signal(Signal::TERM);
    assert_eq!(member.ended("a member").code(), Some(0));
    // The server may take a moment to forget it.
    until("the group is deleted", || {
        (run(on(url, &["groups", "delete", &group, "-y"])).status == 0).then_some(())
    });
    assert!(
        !run(on(url, &["groups"]))
            .exits(0)
            .lines()
            .iter()
            .any(|line| line["group"] == group)
    );
}

fn topics_are_looked_after(url: &str) {
    let topic = unique("looked-after");
    let made = run(on(
        url,
        &["create-topic", &topic, "--partitions", "3", "--retention", "7d"],
    ))
    .exits(0);
    assert_eq!(
        made.lines(),
        [json!({"topic": topic, "partitions": 3, "created": true})]
    );
    let again = run(on(url, &["topics", "create", &topic, "--partitions", "5"])).exits(0);
    assert_eq!(
        again.lines(),
        [json!({"topic": topic, "partitions": 3, "created": false})]
    );
    assert!(again.err.contains("exists already"), "{again:?}");
    let internal = format!("{topic}.dlq");
    run(on(url, &["topics", "create", &internal])).exits(0);
    let listed = run(on(url, &["topics", "list"])).exits(0).lines();
    let find = |name: &str| listed.iter().find(|line| line["topic"] == name).unwrap();
    assert_eq!(
        (&find(&topic)["partitions"], &find(&topic)["internal"]),
        (&json!(3), &json!(false))
    );
    assert_eq!(find(&topic)["retention_ms"], 7 * 86_400_000_i64);
    assert_eq!(find(&internal)["internal"], true);
    let described = run(on(url, &["topics", "describe", &topic])).exits(0).lines();
    assert_eq!(described[0]["ends"].as_array().unwrap().len(), 3);
    run(on(url, &["topics", "delete", &topic])).exits(2);
    run(on(url, &["topics", "delete", &topic, &internal, "-y"])).exits(0);
    let gone = || {
        !run(on(url, &["topics"]))
            .exits(0)
            .lines()
            .iter()
            .any(|line| line["topic"] == topic)
    };
    until("the topic is gone", || gone().then_some(()));
    run(on(url, &["topics", "delete", &topic, "-y"])).exits(1);
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

fn check_says_what_it_found(url: &str) {
    let found = run(on(url, &["check"])).exits(0).lines();
    assert!(
        found
            .iter()
            .any(|line| line["check"] == "connection" && line["status"] == "ok"),
        "{found:?}"
    );
    for line in &found {
        let bad = matches!(line["status"].as_str().unwrap(), "warning" | "wrong");
        assert_eq!(line["advice"].is_string(), bad, "{line}");
    }
    let judged = if url.starts_with("kafka") {
        "min.insync.replicas"
    } else {
        "eviction"
    };
    assert!(
        found
            .iter()
            .any(|line| line["check"] == judged && line["status"] != "info"),
        "{found:?}"
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

fn a_publisher_that_is_interrupted_says_how_far_it_came(url: &str) {
    let mut command = on(
        url,
        &[
            "publish",
            &unique("interrupted"),
            "--json",
            "--create",
            "1",
            "--rate",
            "50",
        ],
    );
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = Running::start(command);
    let mut input = running.0.stdin.take().unwrap();
    input.write_all(&numbers(1_000)).unwrap();
    let mut output = BufReader::new(running.0.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    running.signal(Signal::INT);
    assert_eq!(running.ended("a signal").code(), Some(1));
    let confirmed = 1 + output.lines().count();
    let mut said = String::new();
    running
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(
        said.contains(&format!("nothing after line {confirmed} was published")),
        "{confirmed}: {said}"
    );
}

/// Input that comes slowly is published as it comes, and each line is confirmed before the next is there.
#[test]
fn lines_are_published_as_they_come() {
    let server = Server::redis();
    let mut command = on(
        &server.url,
        &["publish", &unique("slow"), "--json", "--create", "1"],
    );
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = Running::start(command);
    let mut input = running.0.stdin.take().unwrap();
    let mut output = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let begin = Instant::now();
    for _ in 0..3 {
        input.write_all(b"{\"value\":1}\n").unwrap();
        assert!(output.next().unwrap().unwrap().contains("position"));
    }
    drop(input);
    assert_eq!(running.ended("the end of input").code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(20));
}
