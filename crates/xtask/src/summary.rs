//! The closing lines of the test command: what really ran, against what.

use std::collections::BTreeSet;
use std::fmt;

use bus_brokers::Server;

use crate::report::{Line, Report};

/// One server, or the memory backend, and what was checked on it.
struct Row {
    backend: String,
    /// Product, origin and address; empty for memory.
    server: String,
    checks: usize,
    failed: Vec<String>,
    /// Whether a run without it is not green. A server that a test started for itself is an extra.
    required: bool,
}

/// What really ran.
pub(crate) struct Summary {
    rows: Vec<Row>,
    /// Whether only some tests were asked for: then nothing can be missing.
    partial: bool,
    /// Whether the run came to its end and no test failed.
    passed: bool,
}

impl Summary {
    pub(crate) fn new(servers: &[Server], report: &Report, partial: bool, passed: bool) -> Self {
        let mut rows = vec![row("memory", "", true, report, |line| line.backend == "memory")];
        for server in servers {
            let (backend, address) = (server.kind.backend(), server.address.as_str());
            let text = format!("{}, {}, {}", server.version, server.origin.name(), bare(address));
            let ours = |line: &Line| line.backend == backend && bare(&line.server) == bare(address);
            rows.push(row(backend, &text, true, report, ours));
        }
        let known = |line: &&Line| {
            let own = |s: &Server| s.kind.backend() == line.backend && bare(&s.address) == bare(&line.server);
            line.backend != "memory" && !servers.iter().any(own)
        };
        let others: BTreeSet<_> = report
            .lines
            .iter()
            .filter(known)
            .map(|line| (line.backend.as_str(), line.server.as_str()))
            .collect();
        for (backend, server) in others {
            let theirs = |line: &Line| line.backend == backend && line.server == server;
            // A layer around a backend is told apart by its name and runs on the same server.
            let shared = server == "memory" || servers.iter().any(|s| bare(&s.address) == bare(server));
            let text = if shared {
                bare(server).to_owned()
            } else {
                format!("of a test's own, {server}")
            };
            rows.push(row(backend, &text, false, report, theirs));
        }
        Self {
            rows,
            partial,
            passed,
        }
    }

    /// Whether no test failed, every backend ran against every server, and every check held.
    pub(crate) fn is_green(&self) -> bool {
        let ran = |row: &Row| self.partial || !row.required || row.checks > 0;
        self.passed && self.rows.iter().all(|row| row.failed.is_empty() && ran(row))
    }
}

fn row(backend: &str, server: &str, required: bool, report: &Report, ours: impl Fn(&Line) -> bool) -> Row {
    let lines: Vec<&Line> = report.lines.iter().filter(|line| ours(line)).collect();
    let failed = lines
        .iter()
        .filter(|line| !line.ok)
        .map(|line| line.check.clone())
        .collect();
    let checks = lines.iter().filter(|line| line.ok).count();
    Row {
        backend: backend.into(),
        server: server.into(),
        checks,
        failed,
        required,
    }
}

/// An address without its scheme and what may follow the port.
fn bare(address: &str) -> &str {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    address.split('/').next().unwrap_or(address)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let name = &row.backend;
            let server = if row.server.is_empty() {
                String::new()
            } else {
                format!(" ({})", row.server)
            };
            match (&row.failed[..], row.checks) {
                ([], 0) => writeln!(f, "{name}{server}: NOT RUN")?,
                ([], checks) => writeln!(f, "{name}{server}: {checks} checks")?,
                (failed, checks) => writeln!(
                    f,
                    "{name}{server}: {checks} checks, FAILED: {}",
                    failed.join(", ")
                )?,
            }
        }
        let ran = || self.rows.iter().filter(|row| row.required && row.checks > 0);
        let backends = ran()
            .map(|row| row.backend.as_str())
            .collect::<BTreeSet<_>>()
            .len();
        let checks: usize = self.rows.iter().map(|row| row.checks).sum();
        let verdict = match (self.is_green(), self.partial) {
            (false, _) => "NOT GREEN",
            (true, true) => "partial run, nothing failed",
            (true, false) => "all green",
        };
        write!(
            f,
            "{verdict}: {backends} backends, {} servers, {checks} checks",
            ran().count()
        )
    }
}

