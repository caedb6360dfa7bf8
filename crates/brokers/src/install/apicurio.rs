//! Apicurio Registry from Maven Central, which speaks the protocol of Confluent's schema registry.

use std::path::PathBuf;
use std::process::Command;

use super::{ensure_program, run};
use crate::error::{Doing, Result};
use crate::say::say;
use crate::{lock, paths};

/// The version that is started natively: the last whose store in memory needs nothing beside it.
pub(crate) const APICURIO_VERSION: &str = "2.6.13.Final";
const NAME: &str = "apicurio-registry-app";

/// The jar to run, with its libraries beside it. Downloaded on first use (about 142 MB).
pub(crate) fn apicurio() -> Result<PathBuf> {
    let root = paths::brokers_dir();
    let dir = root.join(format!("apicurio-{APICURIO_VERSION}"));
    let jar = dir.join(format!("{NAME}-{APICURIO_VERSION}-runner.jar"));
    if jar.is_file() {
        return Ok(jar);
    }
    let _lock = lock::wait_for(&root.join("apicurio.lock"))?;
    if jar.is_file() {
        return Ok(jar);
    }
    let mvn = ensure_program("mvn", "maven")?;
    say(format_args!(
        "registry: downloading Apicurio Registry {APICURIO_VERSION} with Maven"
    ));
    let work = root.join("apicurio.partial");
    let _ = std::fs::remove_dir_all(&work); // what a killed download left
    let unpacked = work.join("unpacked");
    std::fs::create_dir_all(&unpacked).doing(|| format!("creating {}", unpacked.display()))?;
    let mut download = Command::new(mvn);
    // The plugin's own version is named, because it would be asked for otherwise.
    download.args([
        "-q",
        "-B",
        "org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy",
    ]);
    download.arg(format!(
        "-Dartifact=io.apicurio:{NAME}:{APICURIO_VERSION}:tar.gz:all"
    ));
    run(download
        .arg(format!("-DoutputDirectory={}", work.display()))
        .current_dir(&work))?;
    let archive = work.join(format!("{NAME}-{APICURIO_VERSION}-all.tar.gz"));
    run(Command::new("tar")
        .arg("xzf")
        .arg(archive)
        .arg("-C")
        .arg(&unpacked))?;
    // Renamed as the last step: a folder of that name is complete.
    std::fs::rename(&unpacked, &dir).doing(|| format!("renaming {}", unpacked.display()))?;
    let _ = std::fs::remove_dir_all(&work);
    Ok(jar)
}
