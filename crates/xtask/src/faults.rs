//! `cargo xtask faults`: builds the fault tests and runs them with the words that follow.

use crate::Done;
use crate::cargo::cargo;
use crate::interrupt;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What the fault tests take; `cargo xtask faults -- --help` says it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Done {
    interrupt::install()?;
    let mut command = cargo(["run", "--quiet", "--package", "bus-faults", "--"]);
    let status = interrupt::status(command.args(&arguments.words))?;
    if status.success() {
        Ok(())
    } else {
        Err("a fault test failed".into())
    }
}
