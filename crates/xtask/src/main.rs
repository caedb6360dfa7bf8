//! The project's own commands: `cargo xtask brokers`, `test`, `matrix`, `faults`, `check`.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test is a panic"))]

mod brokers;
mod cargo;
mod check;
mod docker;
mod faults;
mod features;
mod firewall;
mod fuzz;
mod instructions;
mod interrupt;
mod loom;
mod matrix;
mod mutants;
mod report;
mod servers;
mod step;
mod summary;
mod test;
mod verdicts;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start, stop or list the servers that tests, benchmarks and examples talk to.
    #[command(subcommand)]
    Brokers(brokers::Command),
    /// Run every test against real servers, starting and stopping what is missing.
    Test(test::Arguments),
    /// Kill, freeze and cut off publishers, consumers and brokers, and check what the bus promises.
    Faults(faults::Arguments),
    /// Run every check of the conformance suite on every backend, and print what holds where.
    Matrix(matrix::Arguments),
    /// Run every check that needs no server: format, lints, documentation, features, dependencies.
    Check,
    /// Run every decoder under libFuzzer for a while.
    Fuzz(fuzz::Arguments),
    /// Count the instructions that each codec of the bus adds to the library under it; more than 5 % is an error.
    Instructions,
    /// See that the tests find deliberate faults, and write the table of them.
    Mutants(mutants::Arguments),
}

/// What a command comes to; an error is a sentence for the terminal.
type Done = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    if !matches!(
        command,
        Command::Check | Command::Faults(_) | Command::Fuzz(_) | Command::Instructions
    ) && let Some(code) = docker::rebuilt()
    {
        return code;
    }
    let done = match command {
        Command::Brokers(command) => brokers::run(command),
        Command::Test(arguments) => test::run(&arguments),
        Command::Faults(arguments) => faults::run(&arguments),
        Command::Matrix(arguments) => matrix::run(&arguments),
        Command::Check => check::run(),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Instructions => instructions::run(),
        Command::Mutants(arguments) => mutants::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
