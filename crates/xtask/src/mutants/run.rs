//! Runs single tests, with a mutant and without.

use super::{
    binaries::Binaries,
    list::{Killer, Mutant},
};
use crate::{interrupt, servers};
use bus_brokers::Server;
use std::{
    collections::BTreeMap,
    fmt,
    io::Read,
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Tests wait more than they work: one a core would leave the machine idle.
const AT_A_TIME: usize = 6;
/// A test that has not ended by then is no test: each has deadlines of its own.
const LONGEST: Duration = Duration::from_secs(240);

/// What became of one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It fails with the mutant and passes without.
    Killed,
    Survived,
    /// It fails without a mutant.
    Red,
    /// There is no such test, or it did not end.
    Unclear,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Seen::Killed => "killed",
            Seen::Survived => "passes although the mutant is there",
            Seen::Red => "fails without a mutant too",
            Seen::Unclear => "did not run as a single test, or did not end",
        })
    }
}

type Verdict = Option<bool>;

/// Runs, each test only once without a mutant.
pub(super) struct Runs<'a> {
    binaries: &'a Binaries,
    servers: &'a [Server],
    healthy: Mutex<BTreeMap<Killer, &'static OnceLock<Verdict>>>,
}

impl<'a> Runs<'a> {
    pub(super) fn new(binaries: &'a Binaries, servers: &'a [Server]) -> Self {
        Self {
            binaries,
            servers,
            healthy: Mutex::default(),
        }
    }

    /// Every test of every mutant.
    pub(super) fn all(&self, mutants: &[&'static Mutant]) -> Vec<(&'static Mutant, &'static Killer, Seen)> {
        let mut pairs: Vec<_> = mutants
            .iter()
            .flat_map(|mutant| mutant.killers.iter().map(move |killer| (*mutant, killer)))
            .collect();
        // Those with servers of their own take longest and go first.
        pairs.sort_by_key(|(_, killer)| std::cmp::Reverse(killer.package));
        let (next, seen) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..AT_A_TIME {
                scope.spawn(|| {
                    while let Some((mutant, killer)) = pairs.get(next.fetch_add(1, Ordering::SeqCst)) {
                        let start = Instant::now();
                        let result = self.one(mutant, killer);
                        let seconds = start.elapsed().as_secs_f64();
                        eprintln!(
                            "mutants: {}: {}: {result}, {seconds:.1} s",
                            mutant.name, killer.test
                        );
                        if let Ok(mut seen) = seen.lock() {
                            seen.push((*mutant, *killer, result));
                        }
                    }
                });
            }
        });
        seen.into_inner().unwrap_or_default()
    }

    fn one(&self, mutant: &Mutant, killer: &Killer) -> Seen {
        let healthy = match self.healthy.lock() {
            Ok(mut known) => *known.entry(*killer).or_insert_with(|| Box::leak(Box::default())),
            Err(_) => return Seen::Unclear,
        };
        match (
            self.passes(killer, Some(mutant.name)),
            healthy.get_or_init(|| self.passes(killer, None)),
        ) {
            (None, _) | (_, None) => Seen::Unclear,
            (_, Some(false)) => Seen::Red,
            (Some(true), _) => Seen::Survived,
            (Some(false), _) => Seen::Killed,
        }
    }

    /// Whether a test passes. `None`: it was not there, or did not end.
    fn passes(&self, killer: &Killer, mutant: Option<&str>) -> Verdict {
        if interrupt::interrupted() {
            return None;
        }
        let (program, folder) = self.binaries.find(killer)?;
        let mut command = Command::new(program);
        command
            .args([killer.test, "--exact"])
            .current_dir(folder)
            .env_remove("BUS_MUTANT")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        servers::name(self.servers, &mut command);
        if let Some(mutant) = mutant {
            command.env("BUS_MUTANT", mutant);
        }
        let mut child = command.spawn().ok()?;
        let mut stdout = child.stdout.take()?;
        let said = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stdout.read_to_string(&mut text);
            text
        });
        let passed = ended(&mut child)?;
        let said = said.join().ok()?;
        // A name that is not there would pass.
        said.contains("running 1 test\n").then_some(passed)
    }
}

/// Waits for a program; whether it succeeded. One that takes too long is ended.
fn ended(child: &mut Child) -> Verdict {
    let deadline = Instant::now() + LONGEST;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().ok()? {
            return Some(status.success());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}
