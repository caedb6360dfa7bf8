//! Who we are to a server, and whom we take it for: TLS, certificates, user and password.

#[cfg(feature = "tls")]
mod connector;
mod file;
mod password;
#[cfg(feature = "tls")]
mod pem;
pub(crate) mod probe;
mod refusal;
mod source;
mod tls;

pub use password::Password;
pub use tls::Tls;

pub(crate) use refusal::{explain, names_plain, speaks_plain, wants_tls};
pub(crate) use source::PasswordSource;

use crate::{RedisConfig, servers::Host, wire::Stream};
use bus_core::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpStream;

/// How every connection of a backend is secured.
#[derive(Debug)]
pub(crate) struct Security {
    user: Option<String>,
    password: Option<PasswordSource>,
    #[cfg(feature = "tls")]
    tls: Option<connector::Connector>,
    /// A connection was made before.
    worked: AtomicBool,
}

impl Security {
    /// What the settings say of it.
    /// # Errors
    /// `Invalid` where they contradict each other, `Unsupported` for TLS that is not compiled in.
    pub(crate) fn new(config: &RedisConfig) -> Result<Self> {
        config.tls.check()?;
        #[cfg(not(feature = "tls"))]
        if config.tls.is_on() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "TLS (`rediss://`) is not compiled in; add the `redis-tls` feature of `bus`, or `tls` of `bus-redis`",
            ));
        }
        Ok(Self {
            user: config.user.clone(),
            password: config.password.clone(),
            #[cfg(feature = "tls")]
            tls: config
                .tls
                .is_on()
                .then(|| connector::Connector::new(config.tls.clone())),
            worked: AtomicBool::new(false),
        })
    }
    /// Whether connections are encrypted.
    pub(crate) fn has_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        return false;
    }
    /// The handshake, where there is one.
    pub(crate) async fn secure(&self, host: &Host, stream: TcpStream) -> Result<Stream> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.connect(host, stream).await.map_err(|e| self.again(e));
        }
        let _ = host;
        Ok(Stream::Plain(stream))
    }
    /// The ACL user.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }
    /// The password, asked for each time: it may have been changed.
    pub(crate) async fn password(&self) -> Result<Option<Password>> {
        match &self.password {
            Some(source) => source.password().await.map(Some).map_err(|error| match source {
                PasswordSource::File(_) => self.again(error),
                _ => error,
            }),
            None => Ok(None),
        }
    }
    /// A connection was made.
    pub(crate) fn worked(&self) {
        self.worked.store(true, Ordering::Relaxed);
    }
    /// Whether a connection was made before.
    pub(crate) fn has_worked(&self) -> bool {
        self.worked.load(Ordering::Relaxed)
    }
    /// Files that were good before are in the middle of being replaced: they are looked at again.
    fn again(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Invalid if self.has_worked() => error.transient(true),
            _ => error,
        }
    }
    /// Whether the password may be another one the next time.
    pub(crate) fn is_renewable(&self) -> bool {
        self.password.as_ref().is_some_and(PasswordSource::is_renewable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE: &str = "/nowhere/of/the/bus";

    #[tokio::test]
    async fn files_that_are_missing_are_looked_at_again_once_they_were_good() {
        let security = Security::new(&RedisConfig::new("h", 1).password_file(GONE)).unwrap();
        for before in [false, true] {
            let error = security.password().await.unwrap_err();
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Invalid, before));
            security.worked();
        }
        // What the application says stands.
        let asked = RedisConfig::new("h", 1).password_from(|| async { Err(Error::invalid("no")) });
        let security = Security::new(&asked).unwrap();
        security.worked();
        assert!(!security.password().await.unwrap_err().is_transient());
    }

    #[cfg(feature = "tls")]
    #[tokio::test]
    async fn certificates_that_are_missing_are_looked_at_again_once_they_were_good() {
        let config = RedisConfig::new("127.0.0.1", 1).tls(Tls::new().ca(GONE));
        let security = Security::new(&config).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        for before in [false, true] {
            let stream = TcpStream::connect(at).await.unwrap();
            let error = security.secure(&Host::new("127.0.0.1", 1), stream).await;
            let error = error.map(|_| ()).unwrap_err();
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Invalid, before));
            security.worked();
        }
    }
}
