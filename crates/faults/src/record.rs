//! What an actor writes down, line by line, so that it survives a kill: one `write` a line, at the end of a file.

use bus_core::conformance::Failure;
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Nanoseconds of the machine's monotonic clock, the same for all its processes.
    pub(crate) at: u64,
    /// Milliseconds since 1970.
    pub(crate) wall: u64,
    #[serde(flatten)]
    pub(crate) what: Entry,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "w", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A message is about to be published.
    Intent { id: String },
    /// It is stored.
    Stored { id: String },
    /// It is not.
    NotStored { id: String, why: String },
    /// It may be.
    Unknown { id: String, why: String },
    /// A partition is its own from now on.
    Gained { partition: u32 },
    /// Records of a partition are gone, it was told.
    Loss { partition: u32 },
    /// A message came.
    Got {
        id: String,
        partition: u32,
        position: String,
        attempt: u32,
    },
    /// It is about to be acknowledged.
    Acked { id: String },
    /// It is about to be refused, not to come before this time.
    Nacked { id: String, until: u64 },
    /// Its handler was stopped.
    Returned { id: String },
    /// Something came that nobody sent.
    Garbage { what: String },
    /// It joined, or ended its work.
    Note { text: String },
    /// It cannot go on.
    Failed { why: String },
}

/// The machine's monotonic clock, in nanoseconds.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// That clock's time as an instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base(Instant, u64);

impl Base {
    pub(crate) fn new() -> Self {
        Self(Instant::now(), now())
    }
    pub(crate) fn instant(&self, at: u64) -> Instant {
        match at.checked_sub(self.1) {
            Some(later) => self.0 + Duration::from_nanos(later),
            None => self.0 - Duration::from_nanos(self.1 - at),
        }
    }
}

/// Writes lines until its actor is dead.
#[derive(Debug)]
pub(crate) struct Recorder {
    file: Mutex<Option<File>>,
}

impl Recorder {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.map_err(|e| Failure::new(format_args!("{}: {e}", path.display())))?;
        Ok(Self {
            file: Mutex::new(Some(file)),
        })
    }
    /// False from an actor that is dead: what it was about to do must not happen. A record that cannot be written would
    /// make a test pass that should not, so it ends the process.
    #[allow(clippy::expect_used)]
    pub(crate) fn write(&self, what: Entry) -> bool {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_millis() as u64);
        let mut file = self.file.lock();
        let Some(file) = file.as_mut() else { return false };
        // The time is taken under the lock, so that the file's order is the clock's.
        let line = Line {
            at: now(),
            wall,
            what,
        };
        let mut text = serde_json::to_vec(&line).expect("a line is plain data");
        text.push(b'\n');
        file.write_all(&text).expect("the record must be written");
        true
    }
    /// From here on its actor is dead and writes nothing.
    pub(crate) fn silence(&self) {
        *self.file.lock() = None;
    }
}

/// The lines of a file. The last one may be torn if its writer was killed.
pub(crate) fn read(path: &Path, killed: bool) -> Result<Vec<Line>, Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::new(format_args!("{}: {e}", path.display()));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        // It was killed before it began.
        Err(error) if killed && error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(&error)),
    };
    let whole = if killed {
        text.rfind('\n').map_or("", |end| &text[..end])
    } else {
        &text
    };
    whole
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|e| wrong(&e)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_and_the_dead_write_nothing() {
        let path = std::env::temp_dir().join(format!("bus-faults-{}.record", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let recorder = Recorder::open(&path).unwrap();
        let got = Entry::Got {
            id: "k:1".into(),
            partition: 2,
            position: u128::MAX.to_string(),
            attempt: 1,
        };
        recorder.write(Entry::Intent { id: "k:1".into() });
        recorder.write(got.clone());
        recorder.silence();
        recorder.write(Entry::Acked { id: "k:1".into() });
        let lines = read(&path, false).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].what, got);
        assert!(lines[0].at <= lines[1].at && lines[1].at <= now());
        File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"{\"at\":1")
            .unwrap();
        assert!(read(&path, false).is_err());
        assert_eq!(read(&path, true).unwrap().len(), 2);
        std::fs::remove_file(&path).unwrap();
        assert!(read(&path, true).unwrap().is_empty() && read(&path, false).is_err());
    }
}
