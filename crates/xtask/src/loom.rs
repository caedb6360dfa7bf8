//! The tests that a model checker runs: another build of `bus-core`, whose atomics and locks are loom's.

use crate::cargo::cargo;
use crate::interrupt;
use std::process::Command;

/// Tries every order in which the threads of a subscription can meet, within the tests' bounds; whether no wake-up,
/// mark or claim was lost in any.
pub(crate) fn run() -> std::io::Result<bool> {
    let mut command = cargo(["test", "--package", "bus-core", "--lib", "loom"]);
    apart(&mut command);
    Ok(interrupt::status(&mut command)?.success())
}

/// With the checker's flag, and in a folder of its own, because another flag makes another build of everything.
pub(crate) fn apart(command: &mut Command) {
    command
        .arg("--target-dir")
        .arg(bus_brokers::target_dir().join("loom"))
        .env("RUSTFLAGS", "--cfg loom");
}
