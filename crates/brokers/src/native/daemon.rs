//! A native server in the hands of its owner: start, kill, pause, restart, gone on drop.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use super::{Disk, Place};
use crate::error::{Error, Result};
use crate::install::tail;
use crate::process::{Launch, Process};
use crate::record::{Host, Record};
use crate::wait;

/// How long a start may take. Kafka answers after 2 s on an idle machine; a busy one with two cores needs far more.
const START: Duration = Duration::from_secs(240);
/// How long a server may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(15);

/// Asks a server whether it is ready; a version comes back, or what was seen instead.
type Ready = Box<dyn Fn() -> Result<String, String> + Send + Sync>;

/// A server process that belongs to whoever holds it. Dropping it kills the server and removes its data.
pub struct Daemon {
    name: &'static str,
    address: String,
    launch: Launch,
    ready: Ready,
    place: Place,
    version: String,
    /// `None` while the server is down.
    child: Mutex<Option<Child>>,
}

impl Daemon {
    /// Starts the server and waits until it answers.
    pub(crate) fn start(
        name: &'static str,
        address: String,
        launch: Launch,
        place: Place,
        ready: Ready,
    ) -> Result<Self> {
        let version = String::new();
        let mut daemon = Self {
            name,
            address,
            launch,
            ready,
            place,
            version,
            child: Mutex::new(None),
        };
        daemon.version = daemon.launch()?;
        Ok(daemon)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Its version, such as `Redis 7.0.15`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Its folder, where `server.log` lies too.
    pub fn dir(&self) -> &Path {
        &self.place.dir
    }

    /// Where it keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.place.data()
    }

    /// Its process, while it runs. A server that ended by itself has none.
    pub fn pid(&self) -> Option<u32> {
        let process = self.process().filter(Process::is_running);
        process.map(|process| process.pid)
    }

    /// The small disk that its data lies on, if it was started with one.
    pub fn disk(&self) -> Option<&Disk> {
        self.place.disk.as_ref()
    }

    /// Ends it as an operator would (SIGTERM), with everything written out; returns when it is gone.
    ///
    /// # Errors
    ///
    /// When it does not die.
    pub fn stop(&self) -> Result<()> {
        self.end(|process| process.stop(GRACE))
    }

    /// Kills it in the middle of whatever it does (SIGKILL); returns when it is gone.
    ///
    /// # Errors
    ///
    /// When it does not die.
    pub fn kill9(&self) -> Result<()> {
        self.end(Process::kill)
    }

    /// Stops the process without ending it (SIGSTOP): its connections stay open and nothing answers.
    ///
    /// # Errors
    ///
    /// When it is not running.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused process go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// When it is not running.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Starts it again on the same ports with the same data, after ending it if it still runs; returns when it
    /// answers. One node of a cluster without a quorum does not answer: restart the others at the same time, from
    /// threads of their own.
    ///
    /// # Errors
    ///
    /// When it does not die or does not come up.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.launch().map(drop)
    }

    /// Its process, while it was not ended from here.
    fn process(&self) -> Option<Process> {
        let pid = self.child().as_ref().map(Child::id);
        pid.map(|pid| Process {
            pid,
            marker: self.launch.marker.clone(),
        })
    }

    fn end(&self, how: impl FnOnce(&Process) -> Result<()>) -> Result<()> {
        if let Some(process) = self.process() {
            how(&process)?;
        }
        if let Some(mut child) = self.child().take() {
            // It is dead; this only takes its entry out of the process table. The kill is for a child whose command
            // line could not be read: a wait for a live one would never end.
            let _ = child.kill();
            let _ = child.wait();
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        match self.process().is_some_and(|process| process.signal(signal)) {
            true => Ok(()),
            false => Err(Error::State(format!(
                "{} at {} is not running; restart() it first",
                self.name, self.address
            ))),
        }
    }

    /// Lets go of the server without stopping it.
    pub(crate) fn keep(mut self) -> Result<()> {
        self.place.private = false;
        self.child().take();
        Ok(())
    }

    fn launch(&self) -> Result<String> {
        let (child, process) = self.launch.spawn()?;
        *self.child() = Some(child);
        // Written before it is ready: a server whose starter dies meanwhile is found and stopped all the same.
        let mut record = Record {
            address: self.address.clone(),
            version: self.name.to_owned(),
            host: Host::Native(process),
        };
        record.write(&self.place.dir)?;
        let version = self.wait_until_ready()?;
        record.version.clone_from(&version);
        record.write(&self.place.dir)?;
        Ok(version)
    }

    fn wait_until_ready(&self) -> Result<String> {
        let mut seen = String::new();
        let found = wait::poll(START, || {
            let ended = self.child().as_mut().map(Child::try_wait);
            if let Some(Ok(Some(status))) = ended {
                return Some(Err(format!("it ended at once ({status})")));
            }
            (self.ready)().map_err(|why| seen = why).ok().map(Ok)
        });
        let why = match found {
            Some(Ok(version)) => return Ok(version),
            Some(Err(why)) => why,
            None => format!("no answer within {} s: {seen}", START.as_secs()),
        };
        let log = self.launch.log();
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let server = format!("{} at {}", self.name, self.address);
        Err(Error::NotReady {
            server,
            why,
            log,
            tail: tail(&text, 15),
        })
    }

    /// A panic elsewhere says nothing about the process.
    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let ended = self.kill9();
        // What a failing test leaves in its log is worth more than the space it takes; the next sweep clears it.
        if ended.is_ok() && self.place.private && !std::thread::panicking() {
            self.place.disk = None;
            let _ = std::fs::remove_dir_all(&self.place.dir);
        }
    }
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct(self.name)
            .field("address", &self.address)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
