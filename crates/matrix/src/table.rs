//! What is printed: the table, then what did not hold and why, then one line for all.

use crate::outcome::{Matrix, Outcome, Row};
use comfy_table::{Cell, Table, presets::ASCII_MARKDOWN};
use serde_json::{Value, json};
use std::fmt;

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        let columns = self.columns.iter().map(|column| column.name());
        table.set_header(["#", "property"].into_iter().chain(columns));
        for row in &self.rows {
            let head = [numbers(row), row.check.promise.to_owned()].map(Cell::new);
            let cells = row.outcomes.iter().map(cell).map(Cell::new);
            table.add_row(head.into_iter().chain(cells));
        }
        writeln!(f, "{table}")?;
        for (check, outcome, why) in self.failures() {
            writeln!(f, "\nFAILED on {}: {}: {why}", outcome.column.name(), check.name)?;
        }
        let (failed, all) = (self.failures().count(), self.count());
        let layers = if self.through_layers {
            " through every layer"
        } else {
            ""
        };
        let backends = self.columns.len();
        let verdict = if failed == 0 { "all hold" } else { "NOT GREEN" };
        write!(
            f,
            "\n{verdict}: {} properties on {backends} backends{layers}, {} of {all} hold, {:.0} s",
            self.rows.len(),
            all - failed,
            self.took.as_secs_f64()
        )
    }
}

impl Matrix {
    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let outcome = |outcome: &Outcome| {
            let value = json!({
                "ok": outcome.failure.is_none(),
                "seconds": outcome.took.as_secs_f64(),
                "failure": outcome.failure,
            });
            (outcome.column.name().to_owned(), value)
        };
        let check = |row: &Row| {
            let outcomes: serde_json::Map<_, _> = row.outcomes.iter().map(outcome).collect();
            json!({
                "check": row.check.name,
                "theme": row.check.theme,
                "numbers": row.check.numbers,
                "promise": row.check.promise,
                "on": outcomes,
            })
        };
        json!({
            "green": self.is_green(),
            "layers": self.through_layers,
            "seconds": self.took.as_secs_f64(),
            "checks": self.rows.iter().map(check).collect::<Vec<_>>(),
        })
    }
}

fn numbers(row: &Row) -> String {
    let numbers: Vec<_> = row.check.numbers.iter().map(u8::to_string).collect();
    numbers.join(", ")
}

fn cell(outcome: &Outcome) -> String {
    let seconds = outcome.took.as_secs_f64();
    match outcome.failure {
        None => format!("ok {seconds:.1}"),
        Some(_) => format!("FAILED {seconds:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Column;
    use bus_core::conformance::CHECKS;
    use std::time::Duration;

    fn matrix(failure: Option<&str>) -> Matrix {
        let outcome = |column, failure: Option<&str>| Outcome {
            column,
            took: Duration::from_millis(1_250),
            failure: failure.map(str::to_owned),
        };
        Matrix {
            columns: vec![Column::Memory, Column::Redis8],
            rows: vec![Row {
                check: &CHECKS[1],
                outcomes: vec![outcome(Column::Memory, None), outcome(Column::Redis8, failure)],
            }],
            through_layers: false,
            took: Duration::from_secs(9),
        }
    }

    #[test]
    fn everything_holds() {
        let text = matrix(None).to_string();
        assert!(
            text.contains("| # | property") && text.contains("redis-8 |"),
            "{text}"
        );
        assert!(text.contains("| ok 1.2 | ok 1.2  |"), "{text}");
        assert!(
            text.ends_with("all hold: 1 properties on 2 backends, 2 of 2 hold, 9 s"),
            "{text}"
        );
        assert_eq!(matrix(None).json()["green"], true);
    }

    #[test]
    fn a_failure_is_marked_told_and_counted() {
        let matrix = matrix(Some("5 messages were lost"));
        let (text, name) = (matrix.to_string(), CHECKS[1].name);
        assert!(text.contains("FAILED 1.2"), "{text}");
        assert!(
            text.contains(&format!("FAILED on redis-8: {name}: 5 messages were lost")),
            "{text}"
        );
        assert!(
            text.contains("NOT GREEN") && text.contains("1 of 2 hold"),
            "{text}"
        );
        let json = matrix.json();
        assert_eq!(json["green"], false);
        assert_eq!(json["checks"][0]["on"]["memory"]["ok"], true);
        assert_eq!(
            json["checks"][0]["on"]["redis-8"]["failure"],
            "5 messages were lost"
        );
        assert!(!matrix.is_green());
    }
}
