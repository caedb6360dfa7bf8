//! `cargo xtask matrix`: every check of the conformance suite on every backend, as one table.

use std::process::Command;

use crate::cargo::cargo;
use crate::{Done, interrupt, servers};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Through every layer: spans, metrics, health, and faults that never strike.
    #[arg(long)]
    layers: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Only checks whose name contains this; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Only on this backend (memory, kafka, redis-7, redis-8); may be given several times.
    #[arg(long, value_name = "BACKEND")]
    on: Vec<String>,
    /// Checks that run at the same time.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

/// Starts what is missing, runs the checks, and stops what it started. The table is the output; its end is the status.
pub(crate) fn run(arguments: &Arguments) -> Done {
    let status = servers::with(|servers| {
        let mut command = cargo(["run", "--quiet", "--package", "bus-matrix", "--"]);
        servers::name(servers, arguments.pass_on(&mut command));
        Ok(interrupt::status(&mut command)?)
    })?;
    match (interrupt::interrupted(), status.success()) {
        (true, _) => Err("interrupted".into()),
        (_, false) => Err("not every property holds on every backend".into()),
        _ => Ok(()),
    }
}

impl Arguments {
    fn pass_on<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let given = [("--layers", self.layers), ("--json", self.json)];
        command.args(given.iter().filter(|(_, given)| *given).map(|(flag, _)| flag));
        command.args(self.only.iter().flat_map(|name| ["--only", name]));
        command.args(self.on.iter().flat_map(|backend| ["--on", backend]));
        if let Some(jobs) = self.jobs {
            command.arg("--jobs").arg(jobs.to_string());
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_passed_on() {
        let arguments = Arguments {
            layers: true,
            json: false,
            only: vec!["order".into(), "nack".into()],
            on: vec!["kafka".into()],
            jobs: Some(3),
        };
        let mut command = Command::new("x");
        let words: Vec<_> = arguments.pass_on(&mut command).get_args().collect();
        let expected = [
            "--layers", "--only", "order", "--only", "nack", "--on", "kafka", "--jobs", "3",
        ];
        assert_eq!(words, expected);
    }
}
