//! What needs no server: usage, errors, exit statuses, and the memory bus.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use bus_brokers::Awake;
use common::{bus, feed, on, run};
use std::time::{Duration, Instant};

#[test]
fn wrong_usage_is_status_2() {
    for words in [
        &["nonsense"][..],
        &["publish"],
        &["publish", "t", "--header", "x"],
        &["publish", "t", "--rate", "0"],
        &["publish", "t", "--create", "0"],
        &["consume", "t", "--from", "noon"],
        &["consume", "t", "--idle", "5"],
        &["consume", "t", "--count", "0"],
        &["groups", "reset", "g", "--topic", "t"],
        &["topics", "create"],
        &["dlq", "list", "t"],
        &["dlq", "show", "t", "g"],
        &["dlq", "replay", "t"],
        &["dlq", "replay", "t", "g", "--rate", "0"],
        &["dlq", "replay", "t", "g", "--since", "noon"],
        &["--url", "memory://", "dlq", "list", "t", "no spaces"],
        &["--url", "nonsense", "topics"],
        &["--url", "ftp://x", "topics"],
        &["--url", "memory://", "publish", "no spaces", "x"],
        &["topics"],
    ] {
        let ran = run(bus(words)).exits(2);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{ran:?}");
    }
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let ran = run(bus(&["topics"]));
    assert!(
        ran.err.contains("--url") && ran.err.contains("BUS_URL"),
        "{ran:?}"
    );
    let ran = run(on("memory://", &["publish", "orders", "x"])).exits(1);
    assert!(ran.err.contains("bus topics create orders"), "{ran:?}");
    let ran = run(on("memory://", &["consume", "orders"])).exits(1);
    assert!(ran.err.contains("bus topics create orders"), "{ran:?}");
    let ran = run(on("memory://", &["topics", "delete", "orders"])).exits(2);
    assert!(ran.err.contains("-y"), "{ran:?}");
    run(on("memory://", &["delete-topic", "orders", "-y"])).exits(1);
    run(on("memory://", &["groups", "describe", "nobody"])).exits(1);
    run(on("memory://", &["lag", "nobody"])).exits(1);
    assert_eq!(run(on("memory://", &["dlq"])).exits(0).out, "");
    let ran = run(on("memory://", &["dlq", "list", "t", "g"])).exits(1);
    assert!(
        ran.err.contains("t.g.dlq") && ran.err.contains("no dead letters"),
        "{ran:?}"
    );
}

#[test]
fn a_broker_that_is_down_is_a_few_lines_with_its_address() {
    for url in ["kafka://127.0.0.1:1", "redis://127.0.0.1:1"] {
        for words in [
            &["topics"][..],
            &["publish", "t", "x"],
            &["consume", "t"],
            &["groups"],
            &["lag"],
            &["dlq"],
            &["dlq", "list", "t", "g"],
            &["dlq", "replay", "t", "g"],
        ] {
            let begin = Awake::begin();
            let mut command = on(url, words);
            command.env("BUS_TIMEOUT", "2s");
            let ran = run(command).exits(1);
            assert!(begin.elapsed() < Duration::from_secs(20), "{url} {words:?}");
            assert!(ran.out.is_empty() && ran.err.contains("127.0.0.1:1"), "{ran:?}");
            assert!(
                ran.err.lines().count() <= 6 && !ran.err.contains("panicked"),
                "{ran:?}"
            );
        }
    }
    let ran = run(on("redis://127.0.0.1:1", &["check"])).exits(1);
    assert_eq!(ran.lines()[0]["status"], "wrong", "{ran:?}");
}

#[test]
fn a_password_is_never_printed() {
    for url in [
        "redis://me:hunter%32@127.0.0.1:1",
        "redis://:hunter%32@127.0.0.1:x",
        "redis://:hunter%32@",
        "kafka://me:hunter%32@127.0.0.1:1?connect.timeout.ms=500",
        "kafka://127.0.0.1:1?sasl.password=hunter%32&nonsense.option=1&connect.timeout.ms=500",
        "amqp://me:hunter%32@127.0.0.1:1",
        "me:hunter%32@127.0.0.1:1",
    ] {
        for words in [&["topics"][..], &["check"], &["topics", "--help"]] {
            let mut command = on(url, words);
            command.env("BUS_LOG", "debug").env("BUS_TIMEOUT", "2s");
            let ran = run(command);
            let said = format!("{}{}", ran.out, ran.err);
            assert!(
                !said.contains("hunter2") && !said.contains("hunter%32"),
                "{url}: {said}"
            );
        }
    }
    // Typed where a command belongs.
    let ran = run(bus(&["redis://me:hunter%32@127.0.0.1:1"])).exits(2);
    assert!(
        ran.err.contains("***") && !ran.err.contains("hunter%32"),
        "{}",
        ran.err
    );
}

