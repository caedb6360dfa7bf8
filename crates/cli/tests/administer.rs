//! `bus topics`, `bus groups` and `bus check` on real servers: the same on each.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{
    Running,
    checks::{consume, created, numbers, on_every_server, publish, values},
    on, run, unique, until,
};
use rustix::process::Signal;
use serde_json::json;
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

on_every_server! {
    groups_are_reset,
    topics_are_looked_after,
    check_says_what_it_found,
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
