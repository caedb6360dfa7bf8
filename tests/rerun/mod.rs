//! Every test of a file again, on a broker.

use std::process::Command;

/// Runs the tests of this binary on the bus of that URL, but these calls themselves and those on a paused clock; so many have to
/// pass.
pub(crate) fn on(url: &str, tests: usize) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--skip", "on_kafka", "--skip", "on_redis", "--skip", "paused_"])
        .env(bus::testing::URL, url)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{url}: {said}");
    let passed = |line: &&str| line.starts_with("test ") && line.ends_with(" ... ok");
    assert_eq!(said.lines().filter(passed).count(), tests, "{url}: {said}");
}

/// The server that this environment variable names.
pub(crate) fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("set {variable} or run `cargo xtask test`"))
}
