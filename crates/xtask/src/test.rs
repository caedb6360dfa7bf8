//! `cargo xtask test`: every test, against real servers.

use std::path::{Path, PathBuf};

use bus_brokers::{REPORT_VARIABLE, Server};

use crate::cargo::cargo;
use crate::features;
use crate::report::Report;
use crate::summary::Summary;
use crate::{Done, interrupt, loom, servers};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What `cargo test` gets after its own `--`, such as a part of a test's name.
    #[arg(last = true)]
    filter: Vec<String>,
}

/// Starts what is missing, runs the tests, stops what it started, and says what really ran.
pub(crate) fn run(arguments: &Arguments) -> Done {
    features::needed()?;
    let report = bus_brokers::target_dir().join("test-report.tsv");
    let (servers, green) = servers::with(|servers| {
        // Asked for a part of a test's name, it would run another one as well.
        let met = !arguments.filter.is_empty() || loom::run()?;
        Ok((servers.to_vec(), cargo_test(arguments, servers, &report)? && met))
    })?;

    let passed = green && !interrupt::interrupted();
    let summary = Summary::new(
        &servers,
        &Report::read(&report)?,
        !arguments.filter.is_empty(),
        passed,
    );
    println!("{summary}");
    match (interrupt::interrupted(), green, summary.is_green()) {
        (true, ..) => Err("interrupted".into()),
        (_, false, _) => Err("cargo test failed".into()),
        (_, _, false) => Err("not everything ran against every server".into()),
        _ => Ok(()),
    }
}

/// How many tests of one binary run at a time.
const THREADS: &str = "RUST_TEST_THREADS";

/// Runs `cargo test`; says whether it succeeded.
fn cargo_test(
    arguments: &Arguments,
    servers: &[Server],
    report: &Path,
) -> Result<bool, Box<dyn std::error::Error>> {
    forget(report)?;
    // With --no-fail-fast, because one broken test must not hide what the other servers would have said.
    let mut command = cargo(["test", "--workspace", features::EVERYTHING, "--no-fail-fast"]);
    if !arguments.filter.is_empty() {
        command.arg("--").args(&arguments.filter);
    }
    servers::name(servers, &mut command);
    command.env(REPORT_VARIABLE, report);
    // Broker tests wait more than they work: one a core would leave the machine idle.
    if std::env::var_os(THREADS).is_none() {
        command.env(THREADS, "4");
    }
    Ok(interrupt::status(&mut command)?.success())
}

/// What an earlier run reported proves nothing about this one.
fn forget(report: &Path) -> std::io::Result<()> {
    if let Some(parent) = report.parent().map(PathBuf::from) {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::remove_file(report) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
