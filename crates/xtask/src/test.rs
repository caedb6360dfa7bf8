//! `cargo xtask test`: every test, against real servers.

use std::path::{Path, PathBuf};

use bus_brokers::{Kind, REPORT_VARIABLE, Server};

use crate::cargo::cargo;
use crate::features;
use crate::report::Report;
use crate::summary::Summary;
use crate::{Done, interrupt, loom};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What `cargo test` gets after its own `--`, such as a part of a test's name.
    #[arg(last = true)]
    filter: Vec<String>,
}

/// Starts what is missing, runs the tests, stops what it started, and says what really ran.
pub(crate) fn run(arguments: &Arguments) -> Done {
    interrupt::install()?;
    let report = bus_brokers::target_dir().join("test-report.tsv");
    let mut servers = Vec::new();
    let tests = start(&mut servers).and_then(|()| {
        // Asked for a part of a test's name, it would run another one as well.
        let met = !arguments.filter.is_empty() || loom::run()?;
        Ok(cargo_test(arguments, &servers, &report)? && met)
    });
    // Also after a failure or Ctrl-C. Servers that ran before keep running.
    let stopped = stop(&servers);
    let green = tests?;
    stopped?;

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

/// One after the other, so that the ones before a failure are known and stopped.
fn start(servers: &mut Vec<Server>) -> Done {
    for kind in Kind::ALL {
        if interrupt::interrupted() {
            return Err("interrupted".into());
        }
        servers.push(bus_brokers::shared(kind)?);
    }
    // The foreign clients of the tests are installed here, where it is seen, and not in the middle of a test.
    bus_brokers::kcat()?;
    bus_brokers::python(&["aiokafka"])?;
    Ok(())
}

fn stop(servers: &[Server]) -> Done {
    for server in servers.iter().filter(|server| server.started) {
        bus_brokers::stop(server.kind)?;
    }
    // A test that was killed could not stop its own.
    bus_brokers::sweep()?;
    Ok(())
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
    for server in servers {
        command.env(server.kind.variable(), &server.address);
    }
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
