//! The tests that a model checker runs: another build of `bus-core`, whose atomics and locks are loom's.

use crate::cargo::cargo;
use crate::interrupt;

/// A folder of its own, because another flag makes another build of everything.
const FOLDER: &str = "loom";

/// Tries every order in which the threads of a subscription can meet, within the tests' bounds; whether no wake-up,
/// mark or claim was lost in any.
pub(crate) fn run() -> std::io::Result<bool> {
    let mut command = cargo(["test", "--package", "bus-core", "--lib", "loom", "--target-dir"]);
    command
        .arg(bus_brokers::target_dir().join(FOLDER))
        .env("RUSTFLAGS", "--cfg loom");
    Ok(interrupt::status(&mut command)?.success())
}
