//! The tests, one a file, in one table.

mod frozen;
mod kills;

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
    scenario!("1", "kills", [Kafka, Redis, Memory], 40, kills::run, smoke),
    scenario!("2", "frozen", [Kafka, Redis], 40, frozen::run, smoke),
];
