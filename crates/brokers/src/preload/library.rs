//! Compiling them: a C file each, by `gcc`, when the first test needs it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::process::Command;

use crate::error::{Doing, Result};
use crate::install::{ensure_program, run};
use crate::{lock, paths};

/// The shared library of that source, compiled unless it was before.
pub(crate) fn library(name: &str, source: &str) -> Result<PathBuf> {
    let dir = paths::brokers_dir().join("preload");
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    let library = dir.join(format!("{name}-{:016x}.so", hasher.finish()));
    if library.is_file() {
        return Ok(library);
    }
    let _lock = lock::wait_for(&paths::brokers_dir().join("preload.lock"))?;
    if library.is_file() {
        return Ok(library);
    }
    let gcc = ensure_program("gcc", "gcc")?;
    std::fs::create_dir_all(&dir).doing(|| format!("creating {}", dir.display()))?;
    let file = dir.join(format!("{name}.c"));
    std::fs::write(&file, source).doing(|| format!("writing {}", file.display()))?;
    let partial = library.with_extension("partial");
    let mut compile = Command::new(gcc);
    compile.args([
        "-std=gnu11",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fPIC",
        "-shared",
        "-o",
    ]);
    run(compile.arg(&partial).arg(&file).args(["-ldl", "-lpthread"]))?;
    // Renamed as the last step: a library of that name is complete.
    std::fs::rename(&partial, &library).doing(|| format!("renaming {}", partial.display()))?;
    Ok(library)
}
