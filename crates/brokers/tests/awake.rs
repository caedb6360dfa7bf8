//! A clock that stands while its process does.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bus_brokers::Awake;

const STOPPED: &str = "BUS_BROKERS_STOPPED";

#[test]
fn it_goes_on_while_the_process_does() {
    let (awake, begun) = (Awake::begin(), Instant::now());
    while awake.elapsed() < Duration::from_millis(300) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", awake.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

/// The other half of the next test, in a process of its own: tells both times, line by line.
#[test]
fn a_process_that_is_stopped() {
    if std::env::var_os(STOPPED).is_none() {
        return;
    }
    let (awake, begun) = (Awake::begin(), Instant::now());
    println!("times=ready");
    std::io::stdin().lines().next().unwrap().unwrap();
    println!(
        "times={},{}",
        awake.elapsed().as_millis(),
        begun.elapsed().as_millis()
    );
}

#[test]
fn a_stop_is_not_counted() {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process
        .args(["--exact", "a_process_that_is_stopped", "--nocapture"])
        .env(STOPPED, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut process = process.spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut told = || {
        let mut told = lines.by_ref().map(|line| line.unwrap());
        told.find_map(|line| line.split("times=").nth(1).map(str::to_owned))
            .unwrap()
    };
    assert_eq!(told(), "ready");
    let signal = |signal: &str| {
        let mut kill = Command::new("kill");
        assert!(
            kill.args([signal, &process.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    };
    signal("-STOP");
    // Time has to pass here.
    std::thread::sleep(Duration::from_secs(2));
    signal("-CONT");
    input.write_all(b"\n").unwrap();
    let times = told();
    let (awake, begun) = times.split_once(',').unwrap();
    let (awake, begun): (u64, u64) = (awake.parse().unwrap(), begun.parse().unwrap());
    assert!(
        begun >= 2_000 && awake + 1_800 <= begun,
        "awake {awake} ms of {begun}"
    );
    assert!(process.wait().unwrap().success());
}
