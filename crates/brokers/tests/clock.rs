//! A wall clock that jumps, and jumps alone.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bus_brokers::{Clock, Redis, RedisOptions, RedisVersion};

const HOUR: i64 = 3_600_000;
const UNDER_THE_CLOCK: &str = "BUS_BROKERS_UNDER_THE_CLOCK";

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis()
        .try_into()
        .unwrap()
}

/// Far less than an hour, far more than a busy machine needs.
fn near(one: i64, other: i64) -> bool {
    (one - other).abs() < 60_000
}

/// The other half of the next test, in a process of its own: tells its times, line by line.
#[test]
fn a_process_under_the_clock() {
    if std::env::var_os(UNDER_THE_CLOCK).is_none() {
        return;
    }
    let start = Instant::now();
    for line in std::io::stdin().lines() {
        line.unwrap();
        // A wait must last as long as it was asked to.
        let lock = Mutex::new(());
        drop(Condvar::new().wait_timeout(lock.lock().unwrap(), Duration::from_millis(20)));
        std::thread::sleep(Duration::from_millis(20));
        println!("times={},{}", now(), start.elapsed().as_millis());
    }
}

#[test]
fn a_running_process_sees_its_wall_clock_jump_and_nothing_else() {
    let clock = Clock::new().unwrap();
    let mut process = Command::new(std::env::current_exe().unwrap());
    process
        .args(["--exact", "a_process_under_the_clock", "--nocapture"])
        .env(UNDER_THE_CLOCK, "1");
    process
        .envs(clock.environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut process = process.spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut times = || {
        input.write_all(b"\n").unwrap();
        let mut told = lines.by_ref().map(|line| line.unwrap());
        let told = told
            .find_map(|line| line.split("times=").nth(1).map(str::to_owned))
            .unwrap();
        let (wall, since) = told.split_once(',').unwrap();
        (wall.parse::<i64>().unwrap(), since.parse::<i64>().unwrap())
    };
    for offset in [0, HOUR, -HOUR, 0] {
        clock.set(offset).unwrap();
        let (wall, since) = times();
        assert!(
            near(wall, now() + offset),
            "offset {offset}: {wall}, here {}",
            now()
        );
        assert!(since < 60_000, "the monotonic clock jumped too: {since} ms");
    }
    drop(input);
    lines.for_each(drop);
    assert!(process.wait().unwrap().success());
}

#[test]
fn a_redis_sees_it_too() {
    for version in [RedisVersion::V7, RedisVersion::V8] {
        let clock = Clock::new().unwrap();
        let redis = Redis::start(RedisOptions::new().version(version).clock(&clock)).unwrap();
        let seconds = || {
            redis
                .ask(&["TIME"])
                .unwrap()
                .lines()
                .next()
                .unwrap()
                .parse::<i64>()
                .unwrap()
        };
        for offset in [HOUR, -HOUR, 0] {
            clock.set(offset).unwrap();
            assert!(
                near(seconds() * 1000, now() + offset),
                "offset {offset}: {}",
                seconds()
            );
        }
    }
}
