//! Running: a few checks at a time, each in a runtime of its own, as a test has it.

use crate::{
    column::Column,
    outcome::{Matrix, Outcome, Row},
};
use bus_core::conformance::{Check, prove};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

/// Runs these checks on these backends, `jobs` at a time. Each that ends is told on standard error.
pub(crate) fn all(
    checks: &[&'static Check],
    columns: &[Column],
    through_layers: bool,
    jobs: usize,
) -> Matrix {
    let begun = Instant::now();
    // One check on every backend before the next, so that no server waits for the others to be done.
    let cells: Vec<_> = checks
        .iter()
        .flat_map(|check| columns.iter().map(move |column| (*check, *column)))
        .collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(cells.len())));
    thread::scope(|scope| {
        for _ in 0..jobs.min(cells.len()) {
            scope.spawn(|| {
                while let Some((check, column)) = cells.get(next.fetch_add(1, Relaxed)) {
                    let outcome = one(check, *column, through_layers);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((check.name, outcome));
                    tell(
                        done.len(),
                        cells.len(),
                        check,
                        done.last().map(|(_, outcome)| outcome),
                    );
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let row = |check: &&'static Check| {
        let mut outcomes: Vec<_> = done
            .extract_if(.., |(name, _)| *name == check.name)
            .map(|(_, o)| o)
            .collect();
        outcomes.sort_by_key(|outcome| columns.iter().position(|column| *column == outcome.column));
        Row { check, outcomes }
    };
    Matrix {
        columns: columns.to_vec(),
        rows: checks.iter().map(row).collect(),
        through_layers,
        took: begun.elapsed(),
    }
}

fn one(check: &'static Check, column: Column, through_layers: bool) -> Outcome {
    let begun = Instant::now();
    // A check that panics is one that failed; the others go on.
    let proof = catch_unwind(AssertUnwindSafe(|| prove(check, column.harness(through_layers))));
    let failure = match proof {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure.to_string()),
        Err(panic) => Some(format!("it panicked: {}", words(&*panic))),
    };
    Outcome {
        column,
        took: begun.elapsed(),
        failure,
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without words")
}

fn tell(done: usize, all: usize, check: &Check, outcome: Option<&Outcome>) {
    let Some(outcome) = outcome else { return };
    let (column, seconds) = (outcome.column.name(), outcome.took.as_secs_f64());
    let verdict = if outcome.failure.is_none() { "ok" } else { "FAILED" };
    eprintln!(
        "{done}/{all} {verdict} {} on {column}, {seconds:.1} s",
        check.name
    );
}
