//! Measurements by path and round, and the table of their medians.

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use std::{fmt, time::Duration};

#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Row>);

#[derive(Debug)]
struct Row {
    path: &'static str,
    raw: Vec<f64>,
    bus: Vec<f64>,
}

impl Report {
    /// One round of a path: so many messages took the raw client, and the bus, this long.
    pub(crate) fn add(&mut self, path: &'static str, messages: usize, raw: Duration, bus: Duration) {
        let rate = |took: Duration| messages as f64 / took.as_secs_f64();
        let at = self.0.iter().position(|r| r.path == path).unwrap_or_else(|| {
            self.0.push(Row {
                path,
                raw: Vec::new(),
                bus: Vec::new(),
            });
            self.0.len() - 1
        });
        self.0[at].raw.push(rate(raw));
        self.0[at].bus.push(rate(bus));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["path", "raw, msg/s", "bus, msg/s", "bus / raw", "ratios by round"]);
        for row in &self.0 {
            let ratios: Vec<f64> = row.bus.iter().zip(&row.raw).map(|(bus, raw)| bus / raw).collect();
            let each = ratios
                .iter()
                .map(|r| format!("{r:.2}"))
                .collect::<Vec<_>>()
                .join(" ");
            let cells = [
                row.path.to_owned(),
                rate(&row.raw),
                rate(&row.bus),
                format!("{:.2}", median(&ratios)),
                each,
            ];
            table.add_row(cells);
        }
        write!(f, "{table}")
    }
}

fn rate(values: &[f64]) -> String {
    let (low, high) = values
        .iter()
        .fold((f64::MAX, 0f64), |(l, h), v| (l.min(*v), h.max(*v)));
    let k = |v: f64| format!("{:.0}k", v / 1e3);
    format!("{} ({}–{})", k(median(values)), k(low), k(high))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
