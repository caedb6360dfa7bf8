//! What of a server's files would survive a power loss.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::library::library;
use crate::error::{Doing, Result};

/// As many entries as the library's table has, of two numbers each.
const TABLE: usize = 256 * 16;

/// The sizes that files had at their last successful sync, as the server's own calls told them.
#[derive(Debug)]
pub(crate) struct Synced {
    table: PathBuf,
    library: PathBuf,
}

impl Synced {
    /// A table for a server that will be started with [`Synced::variable`]; it lies outside of what is cut.
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        let library = library("synced", include_str!("synced.c"))?;
        let table = dir.join("synced.table");
        std::fs::write(&table, [0; TABLE]).doing(|| format!("writing {}", table.display()))?;
        Ok(Self { table, library })
    }

    pub(crate) fn library(&self) -> &Path {
        &self.library
    }

    pub(crate) fn variable(&self) -> (OsString, OsString) {
        ("BUS_SYNCED_TABLE".into(), self.table.clone().into())
    }

    /// Cuts every file of that folder to what was synced last; a file that never was becomes empty. Returns how many
    /// bytes went. The server must be gone.
    pub(crate) fn cut(&self, dir: &Path) -> Result<u64> {
        let sizes = self.sizes()?;
        let mut lost = 0;
        for entry in std::fs::read_dir(dir).doing(|| format!("reading {}", dir.display()))? {
            let path = entry.doing(|| format!("reading {}", dir.display()))?.path();
            let doing = || format!("cutting {}", path.display());
            let file = File::options().write(true).open(&path).doing(doing)?;
            let found = file.metadata().doing(doing)?;
            let synced = sizes.get(&found.ino()).copied().unwrap_or(0);
            if synced < found.len() {
                file.set_len(synced).doing(doing)?;
                lost += found.len() - synced;
            }
        }
        Ok(lost)
    }

    fn sizes(&self) -> Result<HashMap<u64, u64>> {
        let bytes = std::fs::read(&self.table).doing(|| format!("reading {}", self.table.display()))?;
        let (numbers, _) = bytes.as_chunks::<8>();
        let (pairs, _) = numbers.as_chunks::<2>();
        let pairs = pairs
            .iter()
            .map(|[inode, size]| (u64::from_ne_bytes(*inode), u64::from_ne_bytes(*size)));
        Ok(pairs.filter(|(inode, _)| *inode != 0).collect())
    }
}
