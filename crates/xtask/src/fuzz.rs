//! `cargo xtask fuzz`: every decoder under libFuzzer, for a while.

use std::path::{Path, PathBuf};

use crate::cargo::{cargo, root};
use crate::{Done, features, interrupt};

/// Instrumented, so that the fuzzer sees which way an input goes. Panics are what is looked for, and the language has no other
/// way to fail: no sanitizer, and so no nightly toolchain.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this target; may be given several times. Without it: all, one after the other.
    #[arg(long, value_name = "TARGET")]
    only: Vec<String>,
    /// How long each target runs.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u32,
}

/// Builds the targets and runs them; an input that fails is kept in `target/fuzz/found`.
pub(crate) fn run(arguments: &Arguments) -> Done {
    features::needed()?;
    let home = bus_brokers::target_dir().join("fuzz");
    let found = home.join("found");
    std::fs::create_dir_all(&found)?;
    let programs = build(&home)?;
    let targets = targets(&arguments.only)?;
    for target in &targets {
        println!("{target}: {} s", arguments.seconds);
        let corpus = home.join("corpus").join(target);
        std::fs::create_dir_all(&corpus)?;
        let seeds = root().join("fuzz/seeds").join(target);
        let mut command = std::process::Command::new(programs.join(target));
        command.arg(&corpus);
        if seeds.is_dir() {
            command.arg(seeds);
        }
        command.arg(format!("-max_total_time={}", arguments.seconds));
        command.arg(format!("-artifact_prefix={}/{target}-", found.display()));
        command.args([
            "-max_len=65536",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ]);
        if !interrupt::status(&mut command)?.success() {
            let sentence = format!("`{target}` failed; the input is in {}", found.display());
            return Err(sentence.into());
        }
    }
    println!(
        "{} targets, {} s each, no input failed",
        targets.len(),
        arguments.seconds
    );
    Ok(())
}

/// The folder of the programs.
fn build(home: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let host = host()?;
    let mut command = cargo([
        "build",
        "--release",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--bins",
    ]);
    // With a target named, the flags are not those of build scripts and macros.
    command
        .args(["--target", &host, "--target-dir"])
        .arg(home)
        .env("RUSTFLAGS", FLAGS);
    match interrupt::status(&mut command)?.success() {
        true => Ok(home.join(host).join("release")),
        false => Err("the fuzz targets do not build".into()),
    }
}

/// What this machine is called, `host: x86_64-unknown-linux-gnu`.
fn host() -> Result<String, Box<dyn std::error::Error>> {
    let told = std::process::Command::new("rustc").arg("-vV").output()?;
    let told = String::from_utf8(told.stdout)?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("`rustc -vV` names no host")?.to_owned())
}

/// Each file in `fuzz/targets` is one.
fn targets(only: &[String]) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(root().join("fuzz/targets"))? {
        all.extend(
            file?
                .path()
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned()),
        );
    }
    all.sort();
    if let Some(unknown) = only.iter().find(|name| !all.contains(name)) {
        return Err(format!("there is no target `{unknown}`; there are {}", all.join(", ")).into());
    }
    all.retain(|name| only.is_empty() || only.contains(name));
    Ok(all)
}
