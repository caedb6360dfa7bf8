//! The tests, one a file, in one table.

mod broker_killed;
mod chain;
mod clocks;
mod commits_at_revoke;
mod cuts;
mod disk_full;
mod failover;
mod flood;
mod foreign_notes;
mod frozen;
mod half_open;
mod kills;
mod leader_killed;
mod lifecycle;
mod lost_replies;
mod memory_full;
mod poison;
mod positions_unknown;
mod power_loss;
mod put_off;
mod resets;
mod retention;
mod split_brain;
mod too_few_in_sync;

use crate::test::{
    Numbers,
    On::{self, Kafka, Memory, Redis},
    Test,
};
use bus_core::conformance::Failure;
use futures_util::future::BoxFuture;

/// One test.
pub(crate) struct Scenario {
    pub(crate) number: &'static str,
    pub(crate) name: &'static str,
    pub(crate) on: &'static [On],
    /// How long faults go on, in seconds, unless said otherwise.
    pub(crate) seconds: u64,
    /// Whether it runs with every change.
    pub(crate) smoke: bool,
    /// Whether it runs only when it is named.
    pub(crate) apart: bool,
    pub(crate) run: for<'a> fn(&'a Test) -> BoxFuture<'a, Result<Numbers, Failure>>,
}

impl Scenario {
    /// Whether somebody means this one.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.number == word || self.name == word
    }
}

/// A line of the table: number, name, backends, seconds, and what else there is to say about it.
macro_rules! scenario {
    ($number:literal, $name:literal, $on:expr, $seconds:literal, $run:path $(, $flag:ident)*) => {
        Scenario {
            number: $number,
            name: $name,
            on: &$on,
            seconds: $seconds,
            run: |test| Box::pin($run(test)),
            $($flag: true,)*
            ..NOTHING
        }
    };
}

const NOTHING: Scenario = Scenario {
    number: "",
    name: "",
    on: &[],
    seconds: 0,
    smoke: false,
    apart: false,
    run: |_| Box::pin(async { Err(Failure::new("there is nothing to run")) }),
};

/// All of them.
pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!("1", "killed", [Kafka, Redis, Memory], 40, kills::run, smoke),
    scenario!("2", "frozen", [Kafka, Redis], 40, frozen::run, smoke),
    scenario!("3", "lost-replies", [Kafka, Redis], 40, lost_replies::run, smoke),
    scenario!("4", "half-open", [Kafka, Redis], 45, half_open::run),
    scenario!("5", "resets", [Kafka, Redis], 60, resets::run),
    scenario!("6", "cuts", [Kafka, Redis], 40, cuts::run),
    scenario!("13", "levels", [Kafka, Redis], 40, chain::levels, smoke),
    scenario!("14", "commits-at-revoke", [Kafka], 60, commits_at_revoke::run),
    scenario!("15", "positions-unknown", [Kafka], 60, positions_unknown::run),
    scenario!("16", "retention", [Kafka, Redis], 40, retention::run),
    scenario!("17", "foreign-notes", [Kafka], 40, foreign_notes::run, smoke),
    scenario!("18", "poison", [Kafka, Redis, Memory], 60, poison::run, smoke),
    scenario!("19", "put-off", [Kafka, Redis, Memory], 20, put_off::run),
    scenario!("20", "flood", [Kafka, Redis], 60, flood::run),
    scenario!(
        "24",
        "exactly-once",
        [Kafka, Redis, Memory],
        60,
        chain::run,
        smoke
    ),
    scenario!("25", "lifecycle", [Kafka, Redis, Memory], 40, lifecycle::run),
    scenario!("7", "broker-killed", [Kafka, Redis], 60, broker_killed::run),
    scenario!("8", "power-loss", [Redis], 30, power_loss::run),
    scenario!("9", "leader-killed", [Kafka], 60, leader_killed::run),
    scenario!("10", "too-few-in-sync", [Kafka], 40, too_few_in_sync::run),
    scenario!("11", "failover", [Redis], 30, failover::run),
    scenario!("12", "split-brain", [Redis], 20, split_brain::run),
    scenario!("21", "disk-full", [Kafka, Redis], 30, disk_full::run),
    scenario!("22", "memory-full", [Redis], 30, memory_full::run),
    scenario!("23", "clocks", [Kafka, Redis], 40, clocks::run),
    // The long ones, each asked for by name.
    scenario!(
        "chain",
        "exactly-once-100000",
        [Kafka, Redis, Memory],
        600,
        chain::many,
        apart
    ),
    scenario!("kills", "killed-200", [Kafka, Redis], 1_200, kills::many, apart),
];
