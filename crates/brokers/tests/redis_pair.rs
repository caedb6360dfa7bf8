//! A replica follows, is promoted with what it has, and takes the former primary in.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::time::{Duration, Instant};

use bus_brokers::{RedisOptions, RedisPair, RedisVersion};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn what_the_replica_lacks_is_gone_after_a_failover() {
    for version in [RedisVersion::V7, RedisVersion::V8] {
        let pair = RedisPair::start(RedisOptions::new().version(version)).unwrap();
        pair.first.ask(&["SET", "a", "1"]).unwrap();
        pair.wait_in_sync(SOON).unwrap();
        assert_eq!(pair.second.ask(&["GET", "a"]).unwrap(), "1");
        assert!(
            pair.second
                .ask(&["SET", "a", "2"])
                .unwrap_err()
                .to_string()
                .contains("READONLY")
        );

        let before = pair.second.info("run_id").unwrap();
        pair.promote_second().unwrap();
        pair.first.ask(&["SET", "b", "1"]).unwrap();
        pair.second.ask(&["SET", "c", "1"]).unwrap();
        pair.demote_first().unwrap();
        until(|| pair.first.info("master_link_status").unwrap() == "up");
        assert_eq!(pair.first.ask(&["MGET", "a", "b", "c"]).unwrap(), "1\n\n1");
        assert_eq!(pair.second.info("run_id").unwrap(), before);
    }
}

#[test]
fn a_primary_without_its_replica_refuses_to_write() {
    let options = RedisOptions::new()
        .setting("min-replicas-to-write", "1")
        .setting("min-replicas-max-lag", "1");
    let pair = RedisPair::start(options).unwrap();
    // A replica says every second how far it is: one that says so a moment late is none either.
    until(|| pair.first.ask(&["SET", "a", "1"]).is_ok());
    pair.second.pause().unwrap();
    let mut why = String::new();
    until(|| {
        why = pair
            .first
            .ask(&["SET", "a", "2"])
            .map_or_else(|e| e.to_string(), |_| String::new());
        !why.is_empty()
    });
    assert!(why.contains("NOREPLICAS"), "{why}");
}

fn until(mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !met() {
        assert!(Instant::now() < deadline, "not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
