//! A private schema registry.

use std::net::SocketAddr;
use std::ops::Deref;

use crate::certificates::Certificate;
use crate::error::Result;
use crate::install::{self, APICURIO_VERSION};
use crate::native::{Daemon, Place};
use crate::probe;
use crate::process::Launch;

/// Where Apicurio speaks the protocol of Confluent's registry.
pub(crate) const PATH: &str = "/apis/ccompat/v7";

/// A schema registry of the caller's own: Apicurio, with its schemas in memory, so that a restart forgets them. It can be killed,
/// paused and restarted as the [`Daemon`] that it is; dropping it removes it.
#[derive(Debug)]
pub struct SchemaRegistry {
    daemon: Daemon,
    socket: SocketAddr,
    tls_socket: Option<SocketAddr>,
}

impl SchemaRegistry {
    /// Starts one on a free port of 127.0.0.1 and waits until it answers. Blocks for about 4 s; longer when it has to be
    /// installed first, or the machine is busy.
    ///
    /// # Errors
    ///
    /// When the server cannot be installed or does not come up.
    pub fn start() -> Result<Self> {
        Self::start_at(Place::private(1)?, None)
    }

    /// The same with a port for HTTPS beside it, where it shows this certificate.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_tls(shown: &Certificate) -> Result<Self> {
        Self::start_at(Place::private(2)?, Some(shown))
    }

    pub(crate) fn start_at(place: Place, shown: Option<&Certificate>) -> Result<Self> {
        let program = install::ensure_program("java", "default-jre-headless")?;
        let jar = install::apicurio()?;
        let socket = place.socket(0);
        let url = format!("http://{}{PATH}", place.address(0));
        let marker = format!("-Dbus.place={}", place.dir.display());
        let mut args: Vec<std::ffi::OsString> = [
            "-Xmx384m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            &marker,
            "-Dquarkus.http.host=127.0.0.1",
        ]
        .map(Into::into)
        .to_vec();
        args.push(format!("-Dquarkus.http.port={}", socket.port()).into());
        let tls_socket = shown.map(|_| place.socket(1));
        if let (Some(shown), Some(socket)) = (shown, tls_socket) {
            let setting = |name: &str, value: std::path::Display<'_>| {
                format!("-Dquarkus.http.ssl.certificate.{name}={value}").into()
            };
            args.extend([
                setting("files", shown.certificate.display()),
                setting("key-files", shown.key.display()),
                format!("-Dquarkus.http.ssl-port={}", socket.port()).into(),
            ]);
        }
        args.extend(["-jar".into(), jar.into_os_string()]);
        let launch = Launch {
            program,
            args,
            environment: Vec::new(),
            dir: place.dir.clone(),
            marker,
        };
        let asked = url.clone();
        let ready = Box::new(move || {
            probe::registry(&asked).map(|()| format!("Apicurio Registry {APICURIO_VERSION}"))
        });
        let daemon = Daemon::start("registry", url, launch, place, ready)?;
        Ok(Self {
            daemon,
            socket,
            tls_socket,
        })
    }

    /// Its URL, path included, as clients of Confluent's registry take it. It stays the same over every restart.
    pub fn url(&self) -> &str {
        self.daemon.address()
    }

    /// The same as a socket address: what a proxy before it forwards to.
    pub fn socket(&self) -> SocketAddr {
        self.socket
    }

    /// Its URL with TLS, by this name of it, if it was [started](Self::start_tls) with it.
    pub fn tls_url(&self, host: &str) -> Option<String> {
        let socket = self.tls_socket?;
        Some(format!("https://{host}:{}{PATH}", socket.port()))
    }

    /// Lets go of it without stopping it.
    pub(crate) fn keep(self) -> Result<()> {
        self.daemon.keep()
    }
}

impl Deref for SchemaRegistry {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}
