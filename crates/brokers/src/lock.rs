//! Locks between processes. The kernel releases them when their holder dies, however it dies.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::{Doing, Result};

/// Waits for the lock of that file; it is held until the value is dropped.
pub(crate) fn wait_for(path: &Path) -> Result<File> {
    let file = open(path)?;
    file.lock().doing(|| format!("locking {}", path.display()))?;
    Ok(file)
}

/// Takes the lock of that file if nobody holds it.
pub(crate) fn try_take(path: &Path) -> Result<Option<File>> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(source).doing(|| format!("locking {}", path.display())),
    }
}

/// Lock files are never deleted: a second holder could otherwise lock a file that no longer has a name.
fn open(path: &Path) -> Result<File> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).doing(|| format!("creating {}", parent.display()))?;
    }
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .doing(|| format!("opening {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_exclusive_and_ends_with_its_holder() {
        let path = crate::paths::brokers_dir().join("unit").join("lock");
        let held = wait_for(&path).unwrap();
        assert!(try_take(&path).unwrap().is_none());
        drop(held);
        assert!(try_take(&path).unwrap().is_some());
    }
}
