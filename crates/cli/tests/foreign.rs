//! What other programs see of what `bus publish` stored, and what `bus consume` makes of theirs.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{Server, feed, flights, on, run, unique};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path, process::Command};

/// A key and its payloads, in order.
type Keyed = BTreeMap<Option<String>, Vec<String>>;

/// The flights as they should be read: the value's text is compact in the file, so it is what is sent.
fn expected() -> Keyed {
    let mut expected = Keyed::new();
    for line in String::from_utf8(flights()).unwrap().lines() {
        let key = serde_json::from_str::<Value>(line).unwrap()["key"]
            .as_str()
            .map(str::to_owned);
        let (_, value) = line.split_once(",\"value\":").unwrap();
        expected
            .entry(key)
            .or_default()
            .push(value.strip_suffix('}').unwrap().to_owned());
    }
    // Messages without a key have no order.
    expected
        .get_mut(&None)
        .into_iter()
        .for_each(|values| values.sort());
    expected
}

fn output(program: &Path, words: &[&str]) -> String {
    let output = Command::new(program)
        .args(words)
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    assert!(
        output.status.success(),
        "{}: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn kcat_reads_keys_and_payloads_unchanged() {
    let server = Server::kafka();
    let topic = unique("kcat");
    feed(
        on(&server.url, &["publish", &topic, "--json", "--create", "4"]),
        &flights(),
    )
    .exits(0);
    let kcat = bus_brokers::kcat().unwrap();
    let words = [
        "-C",
        "-q",
        "-e",
        "-Z",
        "-b",
        &server.value,
        "-t",
        &topic,
        "-o",
        "beginning",
        "-f",
        "%K\t%k\t%s\n",
    ];
    let mut found = Keyed::new();
    for line in output(&kcat, &words).lines() {
        let [length, key, payload] = line.splitn(3, '\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        found
            .entry((length != "-1").then(|| key.to_owned()))
            .or_default()
            .push(payload.to_owned());
    }
    found.get_mut(&None).into_iter().for_each(|values| values.sort());
    assert_eq!(found, expected());
    server.passed("cli: kcat reads keys and payloads unchanged");
}

#[test]
fn what_kcat_produces_is_printed() {
    let server = Server::kafka();
    let topic = unique("from-kcat");
    run(on(&server.url, &["topics", "create", &topic])).exits(0);
    let mut kcat = Command::new(bus_brokers::kcat().unwrap());
    kcat.args(["-P", "-b", &server.value, "-t", &topic, "-K", ":", "-H", "n=1"]);
    feed(kcat, b"k:hello\n").exits(0);
    let found = run(on(
        &server.url,
        &["consume", &topic, "--count", "1", "--idle", "30s"],
    ))
    .exits(0)
    .lines();
    assert_eq!(
        (&found[0]["key"], &found[0]["value"]),
        (&"k".into(), &"hello".into())
    );
    assert_eq!(found[0]["headers"], serde_json::json!([["n", "1"]]));
    server.passed("cli: what kcat produces is printed");
}

#[test]
fn redis_cli_reads_keys_and_payloads_unchanged() {
    // What brings redis-cli where it is missing.
    bus_brokers::redis_server().unwrap();
    let server = Server::redis();
    let topic = unique("redis-cli");
    feed(
        on(&server.url, &["publish", &topic, "--json", "--create", "4"]),
        &flights(),
    )
    .exits(0);
    let mut found = Keyed::new();
    for partition in 0..4 {
        let stream = format!("{topic}:{{{partition}}}");
        // As JSON, because the plain form cannot tell an entry's end.
        let entries = output(
            Path::new("redis-cli"),
            &["-u", &server.value, "--json", "XRANGE", &stream, "-", "+"],
        );
        for entry in serde_json::from_str::<Vec<(String, Vec<String>)>>(&entries).unwrap() {
            let fields: BTreeMap<_, _> = entry.1.chunks(2).map(|pair| (&*pair[0], &*pair[1])).collect();
            found
                .entry(fields.get("key").map(ToString::to_string))
                .or_default()
                .push(fields["data"].to_owned());
        }
    }
    found.get_mut(&None).into_iter().for_each(|values| values.sort());
    assert_eq!(found, expected());
    server.passed("cli: redis-cli reads keys and payloads unchanged");
}

#[test]
fn what_redis_cli_adds_is_printed() {
    bus_brokers::redis_server().unwrap();
    let (server, stream, group) = (Server::redis(), unique("xadd"), unique("group"));
    let add = [
        "-u",
        &*server.value,
        "XADD",
        &stream,
        "*",
        "data",
        "{\"user_id\":1}",
    ];
    output(Path::new("redis-cli"), &add);
    let words = [
        "consume", &stream, "--group", &group, "--count", "1", "--idle", "30s",
    ];
    let found = run(on(&server.url, &words)).exits(0).lines();
    assert_eq!(
        (&found[0]["key"], &found[0]["value"]),
        (&Value::Null, &"{\"user_id\":1}".into())
    );
    let info = output(
        Path::new("redis-cli"),
        &["-u", &server.value, "XINFO", "GROUPS", &stream],
    );
    let info: Vec<_> = info.lines().collect();
    let lag = info.iter().position(|line| *line == "lag").map(|at| info[at + 1]);
    assert_eq!(lag, Some("0"), "{info:?}");
    server.passed("cli: what redis-cli adds is printed");
}
