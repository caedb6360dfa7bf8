//! What one check came to on one backend.

use crate::column::Column;
use bus_core::conformance::Check;
use std::time::Duration;

/// One cell.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) column: Column,
    pub(crate) took: Duration,
    /// Why it did not hold.
    pub(crate) failure: Option<String>,
}

/// One check, on every backend that was asked for, in their order.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) check: &'static Check,
    pub(crate) outcomes: Vec<Outcome>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Matrix {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    pub(crate) through_layers: bool,
    pub(crate) took: Duration,
}

impl Matrix {
    pub(crate) fn is_green(&self) -> bool {
        self.failures().next().is_none()
    }
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static Check, &Outcome, &str)> {
        let of_row = |row: &'_ Row| row.check;
        self.rows.iter().flat_map(move |row| {
            let check = of_row(row);
            let failed = row
                .outcomes
                .iter()
                .filter_map(|o| Some((o, o.failure.as_deref()?)));
            failed.map(move |(outcome, why)| (check, outcome, why))
        })
    }
    pub(crate) fn count(&self) -> usize {
        self.rows.iter().map(|row| row.outcomes.len()).sum()
    }
}
