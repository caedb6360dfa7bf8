//! A private Kafka.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::daemon::Daemon;
use super::{KafkaOptions, Place};
use crate::error::{Doing, Result};
use crate::install::{self, KAFKA_VERSION};
use crate::probe;
use crate::process::Launch;

/// Any 16 bytes do, as long as the format step and the broker agree: each cluster is alone on its ports.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// A Kafka of the caller's own, one node. Dropping it kills the server and removes its data.
#[derive(Debug)]
pub struct Kafka {
    daemon: Daemon,
}

impl Kafka {
    /// Starts one on free ports of 127.0.0.1 and waits until topics can be created. Blocks for about 4 s on an idle
    /// machine, and takes about 350 MB of memory; longer when Kafka has to be downloaded first.
    ///
    /// # Errors
    ///
    /// When Java or Kafka cannot be installed, or the server does not come up.
    pub fn start(options: KafkaOptions) -> Result<Self> {
        Self::start_at(Place::private(2)?, &options.quick_restart())
    }

    pub(crate) fn start_at(place: Place, options: &KafkaOptions) -> Result<Self> {
        let program = install::ensure_program("java", "default-jre-headless")?;
        let libs = install::kafka_libs()?;
        let file = place.dir.join("server.properties");
        let text = options.file(
            (place.ports[0].port, place.ports[1].port),
            &place.dir.join("data"),
        );
        std::fs::write(&file, text).doing(|| format!("writing {}", file.display()))?;

        let class_path = libs.join("*").into_os_string();
        let mut format = Command::new(&program);
        format.arg("-cp").arg(&class_path).args([
            "kafka.tools.StorageTool",
            "format",
            "-t",
            CLUSTER_ID,
            "-c",
        ]);
        install::run(format.arg(&file).current_dir(&place.dir))?;

        let address = place.address(0);
        let args = args(class_path, &file);
        let launch = Launch {
            program,
            args,
            dir: place.dir.clone(),
            marker: file.display().to_string(),
        };
        let asked = address.clone();
        let ready =
            Box::new(move || probe::kafka_brokers(&asked).map(|_| format!("Apache Kafka {KAFKA_VERSION}")));
        Ok(Self {
            daemon: Daemon::start("kafka", address, launch, place, ready)?,
        })
    }

    /// Its address, `127.0.0.1:port`. It stays the same over every restart.
    pub fn address(&self) -> &str {
        self.daemon.address()
    }

    /// Its version, such as `Apache Kafka 4.3.0`.
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

    /// Ends it as an operator would (SIGTERM), with its logs written out; returns when it is gone.
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

    /// Starts it again on the same ports with the same data, after ending it if it still runs; returns when it
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

fn args(class_path: OsString, file: &Path) -> Vec<OsString> {
    // The heap is what one test broker needs; the log level is for whoever has to read why it did not start.
    let mut args: Vec<OsString> = ["-Xms384m", "-Xmx512m", "-Dlog4j2.level=INFO", "-cp"]
        .map(Into::into)
        .to_vec();
    args.extend([class_path, "kafka.Kafka".into(), file.into()]);
    args
}
