//! What `cargo test` prints, read on its way to the terminal: which tests failed, and what they said.

use std::fmt;

/// A test that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// What has cargo build its program: `--test name`, `--lib` or `--bins`; nothing for an example in the documentation.
    pub(crate) target: Vec<String>,
    pub(crate) test: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target.last() {
            Some(target) => write!(f, "{} ({})", self.test, target.trim_start_matches("--")),
            None => write!(f, "{} (documentation)", self.test),
        }
    }
}

/// What was read so far.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    pub(crate) failed: Vec<Failed>,
    /// Programs that ended without a result, or failed without naming a test.
    pub(crate) broken: Vec<String>,
    pub(crate) passed: usize,
    /// What the failed tests printed.
    pub(crate) said: Vec<String>,
    target: Option<Vec<String>>,
    program: String,
    names: Vec<String>,
    part: Part,
}

/// Where in the output of a test program.
#[derive(Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Tests,
    /// Behind `failures:`, where the failed tests' output stands and then their names.
    Failures,
}

impl Verdicts {
    /// Takes the next line.
    pub(crate) fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["Running", "unittests", file, _] => self.begins(file, unit_tests(file)),
            ["Running", file, _] if file.ends_with(".rs") => self.begins(file, integration_tests(file)),
            ["Doc-tests", package] => self.begins(&format!("documentation of {package}"), Vec::new()),
            ["failures:"] => {
                self.part = Part::Failures;
                self.names.clear();
            }
            ["test", "result:", "ok.", passed, ..] => {
                self.target = None;
                self.passed += passed.parse::<usize>().unwrap_or(0);
            }
            ["test", "result:", ..] => self.ends(),
            _ if self.part == Part::Failures => {
                self.said.push(line.to_owned());
                if let Some(name) = line.strip_prefix("    ").filter(|name| !name.starts_with(' ')) {
                    self.names.push(name.to_owned());
                }
            }
            _ => {}
        }
    }

    /// There is nothing more to come.
    pub(crate) fn close(&mut self) {
        if self.target.take().is_some() {
            self.broken.push(std::mem::take(&mut self.program));
        }
    }

    fn begins(&mut self, program: &str, target: Vec<String>) {
        self.close();
        (self.target, self.program, self.part) = (Some(target), program.to_owned(), Part::Tests);
    }

    fn ends(&mut self) {
        let target = self.target.take().unwrap_or_default();
        if self.names.is_empty() {
            self.broken.push(std::mem::take(&mut self.program));
        }
        let failed = self.names.drain(..).map(|test| Failed {
            target: target.clone(),
            test,
        });
        self.failed.extend(failed);
    }
}

fn unit_tests(file: &str) -> Vec<String> {
    let target = if file.ends_with("lib.rs") {
        "--lib"
    } else {
        "--bins"
    };
    vec![target.to_owned()]
}

/// `tests/name.rs` or `tests/name/main.rs`.
fn integration_tests(file: &str) -> Vec<String> {
    let path = file.trim_end_matches("/main.rs").trim_end_matches(".rs");
    let name = path.rsplit('/').next().unwrap_or(path);
    vec!["--test".to_owned(), name.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
   Compiling bus v0.1.0
     Running unittests src/lib.rs (target/debug/deps/bus-1)

running 1 test
test a::b ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

     Running tests/sentinel.rs (target/debug/deps/sentinel-2)

running 3 tests
test fine ... ok
test one ... FAILED
test two::three ... FAILED

failures:

---- one stdout ----
thread 'one' panicked at tests/sentinel.rs:1:1:
not within 5s
    at a frame

failures:
    one
    two::three

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s

error: test failed, to rerun pass `-p bus --test sentinel`
     Running tests/program/main.rs (target/debug/deps/program-3)

running 1 test
     Running unittests src/main.rs (target/debug/deps/bus-4)

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests bus
test src/a.rs - a (line 3) ... FAILED

failures:
    src/a.rs - a (line 3)

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s
";

    #[test]
    fn failed_tests_and_broken_programs_are_told_apart() {
        let mut verdicts = Verdicts::default();
        OUTPUT.lines().for_each(|line| verdicts.line(line));
        verdicts.close();
        let named: Vec<String> = verdicts.failed.iter().map(ToString::to_string).collect();
        let expected = [
            "one (sentinel)",
            "two::three (sentinel)",
            "src/a.rs - a (line 3) (documentation)",
        ];
        assert_eq!(named, expected);
        assert_eq!(verdicts.failed[0].target, ["--test", "sentinel"]);
        assert!(verdicts.failed[2].target.is_empty());
        assert_eq!(verdicts.broken, ["tests/program/main.rs"]);
        assert!(
            verdicts.said.iter().any(|line| line == "not within 5s"),
            "{:?}",
            verdicts.said
        );
        assert_eq!(verdicts.passed, 1);
        assert_eq!(integration_tests("tests/program/main.rs"), ["--test", "program"]);
        assert_eq!(unit_tests("src/main.rs"), ["--bins"]);
    }

    #[test]
    fn a_program_that_dies_is_broken() {
        let mut verdicts = Verdicts::default();
        verdicts.line("     Running tests/sentinel.rs (target/debug/deps/sentinel-2)");
        verdicts.line("test one ... ok");
        verdicts.close();
        assert_eq!(verdicts.broken, ["tests/sentinel.rs"]);
        assert!(verdicts.failed.is_empty());
    }
}
