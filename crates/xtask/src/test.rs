//! `cargo xtask test`: every test, against real servers.

use std::path::{Path, PathBuf};

use bus_brokers::{REPORT_VARIABLE, Server};

use crate::cargo::cargo;
use crate::features;
use crate::report::Report;
use crate::summary::Summary;
use crate::verdicts::Verdicts;
use crate::{Done, interrupt, loom, servers};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What `cargo test` gets after its own `--`, such as a part of a test's name.
    #[arg(last = true)]
    filter: Vec<String>,
}

/// A test that fails runs once more, alone: with so many tests on real servers a machine that stands still for a moment
/// fails one now and then. More than this many at once are no accident.
const AGAIN: usize = 3;

/// Starts what is missing, runs the tests, stops what it started, and says what really ran.
pub(crate) fn run(arguments: &Arguments) -> Done {
    features::needed()?;
    let report = bus_brokers::target_dir().join("test-report.tsv");
    let (servers, (green, verdicts)) = servers::with(|servers| {
        // Asked for a part of a test's name, it would run another one as well.
        let met = !arguments.filter.is_empty() || loom::run()?;
        forget(&report)?;
        let (green, verdicts) = cargo_test(&[], &arguments.filter, servers, &report)?;
        let green = green || once_more(&verdicts, servers, &report)?;
        Ok((servers.to_vec(), (green && met, verdicts)))
    })?;

    tell(&verdicts);
    let passed = green && !interrupt::interrupted();
    let summary = Summary::new(
        &servers,
        &Report::read(&report)?,
        !arguments.filter.is_empty(),
        passed,
    );
    println!("{summary}");
    for failed in &verdicts.failed {
        let second = if green {
            "passed when it ran once more"
        } else {
            "FAILED"
        };
        println!("failed at first: {failed}; {second}");
    }
    match (interrupt::interrupted(), green, summary.is_green()) {
        (true, ..) => Err("interrupted".into()),
        (_, false, _) => Err("cargo test failed".into()),
        (_, _, false) => Err("not everything ran against every server".into()),
        _ => Ok(()),
    }
}

/// Runs the few tests that failed again, one after the other; says whether each of them passed.
fn once_more(
    first: &Verdicts,
    servers: &[Server],
    report: &Path,
) -> Result<bool, Box<dyn std::error::Error>> {
    let known = first.broken.is_empty() && first.failed.iter().all(|failed| !failed.target.is_empty());
    if !known || first.failed.is_empty() || first.failed.len() > AGAIN {
        return Ok(false);
    }
    for failed in &first.failed {
        if interrupt::interrupted() {
            return Ok(false);
        }
        println!("\nonce more: {failed}");
        let filter = ["--exact".to_owned(), failed.test.clone()];
        let (green, verdicts) = cargo_test(&failed.target, &filter, servers, report)?;
        // No test of that name would be green too.
        if !green || verdicts.passed == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What failed tests printed stands far above by now.
fn tell(verdicts: &Verdicts) {
    const LINES: usize = 120;
    let said = &verdicts.said;
    for line in &said[said.len().saturating_sub(LINES)..] {
        println!("{line}");
    }
    for program in &verdicts.broken {
        println!("no result: {program}");
    }
}

/// How many tests of one binary run at a time.
const THREADS: &str = "RUST_TEST_THREADS";

/// Runs `cargo test`; says whether it succeeded, and what it printed.
fn cargo_test(
    target: &[String],
    filter: &[String],
    servers: &[Server],
    report: &Path,
) -> Result<(bool, Verdicts), Box<dyn std::error::Error>> {
    // With --no-fail-fast, because one broken test must not hide what the other servers would have said.
    let mut command = cargo(["test", "--workspace", features::EVERYTHING, "--no-fail-fast"]);
    command.args(target);
    if !filter.is_empty() {
        command.arg("--").args(filter);
    }
    servers::name(servers, &mut command);
    command.env(REPORT_VARIABLE, report);
    // Broker tests wait more than they work: one a core would leave the machine idle.
    if std::env::var_os(THREADS).is_none() {
        command.env(THREADS, "4");
    }
    let mut verdicts = Verdicts::default();
    let status = interrupt::status_and_lines(&mut command, |line| verdicts.line(line))?;
    verdicts.close();
    Ok((status.success(), verdicts))
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
