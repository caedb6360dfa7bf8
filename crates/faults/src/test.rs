//! One run of one test: on which backend, with which seed, for how long.

use bus_core::conformance::Failure;
use bus_proxy::Rng;
use parking_lot::Mutex;
use std::{fmt, path::PathBuf, time::Duration};
use tokio::time::Instant;

/// A backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum On {
    Kafka,
    Redis,
    Memory,
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kafka => "kafka",
            Self::Redis => "redis",
            Self::Memory => "memory",
        })
    }
}

/// One run of one test.
#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) on: On,
    pub(crate) seed: u64,
    /// How long faults go on.
    pub(crate) time: Duration,
    /// Where its records lie; removed when it passed.
    pub(crate) dir: PathBuf,
    pub(crate) rng: Mutex<Rng>,
}

impl Test {
    /// Turns of faults, each after a random pause within these milliseconds, as long as faults are to go on. Every
    /// fourth quarter of the time (of a minute, where it is longer) is quiet: what recovers has to recover then.
    pub(crate) fn turns(&self, pause: std::ops::RangeInclusive<u64>) -> Turns<'_> {
        Turns {
            test: self,
            started: Instant::now(),
            pause,
        }
    }
    /// Switches a fault on and off: it is on for three quarters of the time (of a minute, where it is longer), and off
    /// for one.
    pub(crate) async fn spells(&self, mut switch: impl FnMut(bool)) {
        let cycle = self.time.min(Duration::from_secs(60));
        let started = Instant::now();
        while started.elapsed() < self.time {
            switch(true);
            tokio::time::sleep(cycle * 3 / 4).await;
            switch(false);
            tokio::time::sleep(cycle / 4).await;
        }
    }
    /// A part of it with records of its own.
    pub(crate) fn part(&self, name: &str) -> Result<Self, Failure> {
        let dir = self.dir.join(name);
        std::fs::create_dir_all(&dir).map_err(Failure::new)?;
        Ok(Self {
            dir,
            rng: Mutex::new(Rng::new(self.seed)),
            ..*self
        })
    }
    pub(crate) fn random(&self, range: std::ops::RangeInclusive<u64>) -> u64 {
        self.rng.lock().within(&range)
    }
}

/// See [`Test::turns`].
pub(crate) struct Turns<'a> {
    test: &'a Test,
    started: Instant,
    pause: std::ops::RangeInclusive<u64>,
}

impl Turns<'_> {
    /// Waits for the next turn; false when the time is over.
    pub(crate) async fn next(&mut self) -> bool {
        let pause = Duration::from_millis(self.test.random(self.pause.clone()));
        tokio::time::sleep(pause).await;
        let cycle = self.test.time.min(Duration::from_secs(60));
        let passed = self.started.elapsed().as_secs_f64() % cycle.as_secs_f64();
        let quiet = cycle.as_secs_f64() - passed;
        if quiet <= cycle.as_secs_f64() / 4.0 {
            tokio::time::sleep(Duration::from_secs_f64(quiet)).await;
        }
        self.started.elapsed() < self.test.time
    }
}

/// What a test is worth printing with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers(Vec<(String, String)>);

impl Numbers {
    pub(crate) fn add(&mut self, name: &str, value: impl fmt::Display) {
        self.0.push((name.into(), value.to_string()));
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        f.write_str(&parts.join(", "))
    }
}

/// Waits until this holds.
/// # Errors
/// When it does not within `limit`, with what was seen last.
pub(crate) async fn until<F>(what: &str, limit: Duration, mut holds: impl FnMut() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), String>>,
{
    let deadline = Instant::now() + limit;
    loop {
        match holds().await {
            Ok(()) => return Ok(()),
            Err(seen) if Instant::now() > deadline => {
                return Err(Failure::new(format_args!("{what}: not within {limit:?}; {seen}")));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
