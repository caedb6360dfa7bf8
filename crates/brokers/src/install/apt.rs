//! System packages, through `apt-get` and by root only: everybody else is told the package's name.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::run;
use crate::error::{Error, Result};
use crate::say::say;
use crate::{lock, paths};

/// The path of a program, after installing its package if it is missing.
pub(crate) fn ensure(program: &str, package: &str) -> Result<PathBuf> {
    if let Some(path) = find(program) {
        return Ok(path);
    }
    // One installation at a time: apt-get fails at once when another one runs.
    let _lock = lock::wait_for(&paths::brokers_dir().join("apt.lock"))?;
    if let Some(path) = find(program) {
        return Ok(path);
    }
    let missing = |why: &str| Error::Missing {
        program: program.into(),
        package: package.into(),
        why: why.into(),
    };
    install(package).map_err(|why| missing(&why))?;
    find(program).ok_or_else(|| missing("the package is installed, but the program is not on PATH"))
}

/// Installs a package; the caller holds the lock and has seen that it is missing.
fn install(package: &str) -> Result<(), String> {
    if find("apt-get").is_none() {
        return Err("there is no apt-get".into());
    }
    if !rustix::process::geteuid().is_root() {
        return Err("only root may install it".into());
    }
    say(format_args!("{package}: installing with apt-get"));
    // A fresh machine has no package lists, an old one has lists whose files are gone.
    run(Command::new("apt-get").args(["update", "-qq"])).map_err(|e| e.to_string())?;
    let mut command = Command::new("apt-get");
    command.args(["install", "-y", "-qq", "--no-install-recommends", package]);
    run(command.env("DEBIAN_FRONTEND", "noninteractive")).map_err(|e| e.to_string())?;
    Ok(())
}

/// Installs a package that carries no program of its own.
pub(crate) fn install_package(package: &str) -> Result<()> {
    let _lock = lock::wait_for(&paths::brokers_dir().join("apt.lock"))?;
    install(package).map_err(|why| Error::Missing {
        program: package.into(),
        package: package.into(),
        why,
    })
}

/// Looks along `PATH`.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut candidates = std::env::split_paths(&path).map(|dir| dir.join(program));
    candidates.find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_along_the_path() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
        assert_eq!(ensure("sh", "dash").unwrap(), find("sh").unwrap());
    }
}
