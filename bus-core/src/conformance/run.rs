//! Running a check: with a deadline, few at a time, and on the report.

use super::{Check, Failure, Harness, Lab, Proof, standstill::watched};
use std::{
    io::Write,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Checks of one process that run at the same time, at most: what one small server bears while every wait stays short.
const AT_ONCE: usize = 6;
/// Waits that one check may need one after the other, each as long as the harness has patience.
const WAITS: u32 = 8;

/// How often a check runs at most, where the machine stands still.
const TRIES: usize = 3;

/// Runs one check and removes what it left at the server.
/// # Errors
/// Why it did not hold.
pub async fn run(check: &Check, harness: Arc<dyn Harness>) -> Proof {
    let lab = if check.harms() {
        let private = harness.private().await;
        Lab::private(private.map_err(|e| Failure::from(e).context("a server of its own"))?)
    } else {
        Lab::new(harness)
    };
    let limit = (lab.patience() + lab.harness().session()) * WAITS;
    let proof = lab
        .within_time(limit, "the whole check", (check.prove)(&lab))
        .await;
    if let Ok(server) = lab.server() {
        server.heal();
        server.start().await?;
    }
    lab.clean().await;
    proof.flatten()
}

/// Runs one check as a test. Whether it held is appended to the file that `BUS_TEST_REPORT` names.
/// # Panics
/// With what did not hold.
pub fn test(name: &str, harness: impl FnOnce() -> Arc<dyn Harness>) {
    let _turn = Turn::wait();
    let harness = harness();
    let (backend, server) = (harness.name().to_owned(), harness.server().to_owned());
    let proof = Check::named(name).and_then(|check| prove(check, harness));
    let verdict = if proof.is_ok() { "ok" } else { "failed" };
    if let Err(failure) = report(&format!("{backend}\t{server}\t{name}\t{verdict}\n")).and(proof) {
        panic!("`{name}` does not hold on {backend} ({server}): {failure}");
    }
}

/// [`run`] in a runtime of its own, which ends with the check and whatever the check left running.
///
/// A failure counts only where this process could run all the time: members that stand still for half a session may lose
/// what they own, and should, which says nothing of the check. Then it runs again, three times at most, and standard
/// error says so.
/// # Errors
/// Why it did not hold, behind what has to hold.
pub fn prove(check: &Check, harness: Arc<dyn Harness>) -> Proof {
    for _ in 1..TRIES {
        let (proof, stood) = watched(|| once(check, harness.clone()));
        if proof.is_ok() || stood < harness.session() / 2 {
            return proof;
        }
        eprintln!(
            "{}: this process stood still for {stood:?}; again after {proof:?}",
            check.name
        );
    }
    once(check, harness)
}

fn once(check: &Check, harness: Arc<dyn Harness>) -> Proof {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format_args!("making a runtime: {error}")))?;
    let proof = runtime
        .block_on(run(check, harness))
        .map_err(|f| f.context(check.promise));
    runtime.shutdown_timeout(Duration::from_secs(5));
    proof
}

/// One write for the whole line, so that processes may report side by side.
fn report(line: &str) -> Proof {
    let Some(path) = std::env::var_os("BUS_TEST_REPORT") else {
        return Ok(());
    };
    let file = std::fs::File::options().create(true).append(true).open(path);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.map_err(|error| Failure::new(format_args!("writing the report: {error}")))
}

static RUNNING: Mutex<usize> = Mutex::new(0);
static FREE: Condvar = Condvar::new();

struct Turn;

impl Turn {
    fn wait() -> Self {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        while *running >= AT_ONCE {
            running = FREE.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREE.notify_one();
    }
}

/// Makes a test of every check: `conformance!(harness)`, where `harness` makes an `impl Harness`, once for each test.
#[macro_export]
macro_rules! conformance {
    ($harness:expr) => {
        $crate::__conformance_catalog!(__conformance_tests($harness));
    };
}

/// Makes the tests out of the catalog.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    (($harness:expr) $($theme:ident { $($name:ident $numbers:tt $promise:literal;)* })*) => {
        $($(
            #[test]
            fn $name() {
                $crate::conformance::test(stringify!($name), || ::std::sync::Arc::new($harness));
            }
        )*)*
    };
}
