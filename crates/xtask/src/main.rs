//! The project's own commands: `cargo xtask brokers`, `cargo xtask test`, `cargo xtask check`.

mod brokers;

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
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Brokers(command) => brokers::run(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
