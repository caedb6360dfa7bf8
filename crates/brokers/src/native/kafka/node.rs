//! A private Kafka of one node, or one node of several.

use std::ffi::OsString;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;

use super::{KafkaOptions, Listeners};
use crate::error::{Doing, Error, Result};
use crate::install::{self, KAFKA_VERSION};
use crate::native::{Daemon, Place};
use crate::preload::Clock;
use crate::probe;
use crate::process::Launch;

/// Any 16 bytes do, as long as the format step and the broker agree: each cluster is alone on its ports.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";
/// For clients, for controllers, for brokers among themselves.
const PORTS: usize = 3;

/// A Kafka of the caller's own, one node. It can be killed, paused and restarted as the [`Daemon`] that it is;
/// dropping it removes it.
#[derive(Debug)]
pub struct Kafka {
    daemon: Daemon,
    inner: String,
    /// The further listeners: name and address.
    listeners: Vec<(String, String)>,
}

impl Kafka {
    /// Starts one on free ports of 127.0.0.1 and waits until topics can be created. Blocks for about 4 s on an idle
    /// machine, and takes about 350 MB of memory; longer when Kafka has to be downloaded first.
    ///
    /// # Errors
    ///
    /// When Java or Kafka cannot be installed, or the server does not come up.
    pub fn start(options: KafkaOptions) -> Result<Self> {
        let place = Place::private(PORTS + options.listeners.len())?;
        let voters = Self::voter(1, &place);
        Self::start_at(place, options.quick_restart(), 1, voters)
    }

    pub(crate) fn start_shared(place: Place) -> Result<Self> {
        let voters = Self::voter(1, &place);
        Self::start_at(place, KafkaOptions::new(), 1, voters)
    }

    pub(crate) fn private_place() -> Result<Place> {
        Place::private(PORTS)
    }

    /// One entry of `controller.quorum.voters`.
    pub(super) fn voter(id: u32, place: &Place) -> String {
        format!("{id}@{}", place.address(1))
    }

    pub(super) fn start_at(mut place: Place, options: KafkaOptions, id: u32, voters: String) -> Result<Self> {
        if let Some(megabytes) = options.disk {
            place.mount(megabytes)?;
        }
        let program = install::ensure_program("java", "default-jre-headless")?;
        let class_path = install::kafka_libs()?.join("*").into_os_string();
        let file = place.dir.join("server.properties");
        let listeners = Listeners {
            id,
            bind: "127.0.0.1".into(),
            advertised: options.advertised.clone().unwrap_or_else(|| place.address(0)),
            ports: [0, 1, 2].map(|port| place.ports[port].port),
            more: place.ports[PORTS..].iter().map(|lease| lease.port).collect(),
            voters,
        };
        let text = options.file(&listeners, &place.data());
        std::fs::write(&file, text).doing(|| format!("writing {}", file.display()))?;
        format(&program, &class_path, &file, &place.dir, &options)?;

        let launch = Launch {
            program,
            args: args(class_path, &file, options.heap),
            environment: options.clock.as_ref().map(Clock::environment).unwrap_or_default(),
            dir: place.dir.clone(),
            marker: file.display().to_string(),
        };
        let named = options.listeners.iter().zip(&listeners.more);
        let named = named.map(|(listener, port)| {
            (
                listener.name().to_owned(),
                format!("{}:{port}", super::listener::HOST),
            )
        });
        let named = named.collect();
        let inner = place.address(2);
        let asked = inner.clone();
        let ready =
            Box::new(move || probe::kafka_brokers(&asked).map(|_| format!("Apache Kafka {KAFKA_VERSION}")));
        let daemon = Daemon::start("kafka", place.address(0), launch, place, ready)?;
        Ok(Self {
            daemon,
            inner,
            listeners: named,
        })
    }

    /// Where it listens for clients, `127.0.0.1:port`: what a proxy before it forwards to. It stays the same over every
    /// restart.
    pub fn address(&self) -> &str {
        self.daemon.address()
    }

    /// A way around the proxy, for whoever observes: the listener that brokers use among themselves, whose metadata
    /// name no proxy either.
    pub fn inner_address(&self) -> &str {
        &self.inner
    }

    /// Where the further listener of this name is, `localhost:port`: a name, because certificates are about names.
    ///
    /// # Errors
    ///
    /// When it was started without one.
    pub fn listener(&self, name: &str) -> Result<&str> {
        let found = self.listeners.iter().find(|(there, _)| there == name);
        found
            .map(|(_, address)| &**address)
            .ok_or_else(|| Error::State(format!("there is no listener {name}")))
    }

    /// Lets go of it without stopping it.
    pub(crate) fn keep(self) -> Result<()> {
        self.daemon.keep()
    }
}

impl Deref for Kafka {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

/// Makes the data folder, which a broker refuses to do by itself.
fn format(
    program: &Path,
    class_path: &OsString,
    file: &Path,
    dir: &Path,
    options: &KafkaOptions,
) -> Result<()> {
    let mut format = Command::new(program);
    format
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(class_path);
    format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]);
    format.arg(file);
    for (name, password) in &options.users {
        for mechanism in super::listener::SCRAM {
            let user = format!("{mechanism}=[name={name},password={password}]");
            format.args(["--add-scram", &user]);
        }
    }
    install::run(format.current_dir(dir)).map(drop)
}

fn args(class_path: OsString, file: &Path, heap: u32) -> Vec<OsString> {
    // The log level is for whoever has to read why it did not start.
    let heap = format!("-Xmx{heap}m");
    let mut args: Vec<OsString> = ["-Xms128m", &heap, "-Dlog4j2.level=INFO", "-cp"]
        .map(Into::into)
        .to_vec();
    args.extend([class_path, "kafka.Kafka".into(), file.into()]);
    args
}
