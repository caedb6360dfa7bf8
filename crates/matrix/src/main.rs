//! Every check of the conformance suite on every backend, in one process: a table of what holds where.

mod column;
// The tests of the package `bus` use the same ones, one backend a binary.
#[path = "../../../tests/harness/mod.rs"]
mod harness;
mod outcome;
mod run;
mod table;

use bus_core::conformance::{CHECKS, Check};
use clap::Parser;
use column::Column;
use std::process::ExitCode;

/// Runs every check of the conformance suite on every backend and prints what holds where.
#[derive(Parser)]
#[command(name = "bus-matrix")]
struct Arguments {
    /// Through every layer: spans, metrics, health, and faults that never strike.
    #[arg(long)]
    layers: bool,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Only checks whose name contains this; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Only on this backend; may be given several times.
    #[arg(long, value_name = "BACKEND")]
    on: Vec<Column>,
    /// Checks that run at the same time: they wait more than they work.
    #[arg(long, value_name = "N", default_value_t = 6)]
    jobs: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let wanted = |check: &&Check| {
        arguments.only.is_empty()
            || arguments
                .only
                .iter()
                .any(|part| check.name.contains(part.as_str()))
    };
    let checks: Vec<&'static Check> = CHECKS.iter().filter(wanted).collect();
    let columns = match arguments.on.is_empty() {
        true => Column::ALL.to_vec(),
        false => arguments.on.clone(),
    };
    if let Err(error) = ready(&arguments, &checks, &columns) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    let matrix = run::all(&checks, &columns, arguments.layers, arguments.jobs.max(1));
    if arguments.json {
        println!("{:#}", matrix.json());
    } else {
        println!("{matrix}");
    }
    match matrix.is_green() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// What is missing is said before anything runs.
fn ready(arguments: &Arguments, checks: &[&Check], columns: &[Column]) -> Result<(), String> {
    if checks.is_empty() {
        return Err(format!("no check's name contains any of {:?}", arguments.only));
    }
    let missing = columns.iter().filter_map(|column| column.variable());
    let unset = |variable: &&str| std::env::var_os(variable).is_none_or(|value| value.is_empty());
    match missing.filter(unset).collect::<Vec<_>>()[..] {
        [] => Ok(()),
        ref unset => Err(format!(
            "set {}, or run `cargo xtask matrix`, which starts the servers",
            unset.join(", ")
        )),
    }
}
