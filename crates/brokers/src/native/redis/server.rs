//! A private Redis.

use std::net::SocketAddr;
use std::ops::Deref;

use super::{RedisOptions, RedisVersion, options::SENTINEL_FILE};
use crate::error::{Doing, Error, Result};
use crate::native::{Daemon, Place};
use crate::preload::{Clock, Synced, preload};
use crate::process::Launch;
use crate::{install, probe};

/// A Redis of the caller's own. It can be killed, paused and restarted as the [`Daemon`] that it is; dropping it
/// removes it.
#[derive(Debug)]
pub struct Redis {
    daemon: Daemon,
    url: String,
    socket: SocketAddr,
    tls_socket: Option<SocketAddr>,
    password: Option<String>,
    /// What other servers, and whoever is sent on by them, find it at.
    pub(super) peer: SocketAddr,
    /// Where the other nodes of a cluster reach it.
    pub(super) bus: Option<u16>,
    synced: Option<Synced>,
}

impl Redis {
    /// Starts one on a free port of 127.0.0.1 and waits until it answers. Blocks for about 50 ms; longer when the
    /// server has to be installed first.
    ///
    /// # Errors
    ///
    /// When the server cannot be installed or does not come up.
    pub fn start(options: RedisOptions) -> Result<Self> {
        let ports = 1 + usize::from(options.tls.is_some()) + usize::from(options.cluster);
        Self::start_at(Place::private(ports)?, options)
    }

    pub(crate) fn start_at(mut place: Place, options: RedisOptions) -> Result<Self> {
        if let Some(megabytes) = options.disk {
            place.mount(megabytes)?;
        }
        let data = place.data();
        std::fs::create_dir_all(&data).doing(|| format!("creating {}", data.display()))?;
        let program = match options.version {
            RedisVersion::V7 => install::redis_server()?,
            RedisVersion::V8 => install::redis_server_8()?,
        };
        let synced = options.power_loss.then(|| Synced::new(&place.dir)).transpose()?;
        let environment = environment(options.clock.as_ref(), synced.as_ref());
        let bus = options
            .cluster
            .then(|| place.socket(1 + usize::from(options.tls.is_some())).port());
        let (url, socket) = (format!("redis://{}", place.address(0)), place.socket(0));
        let tls_socket = options.tls.as_ref().map(|_| place.socket(1));
        let peer = tls_socket.filter(|_| options.tls_between).unwrap_or(socket);
        let password = options.password.clone();
        if let Some(text) = options.file(socket.port(), &data) {
            let file = data.join(SENTINEL_FILE);
            std::fs::write(&file, text).doing(|| format!("writing {}", file.display()))?;
        }
        let tls_port = tls_socket.map(|socket| socket.port());
        let launch = Launch {
            program,
            args: match bus {
                None => options.words(socket.port(), tls_port, &data),
                Some(bus) => {
                    options
                        .setting("cluster-port", &bus.to_string())
                        .words(socket.port(), tls_port, &data)
                }
            },
            environment,
            dir: place.dir.clone(),
            marker: data.display().to_string(),
        };
        let asked = with(password.as_deref(), socket);
        let ready = Box::new(move || probe::redis_version(&asked).map(|v| format!("Redis {v}")));
        let daemon = Daemon::start("redis", url.clone(), launch, place, ready)?;
        Ok(Self {
            daemon,
            url,
            socket,
            tls_socket,
            password,
            peer,
            bus,
            synced,
        })
    }

    /// Its address, `redis://127.0.0.1:port`. It stays the same over every restart.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same as a socket address: what a proxy before it forwards to.
    pub fn socket(&self) -> SocketAddr {
        self.socket
    }

    /// Where it speaks TLS, if it was started with [`RedisOptions::tls`].
    ///
    /// # Errors
    ///
    /// When it was not.
    pub fn tls_socket(&self) -> Result<SocketAddr> {
        let none = || Error::State("start this Redis with RedisOptions::tls()".into());
        self.tls_socket.ok_or_else(none)
    }

    /// One command on a connection of its own; the reply as text, the elements of an array in lines, empty for
    /// nothing.
    ///
    /// # Errors
    ///
    /// When the server refuses it or does not answer within two seconds.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        let reply = probe::redis_ask(&with(self.password.as_deref(), self.socket), words);
        reply.map_err(|why| Error::State(format!("redis at {}: {}: {why}", self.url, words.join(" "))))
    }

    /// One line of `INFO`, such as `run_id` or `master_link_status`.
    ///
    /// # Errors
    ///
    /// When the server does not answer, or `INFO` has no such line.
    pub fn info(&self, name: &str) -> Result<String> {
        let all = self.ask(&["INFO", "everything"])?;
        let mut lines = all.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find_map(|(key, value)| (key == name).then(|| value.trim().to_owned()));
        found.ok_or_else(|| Error::State(format!("INFO of redis at {} has no {name}", self.url)))
    }

    /// Kills it and takes from its append-only files what was never forced to the disk: what a power loss takes at
    /// worst. Returns how many bytes went; `restart` starts it from what is left.
    ///
    /// # Errors
    ///
    /// When it was not started with [`RedisOptions::power_loss`], does not die, or a file cannot be cut.
    pub fn lose_power(&self) -> Result<u64> {
        let Some(synced) = &self.synced else {
            return Err(Error::State(
                "start this Redis with RedisOptions::power_loss()".into(),
            ));
        };
        self.kill9()?;
        synced.cut(&self.daemon.data().join("appendonlydir"))
    }

    /// Lets go of it without stopping it.
    pub(crate) fn keep(self) -> Result<()> {
        self.daemon.keep()
    }
}

impl Deref for Redis {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

/// The address as the `default` user has it.
fn with(password: Option<&str>, socket: SocketAddr) -> String {
    match password {
        Some(password) => format!("redis://:{password}@{socket}"),
        None => format!("redis://{socket}"),
    }
}

fn environment(
    clock: Option<&Clock>,
    synced: Option<&Synced>,
) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    let libraries: Vec<_> = clock
        .map(Clock::library)
        .into_iter()
        .chain(synced.map(Synced::library))
        .collect();
    let loaded = preload(&libraries).into_iter();
    loaded
        .chain(clock.map(Clock::variable))
        .chain(synced.map(Synced::variable))
        .collect()
}