#[cfg(test)]
mod tests {
    use bus_brokers::{Kind, Origin};

    use super::*;

    fn server(kind: Kind, address: &str, version: &str) -> Server {
        Server {
            kind,
            address: address.into(),
            origin: Origin::Native,
            version: version.into(),
            started: true,
        }
    }

    fn servers() -> Vec<Server> {
        vec![
            server(Kind::Kafka, "127.0.0.1:19092", "Apache Kafka 4.3.0"),
            server(Kind::Redis, "redis://127.0.0.1:6400", "Redis 7.0.15"),
            server(Kind::Redis8, "redis://127.0.0.1:6401", "Redis 8.2.3"),
        ]
    }

    fn report(rows: &[(&str, &str, &str)]) -> Report {
        let line = |(backend, server, check): &(&str, &str, &str)| Line {
            backend: (*backend).into(),
            server: (*server).into(),
            check: (*check).into(),
            ok: !check.starts_with("broken"),
        };
        Report {
            lines: rows.iter().map(line).collect(),
        }
    }

    const ALL: [(&str, &str, &str); 4] = [
        ("memory", "memory", "order"),
        ("kafka", "127.0.0.1:19092", "order"),
        ("redis", "redis://127.0.0.1:6400/0", "order"),
        ("redis", "127.0.0.1:6401", "order"),
    ];

    #[test]
    fn everything_ran() {
        let summary = Summary::new(&servers(), &report(&ALL), false, true);
        assert!(summary.is_green(), "{summary}");
        let text = summary.to_string();
        assert!(
            text.contains("kafka (Apache Kafka 4.3.0, native, 127.0.0.1:19092): 1 checks\n"),
            "{text}"
        );
        assert!(
            text.ends_with("all green: 3 backends, 4 servers, 4 checks"),
            "{text}"
        );
    }

    #[test]
    fn a_server_without_a_check_is_not_green() {
        for missing in 0..ALL.len() {
            let mut rows = ALL.to_vec();
            rows.remove(missing);
            let summary = Summary::new(&servers(), &report(&rows), false, true);
            assert!(!summary.is_green());
            assert!(summary.to_string().contains("NOT RUN"), "{summary}");
            assert!(
                Summary::new(&servers(), &report(&rows), true, true).is_green(),
                "unless only a part was asked for"
            );
        }
    }

    #[test]
    fn a_failed_check_is_not_green_and_named() {
        let mut rows = ALL.to_vec();
        rows.push(("kafka", "127.0.0.1:19092", "broken order"));
        for partial in [false, true] {
            let summary = Summary::new(&servers(), &report(&rows), partial, true);
            assert!(!summary.is_green());
            assert!(summary.to_string().contains("FAILED: broken order"), "{summary}");
        }
    }

    #[test]
    fn a_layer_is_told_apart_and_stands_in_for_nothing() {
        let mut rows = ALL.to_vec();
        rows.push(("kafka through every layer", "127.0.0.1:19092", "order"));
        let summary = Summary::new(&servers(), &report(&rows), false, true);
        let text = "kafka through every layer (127.0.0.1:19092): 1 checks\n";
        assert!(
            summary.is_green() && summary.to_string().contains(text),
            "{summary}"
        );
        rows.remove(1);
        assert!(!Summary::new(&servers(), &report(&rows), false, true).is_green());
    }

    #[test]
    fn a_server_of_a_tests_own_does_not_stand_in_for_a_shared_one() {
        let mut rows = ALL.to_vec();
        rows[1].1 = "127.0.0.1:20001";
        let summary = Summary::new(&servers(), &report(&rows), false, true);
        assert!(!summary.is_green());
        assert!(
            summary
                .to_string()
                .contains("kafka (of a test's own, 127.0.0.1:20001): 1 checks"),
            "{summary}"
        );
    }
}
