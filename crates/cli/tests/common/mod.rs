//! Running the real binary, and the servers it talks to.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod checks;
pub(crate) mod letters;

use std::{
    fs::File,
    io::Write,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How long anything may take before a test fails: a takeover on Kafka waits for a session of 6 s, on Redis for a
/// lease of 10 s, and the machine may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A server that a test needs, and how the report names it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) backend: &'static str,
    pub(crate) variable: &'static str,
    pub(crate) value: String,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn kafka() -> Self {
        Self::named("kafka", "BUS_TEST_KAFKA", "kafka://")
    }
    pub(crate) fn redis() -> Self {
        Self::named("redis", "BUS_TEST_REDIS", "")
    }
    pub(crate) fn redis_8() -> Self {
        Self::named("redis", "BUS_TEST_REDIS_8", "")
    }
    fn named(backend: &'static str, variable: &'static str, scheme: &str) -> Self {
        let value = std::env::var(variable).unwrap_or_else(|_| {
            panic!("set {variable} (`cargo xtask brokers up` prints it), or run `cargo xtask test`")
        });
        Self {
            backend,
            variable,
            url: format!("{scheme}{value}"),
            value,
        }
    }
    /// Tells the report that a check held here.
    pub(crate) fn passed(&self, check: &str) {
        bus_brokers::passed(self.backend, &self.value, check).unwrap();
    }
}

/// A name that no other test and no other run uses.
pub(crate) fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    format!(
        "cli-{what}-{now}-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Relaxed)
    )
}

/// `bus` with these words, and with nothing from this process's own environment that could change what it does.
pub(crate) fn bus(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bus"));
    command.args(words).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BUS_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

/// `bus` on this server.
pub(crate) fn on(url: &str, words: &[&str]) -> Command {
    let mut command = bus(words);
    command.env("BUS_URL", url);
    command
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The lines of standard output as JSON.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs it to its end.
pub(crate) fn run(mut command: Command) -> Ran {
    command.output().unwrap().into()
}

/// Runs it to its end with this on standard input.
pub(crate) fn feed(mut command: Command, input: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    // Beside it, because it may stop reading until its output is read; it may also end before everything is read.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output.into()
}

/// A file in the target folder.
pub(crate) fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique(name))
}

/// A thousand flights, as `bus publish --json` reads them.
pub(crate) fn flights() -> Vec<u8> {
    std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/flights-1000.ndjson"
    ))
    .unwrap()
}

/// Waits until `done` says so; fails at the deadline with what it was about.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(begin.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process that is killed when a test ends before it.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.spawn().unwrap())
    }
    /// Appends what it prints to this file.
    pub(crate) fn append(mut command: Command, to: &PathBuf) -> Self {
        let file = File::options().create(true).append(true).open(to).unwrap();
        Self::start({
            command.stdout(file);
            command
        })
    }
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
    }
    pub(crate) fn ended(&mut self, what: &str) -> ExitStatus {
        until(what, || self.0.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
