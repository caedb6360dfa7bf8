//! What the tests of commands on every server share.
#![allow(dead_code, unused_macros, reason = "each test program uses a part of it")]

use super::{Ran, Server, feed, on, run, unique};

/// Each check on each server, as a test of its own.
macro_rules! on_every_server {
    ($($check:ident),* $(,)?) => {
        mod kafka { $(#[test] fn $check() { crate::common::checks::checked(crate::common::Server::kafka(), stringify!($check), super::$check); })* }
        mod redis { $(#[test] fn $check() { crate::common::checks::checked(crate::common::Server::redis(), stringify!($check), super::$check); })* }
        mod redis_8 { $(#[test] fn $check() { crate::common::checks::checked(crate::common::Server::redis_8(), stringify!($check), super::$check); })* }
    };
}
#[allow(unused_imports, reason = "each test program uses a part of it")]
pub(crate) use on_every_server;

pub(crate) fn checked(server: Server, name: &str, check: fn(&str)) {
    check(&server.url);
    server.passed(&format!("cli: {}", name.replace('_', " ")));
}

pub(crate) fn created(url: &str, what: &str, partitions: &str) -> String {
    let topic = unique(what);
    run(on(url, &["topics", "create", &topic, "--partitions", partitions])).exits(0);
    topic
}

pub(crate) fn publish(url: &str, topic: &str, lines: &[u8]) -> Ran {
    feed(on(url, &["publish", topic, "--json"]), lines)
}

pub(crate) fn consume(url: &str, topic: &str, words: &[&str]) -> Ran {
    run(on(url, &[&["consume", topic, "--json"][..], words].concat()))
}

/// Values one to `count`, all of one key, so that they have one order.
pub(crate) fn numbers(count: u32) -> Vec<u8> {
    (1..=count)
        .map(|n| format!("{{\"key\":\"k\",\"value\":{n}}}\n"))
        .collect::<String>()
        .into()
}

pub(crate) fn values(ran: &Ran) -> Vec<String> {
    ran.lines()
        .iter()
        .map(|line| line["value"].as_str().unwrap_or("?").to_owned())
        .collect()
}
