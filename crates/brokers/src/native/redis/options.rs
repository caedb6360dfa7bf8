//! What a private Redis is started with.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::certificates::{Authority, Certificate};
use crate::preload::Clock;

/// Which Redis to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RedisVersion {
    /// The oldest that is supported: 7.0, or whatever newer one `redis-server` on `PATH` is.
    #[default]
    V7,
    /// 8.2.
    V8,
}

/// When commands are forced to the disk (`appendfsync`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fsync {
    /// Before each reply.
    Always,
    /// Once a second: a power loss takes what was acknowledged in the last one or two.
    EverySecond,
}

/// The file of a sentinel, in its data.
pub(super) const SENTINEL_FILE: &str = "sentinel.conf";

/// How to start a private Redis.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    pub(super) version: RedisVersion,
    fsync: Option<Fsync>,
    primary: Option<SocketAddr>,
    args: Vec<OsString>,
    pub(super) password: Option<String>,
    pub(super) tls: Option<Tls>,
    /// Servers find each other at their TLS ports.
    pub(super) tls_between: bool,
    pub(super) clock: Option<Clock>,
    pub(super) disk: Option<u32>,
    pub(super) power_loss: bool,
    /// What it watches as a sentinel, and how many of them have to agree.
    watched: Option<(String, SocketAddr, usize)>,
    /// A node of a cluster, which needs a second port.
    pub(super) cluster: bool,
}

/// What a TLS port shows and asks for.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    authority: PathBuf,
    server: Certificate,
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

    /// Writes every command to disk before its reply ([`Fsync::Always`]), so that what was acknowledged survives a
    /// kill. Off where nothing is said: most tests do not kill, and it is slower.
    pub fn appendonly(mut self, on: bool) -> Self {
        self.fsync = on.then_some(Fsync::Always);
        self
    }

    /// Writes every command to disk, forced there as often as said.
    pub fn fsync(mut self, when: Fsync) -> Self {
        self.fsync = Some(when);
        self
    }

    /// Opens a second port, which speaks TLS and shows that certificate ([`Redis::tls_socket`](super::Redis::tls_socket)).
    /// It trusts the same authority, and asks nobody for a certificate unless `tls-auth-clients` is set. 7.0 only: the
    /// build of 8.2 has no TLS.
    pub fn tls(mut self, authority: &Authority, server: &Certificate) -> Self {
        self.tls = Some(Tls {
            authority: authority.file().to_owned(),
            server: server.clone(),
        });
        self
    }

    /// Several servers speak TLS with each other too: replicas and sentinels with their primary, the nodes of a cluster. They
    /// then name each other's TLS ports to clients. Of use with [`tls`](Self::tls) only.
    pub fn tls_between(mut self) -> Self {
        self.tls_between = true;
        self.setting("tls-replication", "yes")
            .setting("tls-cluster", "yes")
    }

    /// Gives the `default` user a password.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// An ACL user, as behind `ACL SETUSER`: `billing on >password ~* &* +@all`.
    pub fn user(self, rule: &str) -> Self {
        rule.split(' ')
            .fold(self.arg("--user"), |options, word| options.arg(word))
    }

    /// One more setting, such as `maxmemory` and `20mb`; it wins over what is set already.
    pub fn setting(self, name: &str, value: &str) -> Self {
        self.arg(format!("--{name}")).arg(value)
    }

    /// One more word of the command line.
    pub fn arg(mut self, word: impl Into<OsString>) -> Self {
        self.args.push(word.into());
        self
    }

    /// Makes it a replica of the server at that address, which may be a proxy's.
    pub fn replica_of(mut self, primary: SocketAddr) -> Self {
        self.primary = Some(primary);
        self
    }

    /// Makes it a sentinel that watches the primary at that address under that name. `quorum` of them have to agree that
    /// it is gone, which they find after half a second.
    pub(super) fn sentinel_of(mut self, name: &str, primary: SocketAddr, quorum: usize) -> Self {
        self.watched = Some((name.into(), primary, quorum));
        self
    }

    /// Makes it a node of a cluster, which finds it gone after two seconds without a word of it.
    pub(super) fn cluster(mut self) -> Self {
        self.cluster = true;
        self.setting("cluster-enabled", "yes")
            .setting("cluster-node-timeout", "2000")
    }

    /// Puts it under a wall clock that can be moved.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// Puts its data on a small disk of that many megabytes (needs root), see [`Disk`](crate::Disk).
    pub fn disk(mut self, megabytes: u32) -> Self {
        self.disk = Some(megabytes);
        self
    }

    /// Keeps account of what is on the disk for certain, so that [`Redis::lose_power`](super::Redis::lose_power) can
    /// take the rest. The append-only file is not rewritten then.
    pub fn power_loss(mut self) -> Self {
        self.power_loss = true;
        self
    }

    /// What a sentinel reads, and writes again with what it has learned.
    pub(super) fn file(&self, port: u16, data: &Path) -> Option<String> {
        let (name, primary, quorum) = self.watched.as_ref()?;
        let (host, at, data) = (primary.ip(), primary.port(), data.display());
        Some(format!(
            "port {port}\nbind 127.0.0.1\nset-proc-title no\ndir {data}\n\
             sentinel monitor {name} {host} {at} {quorum}\n\
             sentinel down-after-milliseconds {name} 500\nsentinel failover-timeout {name} 5000\n"
        ))
    }

    fn tls_words(&self, port: Option<u16>) -> Vec<OsString> {
        let (Some(tls), Some(port)) = (&self.tls, port) else {
            return Vec::new();
        };
        let mut words: Vec<OsString> = vec!["--tls-port".into(), port.to_string().into()];
        words.extend(["--tls-auth-clients", "no"].map(Into::into));
        for (name, file) in [
            ("--tls-ca-cert-file", &tls.authority),
            ("--tls-cert-file", &tls.server.certificate),
            ("--tls-key-file", &tls.server.key),
        ] {
            words.extend([name.into(), file.clone().into_os_string()]);
        }
        words
    }

    pub(super) fn words(self, port: u16, tls_port: Option<u16>, data: &Path) -> Vec<OsString> {
        if self.watched.is_some() {
            let mut words = vec![data.join(SENTINEL_FILE).into(), "--sentinel".into()];
            // As a word of its own: this is how the process is recognized.
            words.extend(["--dir".into(), data.into()]);
            words.extend(self.tls_words(tls_port));
            words.extend(self.args);
            return words;
        }
        let port = port.to_string();
        // The command line is how the process is recognized later; by default Redis overwrites it.
        let fixed = [
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--set-proc-title",
            "no",
            "--dir",
        ];
        let mut words: Vec<OsString> = fixed.map(Into::into).to_vec();
        words.push(data.into());
        let (appendonly, when) = match self.fsync {
            None => ("no", "always"),
            Some(Fsync::Always) => ("yes", "always"),
            Some(Fsync::EverySecond) => ("yes", "everysec"),
        };
        words.extend(["--appendonly", appendonly, "--appendfsync", when].map(Into::into));
        // A replica of a test need not wait for others that might want the same copy.
        words.extend(["--repl-diskless-sync-delay", "0"].map(Into::into));
        if let Some(primary) = self.primary {
            let (host, port) = (primary.ip().to_string(), primary.port().to_string());
            words.extend(["--replicaof", &host, &port].map(Into::into));
        }
        if let Some(password) = &self.password {
            words.extend(["--requirepass", password].map(Into::into));
        }
        words.extend(self.tls_words(tls_port));
        if self.power_loss {
            words.extend(["--auto-aof-rewrite-percentage", "0"].map(Into::into));
        }
        words.extend(self.args);
        words
    }
}
