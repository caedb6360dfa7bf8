//! The parts of the flow, each against a reference model of its own that is as simple as its task. The whole of it is
//! in `flow_model`; here a mistake is found next to where it is.
//!
//! A failure says its number; `BUS_SEED=<number>` runs that schedule alone, `PROPTEST_CASES=<how many>` runs more.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lanes;
mod ledger;
mod notes;
mod seeds;
mod table;
