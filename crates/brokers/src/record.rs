//! What is remembered of a running server: one `server.json` in its data folder.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Doing, Error, Result};
use crate::process::Process;

/// How long a server may take to end by itself. Kafka writes its logs out; it needs about 2 s.
const GRACE: Duration = Duration::from_secs(15);

/// A server that was started and left running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) address: String,
    pub(crate) version: String,
    #[serde(flatten)]
    pub(crate) host: Host,
}

/// What carries the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "origin", rename_all = "lowercase")]
pub(crate) enum Host {
    Native(Process),
    Docker { container: String },
}

impl Record {
    const FILE: &'static str = "server.json";

    /// Reads the record of a data folder. A folder without one is `None`; so is one that was half written by a
    /// process that died, because nothing can be done with it but to start anew.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(Self::FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(source).doing(|| format!("reading {}", path.display())),
        }
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(Self::FILE);
        let text =
            serde_json::to_vec_pretty(self).map_err(|e| Error::State(format!("{}: {e}", path.display())))?;
        std::fs::write(&path, text).doing(|| format!("writing {}", path.display()))
    }

    /// Whether the very server that was started still exists; a recycled pid does not count.
    pub(crate) fn is_running(&self) -> bool {
        match &self.host {
            Host::Native(process) => process.is_running(),
            Host::Docker { container } => crate::engine::is_running(container),
        }
    }

    /// Stops it and waits until it is gone.
    pub(crate) fn stop(&self) -> Result<()> {
        match &self.host {
            Host::Native(process) => process.stop(GRACE),
            Host::Docker { container } => crate::engine::remove(container),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(name: &str) -> std::path::PathBuf {
        let dir = crate::paths::brokers_dir().join("unit").join(name);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn record(pid: u32) -> Record {
        Record {
            address: "redis://127.0.0.1:1".into(),
            version: "Redis 7.0.15".into(),
            host: Host::Native(Process {
                pid,
                marker: "no such marker".into(),
            }),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = dir("record");
        let docker = Record {
            host: Host::Docker {
                container: "abc".into(),
            },
            ..record(1)
        };
        for record in [record(4711), docker] {
            record.write(&dir).unwrap();
            assert_eq!(Record::read(&dir).unwrap(), Some(record));
        }
        std::fs::write(dir.join(Record::FILE), "{\"addr").unwrap();
        assert_eq!(Record::read(&dir).unwrap(), None, "half a record is none");
        assert_eq!(Record::read(&dir.join("nowhere")).unwrap(), None);
    }

    #[test]
    fn a_recycled_pid_is_not_the_server() {
        let ours = record(std::process::id());
        assert!(!ours.is_running());
        ours.stop().unwrap(); // and this process is not killed by it
    }
}
