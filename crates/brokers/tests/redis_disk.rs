//! A power loss takes what was not forced to the disk, and nothing else; a full disk stops a server.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::time::{Duration, Instant};

use bus_brokers::{Awake, Error, Fsync, Redis, RedisOptions, RedisVersion};

/// Waits for a condition, for a minute at most.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn with_always_a_power_loss_takes_nothing_that_was_acknowledged() {
    for version in [RedisVersion::V7, RedisVersion::V8] {
        let options = RedisOptions::new()
            .version(version)
            .fsync(Fsync::Always)
            .power_loss();
        let redis = Redis::start(options).unwrap();
        for round in 0..2 {
            for _ in 0..50 {
                redis.ask(&["INCR", "n"]).unwrap();
            }
            redis.lose_power().unwrap();
            redis.restart().unwrap();
            assert_eq!(redis.ask(&["GET", "n"]).unwrap(), ((round + 1) * 50).to_string());
        }
    }
}

#[test]
fn with_everysec_a_power_loss_takes_the_last_moment() {
    let redis = Redis::start(RedisOptions::new().fsync(Fsync::EverySecond).power_loss()).unwrap();
    // A sync is never more than a second or two away; until it was taken by a cut, write and cut at once.
    redis.ask(&["SET", "kept", "1"]).unwrap();
    let awake = Awake::begin();
    eventually("a sync covers the first key", || {
        redis.ask(&["INCR", "later"]).unwrap();
        redis.info("aof_pending_bio_fsync").unwrap() == "0" && awake.elapsed() >= Duration::from_secs(3)
    });
    let written: u64 = redis.ask(&["INCR", "later"]).unwrap().parse().unwrap();
    for _ in 0..1000 {
        redis.ask(&["INCR", "later"]).unwrap();
    }
    let lost = redis.lose_power().unwrap();
    redis.restart().unwrap();
    let left: u64 = redis.ask(&["GET", "later"]).unwrap().parse().unwrap();
    assert_eq!(redis.ask(&["GET", "kept"]).unwrap(), "1");
    assert!(
        lost > 0 && left < written + 1000,
        "{lost} bytes lost, {left} of {}",
        written + 1000
    );
}

#[test]
fn power_is_only_lost_where_it_was_asked_for() {
    let redis = Redis::start(RedisOptions::new().appendonly(true)).unwrap();
    assert!(
        redis
            .lose_power()
            .unwrap_err()
            .to_string()
            .contains("power_loss()")
    );
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    let redis = match Redis::start(RedisOptions::new().fsync(Fsync::EverySecond).disk(4)) {
        Err(error @ Error::Mount { .. }) => {
            assert!(error.to_string().contains("needs root"), "{error}");
            assert!(
                !rustix::process::geteuid().is_root(),
                "root could not mount: {error}"
            );
            return;
        }
        started => started.unwrap(),
    };
    let mounted = redis.disk().unwrap().dir().to_owned();
    redis.ask(&["SET", "a", "1"]).unwrap();
    assert!(redis.disk().unwrap().fill().unwrap() > 1 << 20);
    let long = "x".repeat(8192);
    eventually("a full disk is noticed", || {
        redis.ask(&["SET", "b", &long]).is_err()
    });
    redis.disk().unwrap().free().unwrap();
    eventually("there is room again", || redis.ask(&["SET", "c", "1"]).is_ok());
    drop(redis);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(mounted.to_str().unwrap()), "still mounted");
}
