//! A small disk that can be filled up.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Doing, Error, Result};
use crate::install::run;

/// A tmpfs of a server's own. What lies on it is gone when the server's guard is dropped.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
}

impl Disk {
    /// Mounts one below that folder.
    pub(crate) fn mount(parent: &Path, megabytes: u32) -> Result<Self> {
        let dir = parent.join("disk");
        std::fs::create_dir_all(&dir).doing(|| format!("creating {}", dir.display()))?;
        let size = format!("size={megabytes}m,mode=0700");
        let mut mount = Command::new("mount");
        let mounted = run(mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&dir));
        match mounted {
            Ok(_) => Ok(Self { dir }),
            Err(why) => Err(Error::Mount {
                dir,
                why: why.to_string(),
            }),
        }
    }

    /// Where it is mounted.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes all the room that is left; returns how many bytes that was. Again, it takes what was freed meanwhile.
    ///
    /// # Errors
    ///
    /// When the disk refuses for another reason than being full.
    pub fn fill(&self) -> Result<u64> {
        let path = self.ballast();
        let doing = || format!("filling {}", path.display());
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .doing(doing)?;
        let mut taken = 0;
        loop {
            match file.write(&[0; 64 << 10]) {
                Ok(written) => taken += written as u64,
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(taken),
                Err(error) => return Err(error).doing(doing),
            }
        }
    }

    /// Gives back what [`Disk::fill`] took.
    ///
    /// # Errors
    ///
    /// When the ballast cannot be removed.
    pub fn free(&self) -> Result<()> {
        match std::fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).doing(|| format!("removing {}", self.ballast().display()))
            }
            _ => Ok(()),
        }
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join("ballast")
    }

    /// Unmounts the disk of a server whose owner died.
    pub(crate) fn unmount_left_behind(parent: &Path) {
        let dir = parent.join("disk");
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        if mounts
            .lines()
            .any(|line| line.split(' ').nth(1).map(Path::new) == Some(&dir))
        {
            drop(Self { dir });
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a file that is still open must not keep the mount from going.
        let _ = run(Command::new("umount").arg("-l").arg(&self.dir));
    }
}
