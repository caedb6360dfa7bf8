//! The fault tests: publishers and consumers are processes of their own, faults act on them by signal, on their
//! connections by a proxy and on brokers by whatever a machine can do to a server; what everybody recorded is merged
//! afterwards and checked by the pure checkers of the conformance suite.
//!
//! # Adding a test
//!
//! 1. A file in `scenarios/` with one function, `pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure>`, and
//!    a line for it in the table of `scenarios/mod.rs`.
//! 2. In it: start a [`Server`](server::Server) (of this test alone), open a [`Stage`](stage::Stage) on it, add
//!    publishers and consumers, do harm with pauses between ([`Test::turns`](test::Test::turns) keeps every fourth
//!    quarter quiet), heal, and [`finish`](stage::Stage::finish): it drains, reads the log, and checks everything that
//!    always holds. What must hold besides, the test checks itself, and returns the numbers worth printing.
//! 3. Say what the harm explains: a member that was killed is known to the stage; one that was frozen or cut off is
//!    told to it with [`Stage::may_lose`](stage::Stage::may_lose).
//! 4. Take the remedy out of the bus once and see the test fail.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test is a panic"))]

mod actor;
mod cast;
mod chain;
mod evidence;
mod foreign;
mod loss;
mod observer;
mod pair;
mod payload;
mod record;
mod run;
mod scenarios;
mod server;
mod stage;
mod standing;
mod stray;
mod test;
mod verdict;

use clap::Parser;
use std::process::ExitCode;

/// The first word of the command line of a publisher or consumer under test; its description follows.
const ACTOR: &str = "actor";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("BUS_LOG").unwrap_or_else(|_| "warn".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match &words[..] {
        [_, word, spec] if word == ACTOR => runtime.block_on(actor::process(spec)),
        _ => runtime.block_on(run::run(run::Options::parse())),
    }
}
