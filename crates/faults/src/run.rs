//! Which tests run, one after the other, a line for each.

use crate::{
    scenarios::{SCENARIOS, Scenario},
    test::{On, Test},
};
use bus_proxy::Rng;
use parking_lot::Mutex;
use std::{process::ExitCode, time::Duration};
use tokio::time::Instant;

/// How long faults go on in a run of the smoke set.
const SMOKE: u64 = 10;
/// How long anything may take beyond the time of its faults, before the test counts as hung.
const HUNG: Duration = Duration::from_secs(420);

/// Kills, freezes and cuts off publishers, consumers and brokers, and checks what the bus promises.
#[derive(clap::Parser)]
#[command(name = "cargo xtask faults", bin_name = "cargo xtask faults")]
pub(crate) struct Options {
    /// Only these tests, by number or name.
    tests: Vec<String>,
    /// Only these tests, by number or name.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only on these backends.
    #[arg(long, value_delimiter = ',')]
    on: Vec<On>,
    /// The seed of all chances; by default another each time.
    #[arg(long)]
    seed: Option<u64>,
    /// How long faults go on, in seconds (default: each test's own time).
    #[arg(long)]
    seconds: Option<u64>,
    /// The tests that run with every change, with ten seconds of faults each.
    #[arg(long)]
    smoke: bool,
    /// List the tests and end.
    #[arg(long)]
    list: bool,
}

pub(crate) async fn run(mut arguments: Options) -> ExitCode {
    if arguments.list {
        for s in SCENARIOS {
            let on: Vec<_> = s.on.iter().map(ToString::to_string).collect();
            println!(
                "{:>7} {:<28} {}{}",
                s.number,
                s.name,
                on.join(" "),
                if s.smoke { ", smoke" } else { "" }
            );
        }
        return ExitCode::SUCCESS;
    }
    let tests = std::mem::take(&mut arguments.tests);
    arguments.only.extend(tests);
    let unknown: Vec<_> = arguments
        .only
        .iter()
        .filter(|o| !SCENARIOS.iter().any(|s| s.is(o)))
        .collect();
    if !unknown.is_empty() {
        eprintln!("error: no such test: {unknown:?}; `--list` names them");
        return ExitCode::from(2);
    }
    let seed = arguments
        .seed
        .unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0 >> 32);
    let wanted = |s: &&Scenario| match arguments.only.is_empty() {
        true => {
            if arguments.smoke {
                s.smoke
            } else {
                !s.apart
            }
        }
        false => arguments.only.iter().any(|o| s.is(o)),
    };
    let (mut ran, mut failed) = (0, 0);
    for scenario in SCENARIOS.iter().filter(wanted) {
        for on in scenario
            .on
            .iter()
            .filter(|on| arguments.on.is_empty() || arguments.on.contains(on))
        {
            let usual = if arguments.smoke { SMOKE } else { scenario.seconds };
            ran += 1;
            failed += u32::from(!one(scenario, *on, seed, arguments.seconds.unwrap_or(usual)).await);
        }
    }
    println!("{ran} fault tests, {failed} failed, seed {seed}");
    if failed == 0 && ran > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn one(scenario: &Scenario, on: On, seed: u64, seconds: u64) -> bool {
    let (number, name) = (scenario.number, scenario.name);
    let dir = bus_brokers::target_dir()
        .join("faults")
        .join(format!("{number}-{on}-{seed}-{}", std::process::id()));
    if let Err(error) = std::fs::create_dir_all(&dir) {
        println!("{number:>2} {name}: {on}: FAILED: {}: {error}", dir.display());
        return false;
    }
    let time = Duration::from_secs(seconds);
    let test = Test {
        on,
        seed,
        time,
        dir: dir.clone(),
        rng: Mutex::new(Rng::new(seed)),
    };
    let started = Instant::now();
    let result = tokio::time::timeout(time + HUNG, (scenario.run)(&test)).await;
    let took = started.elapsed().as_secs_f64();
    let (passed, text) = match result {
        Ok(Ok(numbers)) => (true, format!("ok: {numbers}")),
        Ok(Err(failure)) => (false, format!("FAILED: {failure}; records in {}", dir.display())),
        Err(_) => (false, format!("FAILED: hung; records in {}", dir.display())),
    };
    println!("{number:>2} {name}: {on}, seed {seed}, {took:.0} s: {text}");
    if passed {
        let _ = std::fs::remove_dir_all(&dir);
        let check = format!("fault {number}");
        if let Err(error) = bus_brokers::passed(&on.to_string(), "faults", &check) {
            eprintln!("error: {error}");
            return false;
        }
    }
    passed
}
