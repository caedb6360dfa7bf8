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

pub(crate) use refusal::{explain, speaks_plain, wants_tls};
pub(crate) use source::PasswordSource;

use crate::{RedisConfig, servers::Host, wire::Stream};
use bus_core::Result;
use tokio::net::TcpStream;

/// How every connection of a backend is secured.
#[derive(Debug)]
pub(crate) struct Security {
    user: Option<String>,
    password: Option<PasswordSource>,
    #[cfg(feature = "tls")]
    tls: Option<connector::Connector>,
}

impl Security {
    /// What the settings say of it.
    /// # Errors
    /// `Invalid` where they contradict each other, `Unsupported` for TLS that is not compiled in.
    pub(crate) fn new(config: &RedisConfig) -> Result<Self> {
        config.tls.check()?;
        #[cfg(not(feature = "tls"))]
        if config.tls.is_on() {
            return Err(bus_core::Error::new(
                bus_core::ErrorKind::Unsupported,
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
            return tls.connect(host, stream).await;
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
            Some(source) => source.password().await.map(Some),
            None => Ok(None),
        }
    }
    /// Whether the password may be another one the next time.
    pub(crate) fn is_renewable(&self) -> bool {
        self.password.as_ref().is_some_and(PasswordSource::is_renewable)
    }
}
