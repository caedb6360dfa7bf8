//! A Python virtual environment for the foreign clients that tests talk to.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ensure_program, run};
use crate::error::Result;
use crate::say::say;
use crate::{lock, paths};

/// The Python of `target/venv`, with these packages in it: names as `pip` takes them, a version after `==` if it
/// matters. What is there already is not asked for again.
///
/// # Errors
///
/// When Python is missing and cannot be installed, or `pip` cannot install a package.
pub fn python(packages: &[&str]) -> Result<PathBuf> {
    let venv = paths::target_dir().join("venv");
    let python = venv.join("bin").join("python");
    let _lock = lock::wait_for(&paths::brokers_dir().join("venv.lock"))?;
    // A half-made environment has a Python but no pip.
    if run(Command::new(&python).args(["-m", "pip", "--version"])).is_err() {
        create(&venv)?;
    }
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !has(&python, package))
        .collect();
    if !missing.is_empty() {
        say(format_args!(
            "python: installing {} into target/venv",
            missing.join(", ")
        ));
        run(Command::new(&python)
            .args(["-m", "pip", "install", "-q"])
            .args(&missing))?;
    }
    Ok(python)
}

fn create(venv: &Path) -> Result<()> {
    let system = ensure_program("python3", "python3")?;
    let create = || run(Command::new(&system).args(["-m", "venv", "--clear"]).arg(venv));
    if create().is_err() {
        // Debian's python3 comes without the module that puts pip into an environment.
        super::apt::install_package("python3-venv")?;
        create()?;
    }
    Ok(())
}

/// Whether that package is installed, in that version where one is named.
fn has(python: &Path, package: &str) -> bool {
    let (name, version) = package.split_once("==").unwrap_or((package, ""));
    let name = name.split('[').next().unwrap_or(name);
    let code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))";
    match run(Command::new(python).args(["-c", code, name])) {
        Ok(found) => version.is_empty() || found.trim() == version,
        Err(_) => false,
    }
}
