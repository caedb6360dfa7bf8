//! The quickstart prints the same on every backend; a backend that is not compiled in is named with its feature.

#![allow(clippy::expect_used)]

use std::{path::PathBuf, process::Command};

const PRINTED: &str = "2 × bread\n1 × milk\n12 × eggs\n";

/// `cargo test` builds the examples beside the tests; with `--test quickstart` alone, build them first with the same
/// features.
fn quickstart() -> PathBuf {
    let mut path = std::env::current_exe().expect("the path of this test");
    path.pop();
    path.pop();
    path.join("examples/quickstart")
}

fn prints(url: &str) {
    let output = Command::new(quickstart())
        .args(["--url", url])
        .output()
        .expect("build it: `cargo build --example quickstart`");
    assert!(
        output.status.success(),
        "{url}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), PRINTED, "{url}");
}

#[cfg(any(feature = "kafka", feature = "redis"))]
fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("set {variable} or run `cargo xtask test`"))
}

#[test]
fn on_memory() {
    prints("memory://");
}

#[test]
fn memory_is_the_default_and_nothing_else_is_guessed() {
    let run = |arguments: &[&str]| Command::new(quickstart()).args(arguments).output();
    let default = run(&[]).expect("built");
    assert_eq!(String::from_utf8_lossy(&default.stdout), PRINTED);
    for wrong in [&["memory://"][..], &["--url"], &["--uri", "memory://"]] {
        let refused = run(wrong).expect("built");
        assert_eq!(refused.status.code(), Some(1), "{wrong:?}");
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            error.contains("give `--url URL`, or nothing"),
            "{wrong:?}: {error}"
        );
    }
}

#[test]
#[cfg(feature = "kafka")]
fn on_kafka() {
    prints(&format!("kafka://{}", server("BUS_TEST_KAFKA")));
}

#[test]
#[cfg(feature = "redis")]
fn on_redis() {
    prints(&server("BUS_TEST_REDIS"));
    prints(&server("BUS_TEST_REDIS_8"));
}

#[tokio::test]
#[cfg(not(all(feature = "kafka", feature = "redis")))]
async fn a_missing_feature_is_named() {
    let missing = if cfg!(feature = "kafka") { "redis" } else { "kafka" };
    let error = bus::Bus::connect(&format!("{missing}://127.0.0.1:1"))
        .await
        .expect_err("not compiled in");
    let expected = format!("backend `{missing}` is not compiled in; add the `{missing}` feature");
    assert_eq!(error.to_string(), expected);
}
