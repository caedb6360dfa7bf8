//! An application as a process: its command line, signals, exit codes. `cargo test` builds the example beside the tests; with
//! this one alone, `cargo build --example app --features app` first.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Lines},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

fn program() -> Command {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let mut command = Command::new(path.join("examples/app"));
    command.env_remove("BUS_URL");
    command
}

fn run(arguments: &[&str]) -> Output {
    program()
        .args(arguments)
        .output()
        .expect("build it: `cargo build --example app --features app`")
}

fn started(arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = program();
    let mut child = command
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("built");
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn code(mut child: Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if begun.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_command_line_says_what_there_is() {
    let listed = run(&["list"]);
    assert_eq!(listed.status.code(), Some(0));
    let list = "  worker resize\n  consume images.resized --group announce\n";
    assert_eq!(String::from_utf8_lossy(&listed.stdout), list);
    let unknown = run(&["worker", "nobody"]);
    assert_eq!(unknown.status.code(), Some(2));
    let error = format!("error: no worker is called `nobody`\n\nThere is:\n{list}");
    assert_eq!(String::from_utf8_lossy(&unknown.stderr), error);
}

#[test]
fn the_first_signal_lets_the_work_be_finished() {
    for first in [Signal::INT, Signal::TERM] {
        let (child, mut lines) = started(&["worker", "resize"]);
        assert_eq!(lines.next().unwrap().unwrap(), "resizing cat.png");
        signal(&child, first);
        let mut rest = String::new();
        lines.for_each(|line| rest += &line.unwrap());
        assert_eq!((rest.as_str(), code(child)), ("resized cat.png", Some(0)));
    }
}

#[test]
fn the_second_signal_does_not_wait() {
    let (child, mut lines) = started(&["worker", "resize"]);
    assert_eq!(lines.next().unwrap().unwrap(), "resizing cat.png");
    let begun = Instant::now();
    signal(&child, Signal::INT);
    // Two of one kind that come at once are one: the next is sent until it was seen.
    while begun.elapsed() < Duration::from_millis(1500) {
        std::thread::sleep(Duration::from_millis(100));
        if kill_process(Pid::from_child(&child), Signal::INT).is_err() {
            break;
        }
    }
    assert_eq!(code(child), Some(130));
    assert!(lines.next().is_none(), "it was not finished");
}