#[test]
fn every_message_is_confirmed() {
    let ran = run(on(
        "memory://",
        &["publish", "t", "hello", "--key", "k", "--create", "4", "--json"],
    ))
    .exits(0);
    let lines = ran.lines();
    assert_eq!(lines.len(), 1);
    assert!(
        ran.out.starts_with("{\"topic\":\"t\",\"partition\":"),
        "{}",
        ran.out
    );
    assert_eq!(lines[0]["position"], 0);

    let ran = feed(
        on("memory://", &["publish", "t", "--create", "1"]),
        b"one\ntwo\n\nfour",
    );
    assert_eq!(
        ran.exits(0).lines(),
        [serde_json::json!({"topic": "t", "published": 4, "failed": 0})]
    );
    let ran = feed(on("memory://", &["publish", "t", "--create", "1"]), b"");
    assert_eq!(ran.exits(0).lines()[0]["published"], 0);
}

#[test]
fn a_failed_line_is_named_and_the_others_are_published() {
    let input = b"{\"value\":1}\nnonsense\n\n{\"value\":2,\"partition\":9}\n{\"vaule\":3}\n{\"value\":4}\n";
    let ran = feed(
        on("memory://", &["publish", "t", "--json", "--create", "1"]),
        input,
    )
    .exits(1);
    let positions: Vec<_> = ran
        .lines()
        .iter()
        .map(|line| line["position"].as_u64().unwrap())
        .collect();
    assert_eq!(positions, [0, 1]);
    for named in ["line 2: ", "line 4: ", "line 5: ", "vaule"] {
        assert!(ran.err.contains(named), "{named} in {}", ran.err);
    }
    assert!(
        !ran.err.contains("line 1:") && !ran.err.contains("line 6:"),
        "{}",
        ran.err
    );
}

#[test]
fn a_message_over_the_limit_is_named() {
    let big = format!(
        "{{\"value\":\"{}\"}}\n{{\"value\":\"small\"}}\n",
        "x".repeat(20 << 20)
    );
    let ran = feed(
        on("memory://", &["publish", "t", "--json", "--create", "1"]),
        big.as_bytes(),
    )
    .exits(1);
    assert!(
        ran.err.contains("line 1: ") && ran.err.contains("limit"),
        "{}",
        ran.err
    );
    assert_eq!(ran.lines().len(), 1);
}

#[test]
fn a_year_of_flights_takes_seconds() {
    let begin = Instant::now();
    let input: Vec<u8> = std::iter::repeat_n(common::flights(), 100).flatten().collect();
    let ran = feed(
        on("memory://", &["publish", "t", "--json", "--create", "4"]),
        &input,
    )
    .exits(0);
    assert_eq!(ran.out.lines().count(), 100_000);
    assert!(
        begin.elapsed() < Duration::from_secs(150),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn a_rate_is_kept() {
    let begin = Instant::now();
    let input: String = (0..100).map(|i| format!("{i}\n")).collect();
    feed(
        on("memory://", &["publish", "t", "--create", "1", "--rate", "200"]),
        input.as_bytes(),
    )
    .exits(0);
    assert!(
        begin.elapsed() >= Duration::from_millis(480),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn flags_come_from_the_environment_too() {
    let mut command = bus(&["publish", "t", "x"]);
    command
        .env("BUS_URL", "memory://")
        .env("BUS_JSON", "1")
        .env("BUS_PUBLISH_CREATE", "3")
        .env("BUS_PUBLISH_PARTITION", "2");
    assert_eq!(run(command).exits(0).lines()[0]["partition"], 2);
}

#[test]
fn the_memory_bus_is_looked_after_too() {
    run(on(
        "memory://",
        &[
            "create-topic",
            "t",
            "--partitions",
            "2",
            "--retention",
            "7d",
            "--compact",
        ],
    ))
    .exits(0);
    run(on("memory://", &["topics"])).exits(0);
    assert_eq!(run(on("memory://", &["groups"])).exits(0).out, "");
    let found = run(on("memory://", &["check", "--json"])).exits(0).lines();
    assert_eq!(found[0]["check"], "connection");
}

#[test]
fn version_and_completions() {
    assert_eq!(
        run(bus(&["--version"])).exits(0).out,
        concat!("bus ", env!("CARGO_PKG_VERSION"), "\n")
    );
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(
            run(bus(&["completions", shell])).exits(0).out.contains("consume"),
            "{shell}"
        );
    }
}

/// What people read first. `BUS_CLI_BLESS=1 cargo test -p bus-cli --test usage` writes it anew.
#[test]
fn the_help_is_as_it_was() {
    let mut text = String::new();
    for words in [
        &["-h"][..],
        &["publish", "--help"],
        &["consume", "--help"],
        &["topics", "-h"],
        &["topics", "create", "-h"],
        &["topics", "delete", "-h"],
        &["groups", "-h"],
        &["groups", "reset", "-h"],
        &["lag", "-h"],
        &["dlq", "-h"],
        &["dlq", "list", "-h"],
        &["dlq", "replay", "--help"],
        &["check", "-h"],
    ] {
        let ran = run(bus(words)).exits(0);
        text += &format!("$ bus {}\n{}\n", words.join(" "), ran.out);
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/help.txt");
    if std::env::var_os("BUS_CLI_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap());
}
