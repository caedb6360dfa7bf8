//! `examples/flights` prints the same on every backend, also when one of its members is killed.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

#[path = "../examples/flights/flight.rs"]
mod flight;
#[path = "../examples/flights/logbook.rs"]
mod logbook;
#[path = "harness/program.rs"]
mod program;
#[path = "../examples/flights/report.rs"]
mod report;

use logbook::{Entry, Fleet};
use program::{Program, example, server, unique};

/// Counted by another program from the same file.
const PRINTED: &str = "\
1000 flights of 739 aircraft, handled by 4 members

carrier  flights  cancelled  late
9E            31          0     6
AA           113          2    17
AS             3          0     0
B6           190          1    41
DL           135          0     9
EV           136          1    60
F9             2          0     0
FL            12          0     0
HA             1          0     0
MQ            85          0    18
UA           202          0    29
US            42          0     1
VX            14          0     0
WN            34          0     5

longest chain of delays: N13958 left late 3 times in a row, at last as EV4312 from EWR at 2013-01-01T20:00
order: each flight once, those of every aircraft in the order of the file";

fn prints(url: &str, options: &[&str]) -> Vec<String> {
    let mut command = example("flights");
    command
        .args(["--url", url, "--topic", &unique("flights")])
        .args(options);
    let (code, printed, logged) = Program::start(command).ends();
    assert_eq!(code, Some(0), "{url}: {}", logged.join("\n"));
    assert_eq!(printed.join("\n"), PRINTED, "{url}");
    logged
}

/// A flight takes 20 ms, so that whoever is killed has work in hand.
fn survives(url: &str) {
    let logged = prints(url, &["--kill", "--pace-ms", "20"]);
    assert!(
        logged
            .iter()
            .any(|line| line.starts_with("killed member-") && line.ends_with("after 250 flights")),
        "{logged:?}"
    );
    let heirs = logged
        .iter()
        .find_map(|line| line.strip_suffix(" aircraft went on with another member"));
    assert!(heirs.unwrap().parse::<u32>().unwrap() > 0, "{logged:?}");
}

#[test]
#[cfg(feature = "memory")]
fn on_memory() {
    prints("memory://", &[]);
}

#[test]
#[cfg(feature = "kafka")]
fn on_kafka() {
    prints(&server("BUS_TEST_KAFKA"), &[]);
}

#[test]
#[cfg(feature = "redis")]
fn on_redis() {
    prints(&server("BUS_TEST_REDIS"), &[]);
    prints(&server("BUS_TEST_REDIS_8"), &[]);
}

#[test]
#[cfg(feature = "memory")]
fn a_member_crashes_on_memory() {
    survives("memory://?session_timeout_ms=1000");
}

#[test]
#[cfg(feature = "kafka")]
fn a_member_is_killed_on_kafka() {
    survives(&server("BUS_TEST_KAFKA"));
}

/// Its lease is shortened to 3 s, and with it the test.
#[test]
#[cfg(feature = "redis")]
fn a_member_is_killed_on_redis() {
    survives(&format!("{}?ttl=3s", server("BUS_TEST_REDIS")));
}

#[test]
fn the_proof_finds_what_is_wrong() {
    let flights = flight::read(None).unwrap();
    let mut fleet = Fleet::default();
    let log: Vec<Entry> = flights
        .iter()
        .map(|flight| {
            let entry = fleet.entry(flight, "member-1");
            fleet.learn(&entry);
            entry
        })
        .collect();
    assert_eq!(report::proof(&flights, &log), Ok(()));

    let missing: Vec<_> = log
        .iter()
        .filter(|entry| entry.flight.number != 1000)
        .cloned()
        .collect();
    assert_eq!(
        report::proof(&flights, &missing),
        Err("flight 1000 is missing in the logbook".to_owned())
    );
    let twice = [&log[..], &log[..1]].concat();
    assert_eq!(
        report::proof(&flights, &twice),
        Err("flight 1 is in the logbook twice".to_owned())
    );

    // Two flights of one aircraft.
    let later = log.iter().position(|entry| entry.before.is_some()).unwrap();
    let before = log[later].before.unwrap() as usize - 1;
    let mut swapped = log.clone();
    swapped.swap(before, later);
    let wrong = report::proof(&flights, &swapped).unwrap_err();
    assert!(
        wrong.contains("member-1 took") || wrong.contains("was handled after"),
        "{wrong}"
    );
    let mut forgotten = log.clone();
    forgotten[later].before = None;
    let wrong = report::proof(&flights, &forgotten).unwrap_err();
    assert!(
        wrong.starts_with("member-1 took None for the flight of "),
        "{wrong}"
    );
}

#[test]
fn what_is_no_flight_is_named_by_its_line() {
    let file = std::env::temp_dir().join(unique("no-flights"));
    std::fs::write(&file, "{}\n").unwrap();
    let mut command = example("flights");
    command.arg("--file").arg(&file);
    let (code, printed, logged) = Program::start(command).ends();
    std::fs::remove_file(&file).unwrap();
    assert_eq!((code, printed.len()), (Some(1), 0));
    assert!(
        logged[0].starts_with("error: line 1 of the flights is none"),
        "{logged:?}"
    );
}
