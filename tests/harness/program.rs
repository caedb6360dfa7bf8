//! An example as a process: its lines, its signals, its exit code. `cargo test` builds the examples beside the tests; with one test
//! alone, `cargo build --example NAME` with the same features first.
#![allow(dead_code)]

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

/// Longer than a rebalance after a crash on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The URL of a server under test, from its environment variable.
pub(crate) fn server(variable: &str) -> String {
    let given = std::env::var(variable).ok().filter(|value| !value.is_empty());
    let address = given.unwrap_or_else(|| panic!("set {variable} or run `cargo xtask test`"));
    match address.contains("://") {
        true => address,
        false => format!("kafka://{address}"),
    }
}

/// A name that no other test uses.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::now_v7().simple())
}

/// The program of an example, without the settings of whoever runs the tests.
pub(crate) fn example(name: &str) -> Command {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let mut command = Command::new(path.join("examples").join(name));
    for (variable, _) in std::env::vars_os() {
        let text = variable.to_string_lossy();
        if text.starts_with("BUS_")
            || text.starts_with("KAFKA_")
            || text.starts_with("REDIS_")
            || text == "RUST_LOG"
        {
            command.env_remove(variable);
        }
    }
    command
}

/// A process whose lines are read as they come. It is killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    out: Lines,
    err: Lines,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<(Vec<String>, bool)>>);

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let these = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                these.lock().0.push(line);
            }
            these.lock().1 = true;
        });
        lines
    }
    fn lock(&self) -> MutexGuard<'_, (Vec<String>, bool)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn all(&self) -> Vec<String> {
        self.lock().0.clone()
    }
    fn is_over(&self) -> bool {
        self.lock().1
    }
}

impl Program {
    pub(crate) fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}, which `cargo build --examples` builds: {e}"));
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self {
            child,
            out: Lines::of(out),
            err: Lines::of(err),
        }
    }
    /// What it has printed so far.
    pub(crate) fn printed(&self) -> Vec<String> {
        self.out.all()
    }
    /// What it has logged so far.
    pub(crate) fn logged(&self) -> Vec<String> {
        self.err.all()
    }
    /// The lines that it has logged with this in them.
    pub(crate) fn logged_with(&self, part: &str) -> Vec<String> {
        self.logged()
            .into_iter()
            .filter(|line| line.contains(part))
            .collect()
    }
    /// Waits until it has printed so many lines with this in them, and returns those.
    pub(crate) fn prints(&self, count: usize, part: &str) -> Vec<String> {
        self.wait(&self.out, count, part)
    }
    /// Waits until it has logged so many lines with this in them, and returns those.
    pub(crate) fn logs(&self, count: usize, part: &str) -> Vec<String> {
        self.wait(&self.err, count, part)
    }
    fn wait(&self, lines: &Lines, count: usize, part: &str) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let over = lines.is_over();
            let found: Vec<_> = lines
                .all()
                .into_iter()
                .filter(|line| line.contains(part))
                .collect();
            if found.len() >= count {
                return found;
            }
            if over || begun.elapsed() > LIMIT {
                let (out, err) = (self.out.all().join("\n"), self.err.all().join("\n"));
                panic!(
                    "{} of {count} lines with {part:?}\n--- printed\n{out}\n--- logged\n{err}",
                    found.len()
                );
            }
            sleep(Duration::from_millis(10));
        }
    }
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }
    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
    /// Waits for its end: its exit code, what it printed and what it logged.
    pub(crate) fn ends(mut self) -> (Option<i32>, Vec<String>, Vec<String>) {
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            if begun.elapsed() > LIMIT {
                panic!("it did not end; it logged:\n{}", self.logged().join("\n"));
            }
            sleep(Duration::from_millis(10));
        };
        while !(self.out.is_over() && self.err.is_over()) {
            assert!(begun.elapsed() < LIMIT, "somebody else still holds its output");
            sleep(Duration::from_millis(5));
        }
        (code, self.printed(), self.logged())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
