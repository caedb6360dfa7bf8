//! A private Redis survives what tests do to it.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;

use bus_brokers::{Redis, RedisOptions, RedisVersion};

/// One inline command; the first line of the reply.
fn ask(redis: &Redis, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(redis.url().trim_start_matches("redis://"))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// Whether that process lives; one that only waits to be collected by its parent does not.
fn exists(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let redis = Redis::start(RedisOptions::new().appendonly(true)).unwrap();
    let (url, first) = (redis.url().to_owned(), redis.pid().unwrap());
    assert_eq!(ask(&redis, "SET answer 42").unwrap(), "+OK");

    redis.kill9().unwrap();
    assert!(!exists(first));
    assert!(ask(&redis, "PING").is_err(), "nobody listens");
    assert_eq!(redis.pid(), None);
    assert!(redis.pause().unwrap_err().to_string().contains("restart()"));

    redis.restart().unwrap();
    assert_eq!(redis.url(), url);
    assert_ne!(redis.pid(), Some(first));
    assert_eq!(ask(&redis, "STRLEN answer").unwrap(), ":2");
    assert!(redis.version().starts_with("Redis "));
}

#[test]
fn a_paused_server_keeps_its_connections_and_goes_on() {
    let redis = Redis::start(RedisOptions::new()).unwrap();
    let mut stream = TcpStream::connect(redis.url().trim_start_matches("redis://")).unwrap();
    stream
        .set_read_timeout(Some(std::time::Duration::from_millis(100)))
        .unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();

    redis.pause().unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    assert!(
        replies.read_line(&mut line).is_err(),
        "a paused server answered {line}"
    );

    redis.resume().unwrap();
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(30)))
        .unwrap();
    replies.read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), "+PONG");
}

#[test]
fn nothing_is_left_of_a_dropped_server() {
    let redis = Redis::start(RedisOptions::new()).unwrap();
    let (pid, dir) = (redis.pid().unwrap(), redis.dir().to_owned());
    assert!(exists(pid) && dir.is_dir());
    redis.pause().unwrap();
    drop(redis);
    assert!(!exists(pid) && !dir.exists());
}

#[test]
fn version_8_has_what_7_lacks() {
    let redis = Redis::start(RedisOptions::new().version(RedisVersion::V8)).unwrap();
    assert!(redis.version().starts_with("Redis 8."), "{}", redis.version());
    assert_eq!(ask(&redis, "XACKDEL no-stream no-group IDS 1 1-1").unwrap(), "*1");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let error = Redis::start(RedisOptions::new().arg("--no-such-setting").arg("1")).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("it ended at once") && text.contains("no-such-setting"),
        "{text}"
    );
}

const DYING_OWNER: &str = "BUS_BROKERS_DYING_OWNER";

/// The other half of the next test, in a process of its own: it starts a server and dies without stopping it.
#[test]
fn an_owner_that_dies() {
    if std::env::var_os(DYING_OWNER).is_some() {
        let redis = Redis::start(RedisOptions::new()).unwrap();
        println!("pid={}", redis.pid().unwrap());
        std::process::abort();
    }
}

#[test]
fn a_server_whose_owner_died_is_swept() {
    let mut owner = Command::new(std::env::current_exe().unwrap());
    owner
        .args(["--exact", "an_owner_that_dies", "--nocapture"])
        .env(DYING_OWNER, "1");
    let output = owner.output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    let pid = text
        .lines()
        .find_map(|line| line.split("pid=").nth(1))
        .unwrap()
        .parse()
        .unwrap();

    let neighbour = Redis::start(RedisOptions::new()).unwrap();
    bus_brokers::sweep().unwrap();
    assert!(!exists(pid));
    assert_eq!(
        ask(&neighbour, "PING").unwrap(),
        "+PONG",
        "only the ones without an owner"
    );
}
