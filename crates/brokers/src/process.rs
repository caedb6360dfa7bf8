//! Server processes: detached from their starter, known by pid *and* command line.
//!
//! A pid alone proves nothing: the kernel hands it out again. Every server therefore gets its own data folder in its
//! command line, and a pid whose command line lacks that marker is not ours and is never signalled.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, setsid};

use crate::error::{Doing, Error, Result};
use crate::wait;

/// How to start a server.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// Environment variables beside the starter's own.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Where it runs and writes `server.log`.
    pub(crate) dir: PathBuf,
    /// An argument that no other process has.
    pub(crate) marker: String,
}

impl Launch {
    /// Where the server's output goes.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// Starts the server in a session of its own, so that neither Ctrl-C nor the end of the terminal reaches it.
    #[allow(unsafe_code)]
    pub(crate) fn spawn(&self) -> Result<(Child, Process)> {
        let log = self.log();
        let out = File::options().create(true).append(true).open(&log);
        let out = out.doing(|| format!("opening {}", log.display()))?;
        let err = out.try_clone().doing(|| format!("opening {}", log.display()))?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&self.dir);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        // SAFETY: between fork and exec only async-signal-safe calls are allowed; setsid is one, and the closure
        // neither allocates nor locks.
        unsafe { command.pre_exec(|| setsid().map(drop).map_err(Into::into)) };
        let mut child = command
            .spawn()
            .doing(|| format!("starting {}", self.program.display()))?;
        let process = Process {
            pid: child.id(),
            marker: self.marker.clone(),
        };
        process.await_command_line(&mut child);
        Ok((child, process))
    }
}

/// A process that is known to be ours, or to be gone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) marker: String,
}

impl Process {
    /// Whether that very process still runs. A dead process that waits for its parent counts as gone.
    pub(crate) fn is_running(&self) -> bool {
        let line = command_line(self.pid).unwrap_or_default();
        // A whole argument: the data folder of one server may be the start of another's.
        format!(" {line} ").contains(&format!(" {} ", self.marker))
    }

    /// The kernel lets the parent go on a moment before the child's command line can be read; until then the child
    /// would look like a process that is not ours.
    fn await_command_line(&self, child: &mut Child) {
        let ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        wait::poll(Duration::from_secs(10), || {
            (self.is_running() || ended(child)).then_some(())
        });
    }

    /// Sends a signal; says whether there was a process of ours to get it.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        self.is_running() && pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    /// Asks it to end, and kills it when it has not after `grace`.
    pub(crate) fn stop(&self, grace: Duration) -> Result<()> {
        // A paused process does not see the request to end.
        self.signal(Signal::CONT);
        if self.signal(Signal::TERM) && self.is_gone_within(grace) {
            return Ok(());
        }
        self.kill()
    }

    /// Kills it without a chance to clean up, and waits until it is gone.
    pub(crate) fn kill(&self) -> Result<()> {
        const LIMIT: Duration = Duration::from_secs(20);
        self.signal(Signal::KILL);
        match self.is_gone_within(LIMIT) {
            true => Ok(()),
            false => Err(Error::Immortal {
                pid: self.pid,
                seconds: LIMIT.as_secs(),
            }),
        }
    }

    fn is_gone_within(&self, limit: Duration) -> bool {
        wait::poll(limit, || (!self.is_running()).then_some(())).is_some()
    }
}

/// The command line of a live process, its arguments separated by spaces.
pub(crate) fn command_line(pid: u32) -> Option<String> {
    if Path::new("/proc/self/cmdline").exists() {
        let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        return (!line.is_empty()).then_some(line);
    }
    let ps = Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let line = String::from_utf8_lossy(&ps.stdout).trim().to_owned();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(seconds: &str) -> (Child, Process) {
        // Not on the test's own output: a sleeper that outlives a failed test would keep that open.
        let mut child = Command::new("sleep")
            .arg(seconds)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process {
            pid: child.id(),
            marker: seconds.to_owned(),
        };
        process.await_command_line(&mut child);
        (child, process)
    }

    #[test]
    fn a_process_is_known_by_its_command_line() {
        let (mut child, process) = sleeper("3001");
        assert!(process.is_running());
        let recycled = Process {
            pid: process.pid,
            marker: "redis-server".into(),
        };
        assert!(!recycled.is_running());
        let prefix = Process {
            pid: process.pid,
            marker: "300".into(),
        };
        assert!(!prefix.is_running(), "a part of an argument is not the argument");
        assert!(
            !recycled.signal(Signal::KILL),
            "a process that is not ours must not be signalled"
        );
        assert!(process.is_running());
        process.stop(Duration::from_secs(10)).unwrap();
        assert!(!process.is_running(), "not even before it was reaped");
        child.wait().unwrap();
    }

    #[test]
    fn a_paused_process_can_be_stopped() {
        let (mut child, process) = sleeper("3002");
        assert!(process.signal(Signal::STOP));
        process.stop(Duration::from_secs(10)).unwrap();
        child.wait().unwrap();
        assert!(!process.is_running());
    }
}
