//! The file in which tests say what they checked: `backend<TAB>server<TAB>check<TAB>ok`, a line for each.

use std::path::Path;

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) backend: String,
    pub(crate) server: String,
    pub(crate) check: String,
    pub(crate) ok: bool,
}

/// The whole report.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) lines: Vec<Line>,
}

impl Report {
    /// Reads the file; no file means that no check reported.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("reading {}: {error}", path.display())),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let line = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
            [backend, server, check, verdict] => {
                let (backend, server, check) = (backend.to_owned(), server.to_owned(), check.to_owned());
                Ok(Line {
                    backend,
                    server,
                    check,
                    ok: verdict == "ok",
                })
            }
            _ => Err(format!(
                "the test report has a line that is not backend, server, check, verdict: {line:?}"
            )),
        };
        let told: Vec<Line> = text
            .lines()
            .filter(|text| !text.is_empty())
            .map(line)
            .collect::<Result<_, _>>()?;
        // A check that failed may have run once more: its last word counts.
        let mut lines: Vec<Line> = Vec::new();
        for new in told {
            let same = |old: &Line| {
                !old.ok && (&old.backend, &old.server, &old.check) == (&new.backend, &new.server, &new.check)
            };
            lines.retain(|old| !same(old));
            lines.push(new);
        }
        Ok(Self { lines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let report = Report::parse("memory\tmemory\torder\tok\nkafka\t127.0.0.1:1\torder\tfailed\n").unwrap();
        assert_eq!(report.lines.len(), 2);
        assert!(report.lines[0].ok && !report.lines[1].ok);
        assert_eq!(report.lines[1].server, "127.0.0.1:1");
    }

    #[test]
    fn the_last_word_of_a_check_that_failed_counts() {
        let report = Report::parse("memory\tmemory\torder\tfailed\nmemory\tmemory\torder\tok\n").unwrap();
        assert!(report.lines.len() == 1 && report.lines[0].ok);
        let report = Report::parse("memory\tmemory\torder\tok\nmemory\tmemory\torder\tfailed\n").unwrap();
        assert!(
            report.lines.iter().any(|line| !line.ok),
            "a failure is not hidden"
        );
    }

    #[test]
    fn a_broken_line_is_not_counted_silently() {
        assert!(
            Report::parse("memory\torder\tok")
                .unwrap_err()
                .contains("not backend")
        );
        assert!(Report::parse("").unwrap().lines.is_empty());
        assert!(
            Report::read(Path::new("no-such-report"))
                .unwrap()
                .lines
                .is_empty()
        );
    }
}
