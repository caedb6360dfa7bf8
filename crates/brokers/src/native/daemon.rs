//! A native server in the hands of its owner: start, kill, pause, restart, gone on drop.

use std::path::Path;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use super::Place;
use crate::error::{Error, Result};
use crate::install::tail;
use crate::process::{Launch, Process};
use crate::record::{Host, Record};
use crate::wait;

/// How long a start may take. Kafka answers after 2 s on an idle machine; a busy one with two cores needs far more.
const START: Duration = Duration::from_secs(90);
/// How long a server may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(15);

/// Asks a server whether it is ready; a version comes back, or what was seen instead.
type Ready = Box<dyn Fn() -> Result<String, String> + Send + Sync>;

pub(crate) struct Daemon {
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

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.place.dir
    }

    /// Its process, while it has one.
    pub(crate) fn process(&self) -> Option<Process> {
        let pid = self.child().as_ref().map(Child::id);
        pid.map(|pid| Process {
            pid,
            marker: self.launch.marker.clone(),
        })
    }

    /// Asks it to end; returns when it has.
    pub(crate) fn stop(&self) -> Result<()> {
        self.end(|process| process.stop(GRACE))
    }

    /// Kills it; returns when it is gone.
    pub(crate) fn kill9(&self) -> Result<()> {
        self.end(Process::kill)
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

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        match self.process().is_some_and(|process| process.signal(signal)) {
            true => Ok(()),
            false => Err(Error::State(format!(
                "{} at {} is not running; restart() it first",
                self.name, self.address
            ))),
        }
    }

    /// Ends it if it still runs, then starts it on the same ports and data.
    pub(crate) fn restart(&self) -> Result<()> {
        self.stop()?;
        self.launch().map(drop)
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
