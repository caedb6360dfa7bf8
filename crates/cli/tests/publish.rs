//! `bus publish` on real servers: the same on each.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{
    Ran, Running, Server,
    checks::{consume, created, numbers, on_every_server, publish, values},
    on, run, unique,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::Stdio,
    time::{Duration, Instant},
};

on_every_server! {
    what_is_published_is_consumed_unchanged,
    what_is_printed_can_be_published,
    failed_lines_are_named,
    what_is_delayed_comes_later,
    a_publisher_that_is_interrupted_says_how_far_it_came,
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

fn what_is_delayed_comes_later(url: &str) {
    let topic = created(url, "delayed", "2");
    let began = Instant::now();
    let line = ["publish", &topic, "x", "--key", "k", "--delay", "3s", "--json"];
    let stored = run(on(url, &line)).exits(0).lines();
    assert_eq!(stored[0]["topic"], json!(format!("{topic}.delay")));
    // Whoever consumes in a group moves what a publisher left behind that is gone.
    let group = unique("g");
    let found = consume(url, &topic, &["--group", &group, "--count", "1", "--idle", "50s"]).exits(0);
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    let lines = found.lines();
    assert_eq!((&lines[0]["value"], &lines[0]["key"]), (&json!("x"), &json!("k")));
    assert_eq!(lines[0]["headers"][0][0], json!("bus-origin-id"));
    let refused = run(on(url, &["publish", &topic, "x", "--delay", "soon"])).exits(2);
    assert!(refused.err.contains("5s"), "{refused:?}");
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
    assert!(begin.elapsed() < Duration::from_secs(60));
}
