//! A wall clock that jumps.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::library::library;
use crate::error::{Doing, Result};
use crate::paths;

/// A wall clock for processes that were started with it. It can be moved while they run; their monotonic clock,
/// timers and sleeps stay as they are, and so does the clock of everybody else.
///
/// It goes to a private server with its options, and to any other program through [`Clock::environment`]. A clone
/// is the same clock. Linux only: programs that ask the kernel without the C library do not see it.
#[derive(Debug, Clone)]
pub struct Clock {
    offset: Arc<Offset>,
    library: PathBuf,
}

#[derive(Debug)]
struct Offset {
    path: PathBuf,
    file: File,
}

impl Clock {
    /// A clock that is right, until it is moved. Compiles a small library on first use, in about 100 ms.
    ///
    /// # Errors
    ///
    /// When `gcc` is missing and cannot be installed, or the disk does not take a file of 8 bytes.
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let library = library("clock", include_str!("clock.c"))?;
        let dir = paths::brokers_dir().join("clocks");
        std::fs::create_dir_all(&dir).doing(|| format!("creating {}", dir.display()))?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("{}-{number}", std::process::id()));
        std::fs::write(&path, [0; 8]).doing(|| format!("writing {}", path.display()))?;
        let file = File::options().write(true).open(&path);
        let file = file.doing(|| format!("opening {}", path.display()))?;
        let offset = Arc::new(Offset { path, file });
        Ok(Self { offset, library })
    }

    /// Moves it to that many milliseconds after the right time (before it, if negative), for every process at once
    /// and until the next call.
    ///
    /// # Errors
    ///
    /// When its file cannot be written.
    pub fn set(&self, milliseconds: i64) -> Result<()> {
        let nanoseconds = milliseconds.saturating_mul(1_000_000);
        let written = self.offset.file.write_all_at(&nanoseconds.to_ne_bytes(), 0);
        written.doing(|| format!("writing {}", self.offset.path.display()))
    }

    /// The environment variables that put a process under this clock.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        super::preload(&[self.library()])
            .into_iter()
            .chain([self.variable()])
            .collect()
    }

    pub(crate) fn library(&self) -> &Path {
        &self.library
    }

    pub(crate) fn variable(&self) -> (OsString, OsString) {
        ("BUS_CLOCK_OFFSET".into(), self.offset.path.clone().into())
    }
}

impl Drop for Offset {
    fn drop(&mut self) {
        // Who has it mapped keeps it.
        let _ = std::fs::remove_file(&self.path);
    }
}
