//! A private Redis.

use std::ffi::OsString;
use std::path::Path;

use rustix::process::Signal;

use super::Place;
use super::daemon::Daemon;
use crate::error::Result;
use crate::process::Launch;
use crate::{install, probe};

/// Which Redis to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RedisVersion {
    /// The oldest that is supported: 7.0, or whatever newer one `redis-server` on `PATH` is.
    #[default]
    V7,
    /// 8.2.
    V8,
}

/// How to start a private Redis.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    version: RedisVersion,
    appendonly: bool,
    args: Vec<OsString>,
}

impl RedisOptions {
    /// Redis 7.0, nothing written to disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which version; 7.0 where nothing is said, because it is the oldest that must work.
    pub fn version(mut self, version: RedisVersion) -> Self {
        self.version = version;
        self
    }

    /// Writes every command to disk before its reply (`appendonly yes`, `appendfsync always`), so that what was
    /// acknowledged survives a kill. Off where nothing is said: most tests do not kill, and it is slower.
    pub fn appendonly(mut self, on: bool) -> Self {
        self.appendonly = on;
        self
    }

    /// One more word of the command line, such as `--maxmemory` and then `10mb`.
    pub fn arg(mut self, word: impl Into<OsString>) -> Self {
        self.args.push(word.into());
        self
    }
}

/// A Redis of the caller's own. Dropping it kills the server and removes its data.
#[derive(Debug)]
pub struct Redis {
    daemon: Daemon,
    url: String,
}

impl Redis {
    /// Starts one on a free port of 127.0.0.1 and waits until it answers. Blocks for about 50 ms; longer when the
    /// server has to be installed first.
    ///
    /// # Errors
    ///
    /// When the server cannot be installed or does not come up.
    pub fn start(options: RedisOptions) -> Result<Self> {
        Self::start_at(Place::private(1)?, options)
    }

    pub(crate) fn start_at(place: Place, options: RedisOptions) -> Result<Self> {
        let program = match options.version {
            RedisVersion::V7 => install::redis_server()?,
            RedisVersion::V8 => install::redis_server_8()?,
        };
        let url = format!("redis://{}", place.address(0));
        let marker = place.dir.display().to_string();
        let args = args(place.ports[0].port, &place.dir, options);
        let launch = Launch {
            program,
            args,
            dir: place.dir.clone(),
            marker,
        };
        let asked = url.clone();
        let ready = Box::new(move || probe::redis_version(&asked).map(|v| format!("Redis {v}")));
        let daemon = Daemon::start("redis", url.clone(), launch, place, ready)?;
        Ok(Self { daemon, url })
    }

    /// Its address, `redis://127.0.0.1:port`. It stays the same over every restart.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its version, such as `Redis 7.0.15`.
    pub fn version(&self) -> &str {
        self.daemon.version()
    }

    /// Its data folder, where `server.log` lies too.
    pub fn dir(&self) -> &Path {
        self.daemon.dir()
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.process().map(|process| process.pid)
    }

    /// Ends it as an operator would (SIGTERM); returns when it is gone.
    ///
    /// # Errors
    ///
    /// When it does not die.
    pub fn stop(&self) -> Result<()> {
        self.daemon.stop()
    }

    /// Kills it in the middle of whatever it does (SIGKILL); returns when it is gone.
    ///
    /// # Errors
    ///
    /// When it does not die.
    pub fn kill9(&self) -> Result<()> {
        self.daemon.kill9()
    }

    /// Stops the process without ending it (SIGSTOP): its connections stay open and nothing answers.
    ///
    /// # Errors
    ///
    /// When it is not running.
    pub fn pause(&self) -> Result<()> {
        self.daemon.signal(Signal::STOP)
    }

    /// Lets a paused process go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// When it is not running.
    pub fn resume(&self) -> Result<()> {
        self.daemon.signal(Signal::CONT)
    }

    /// Starts it again on the same port with the same data, after ending it if it still runs; returns when it
    /// answers.
    ///
    /// # Errors
    ///
    /// When it does not die or does not come up.
    pub fn restart(&self) -> Result<()> {
        self.daemon.restart()
    }

    /// Lets go of it without stopping it.
    pub(crate) fn keep(self) -> Result<()> {
        self.daemon.keep()
    }
}

fn args(port: u16, dir: &Path, options: RedisOptions) -> Vec<OsString> {
    let port = port.to_string();
    let mut args: Vec<OsString> = ["--port", &port, "--bind", "127.0.0.1", "--save", ""]
        .map(Into::into)
        .to_vec();
    // The command line is how the process is recognized later; by default Redis overwrites it.
    args.extend(["--set-proc-title", "no", "--dir"].map(Into::into));
    args.push(dir.into());
    let appendonly = if options.appendonly { "yes" } else { "no" };
    args.extend(["--appendonly", appendonly, "--appendfsync", "always"].map(Into::into));
    args.extend(options.args);
    args
}
