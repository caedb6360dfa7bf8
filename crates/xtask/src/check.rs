//! `cargo xtask check`: everything that can be said without running a test.

use crate::Done;
use crate::cargo::cargo;
use crate::step::{output, step, succeed};
use crate::{features, firewall, instructions};

/// The checks in the order of their cost; the first failure ends the run.
pub(crate) fn run() -> Done {
    step("format", || succeed(&mut cargo(["fmt", "--all", "--check"])))?;
    step("dependency firewall of bus-core", firewall::run)?;
    features::needed()?;
    step("lints", || {
        let words = [
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            features::EVERYTHING,
            "--",
            "-D",
            "warnings",
        ];
        succeed(&mut cargo(words))
    })?;
    for feature in features::of_the_facade()? {
        let name = if feature.is_empty() {
            "no feature".to_owned()
        } else {
            format!("feature {feature} alone")
        };
        step(&name, || {
            // Lints and not only a build: what is dead without a feature is seen here alone.
            let words = [
                "clippy",
                "--quiet",
                "-p",
                "bus",
                "--no-default-features",
                "--features",
                &feature,
            ];
            succeed(cargo(words).args(["--", "-D", "warnings"]))
        })?;
    }
    step("documentation", || {
        let words = ["doc", "--quiet", "--workspace", "--no-deps", features::EVERYTHING];
        succeed(cargo(words).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    step("instructions of the codecs", instructions::run)?;
    if output(&mut cargo(["deny", "--version"])).is_err() {
        eprintln!(
            "check: licences, bans and sources: NOT CHECKED, `cargo install cargo-deny --locked` brings the tool"
        );
        return Ok(());
    }
    step("licences, bans and sources", || {
        succeed(&mut cargo([
            "deny",
            "check",
            "--hide-inclusion-graph",
            "licenses",
            "bans",
            "sources",
        ]))
    })?;
    // Its data base comes from a code host, which not every machine reaches.
    if output(&mut cargo(["deny", "fetch", "db"])).is_err() {
        eprintln!("check: advisories: NOT CHECKED, their data base cannot be reached from here");
        return Ok(());
    }
    step("advisories", || {
        succeed(&mut cargo(["deny", "check", "advisories"]))
    })
}
