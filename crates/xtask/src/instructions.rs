//! `cargo xtask instructions`: what each codec of the bus costs beside the library under it, counted and not timed.

use crate::Done;
use crate::cargo::{cargo, root};
use crate::step::{output, succeed};
use std::path::Path;
use std::process::Command;

/// What the codecs may add, in parts of what the library itself needs.
const MOST: f64 = 0.05;
/// So often each message is encoded or decoded for a count, and once more as often: the difference leaves out how the program
/// begins and ends.
const TIMES: u64 = 1_000;
const FORMATS: [&str; 4] = ["avro", "json", "msgpack", "protobuf"];
const WAYS: [&str; 2] = ["encode", "decode"];

pub(crate) fn run() -> Done {
    let valgrind = bus_brokers::valgrind()?;
    succeed(&mut cargo([
        "build",
        "--quiet",
        "--release",
        "--package",
        "bus-instructions",
    ]))?;
    let counted = root().join("target/release/bus-instructions");
    println!(
        "{:<20}{:>10}{:>10}{:>8}",
        "instructions", "library", "bus", "more"
    );
    let mut over = Vec::new();
    for (format, way) in FORMATS.iter().flat_map(|format| WAYS.map(|way| (*format, way))) {
        let of = |side: &str| a_message(&valgrind, &counted, [format, side, way]);
        let (library, bus) = (of("bare")?, of("bus")?);
        let more = bus / library - 1.0;
        let name = format!("{format} {way}");
        println!("{name:<20}{library:>10.0}{bus:>10.0}{:>+7.1}%", more * 100.0);
        if more > MOST {
            over.push(name);
        }
    }
    if over.is_empty() {
        return Ok(());
    }
    let most = MOST * 100.0;
    Err(format!("more than {most} % over the library: {}", over.join(", ")).into())
}

/// Instructions for one message.
fn a_message(valgrind: &Path, counted: &Path, words: [&str; 3]) -> Result<f64, Box<dyn std::error::Error>> {
    let count = |times: u64| total(valgrind, counted, words, times);
    let (once, twice) = (count(TIMES)?, count(2 * TIMES)?);
    Ok(twice.saturating_sub(once) as f64 / TIMES as f64)
}

fn total(
    valgrind: &Path,
    counted: &Path,
    words: [&str; 3],
    times: u64,
) -> Result<u64, Box<dyn std::error::Error>> {
    // It says what it counted in a log.
    let log = bus_brokers::target_dir().join("instructions.log");
    let mut command = Command::new(valgrind);
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(format!("--log-file={}", log.display()));
    command.arg(counted).args(words).arg(times.to_string());
    output(&mut command)?;
    let said = std::fs::read_to_string(&log)?;
    let number = said.lines().find_map(|line| line.split_once("Collected : "));
    let number = number.ok_or_else(|| format!("callgrind has counted nothing: {said}"))?;
    Ok(number.1.trim().parse()?)
}
