//! What is said of TLS.

use bus_core::{Error, Result};
use std::path::{Path, PathBuf};

/// TLS towards a server: its certificate is checked against an authority and the name in the URL, always.
///
/// ```
/// use bus_redis::{RedisConfig, Tls};
///
/// let tls = Tls::new().ca("/etc/redis/ca.pem").certificate("/etc/billing/cert.pem", "/etc/billing/key.pem");
/// let config = RedisConfig::new("redis.example.org", 6379).tls(tls);
/// ```
///
/// Files are PEM, and read whenever a connection is made: a certificate that was renewed there is used without a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    pub(super) on: bool,
    pub(super) ca: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) server_name: Option<String>,
}

impl Tls {
    /// TLS with the authorities that the operating system trusts, and no certificate of our own.
    pub fn new() -> Self {
        Self {
            on: true,
            ..Self::default()
        }
    }
    /// A file of the authorities that may have signed the server's certificate (default: those that the operating
    /// system trusts, which then do not count).
    pub fn ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Some(path.into());
        self
    }
    /// Files of our own certificate, with those between it and its authority behind it, and of its key without a
    /// passphrase (default: none; a server says with `tls-auth-clients` whether it wants one).
    pub fn certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.certificate = Some(certificate.into());
        self.key = Some(key.into());
        self
    }
    /// The name that the server's certificate must be for (default: the host that is connected to).
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }
    /// Whether there is TLS at all.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }
    /// As the URL's scheme says.
    pub(crate) fn turn(&mut self, on: bool) {
        self.on = on;
    }
    /// Sets one of the options of a URL; an error says what may be written.
    pub(crate) fn set(&mut self, option: &str, value: &str) -> Result<(), &'static str> {
        let path = || match value {
            "" => Err("the path of a PEM file"),
            path => Ok(Some(PathBuf::from(path))),
        };
        match option {
            "tls" if value == "true" => self.on = true,
            "tls" => return Err("`true`, or leave it out"),
            "tls.ca" | "ssl_ca_certs" => self.ca = path()?,
            "tls.cert" | "ssl_certfile" => self.certificate = path()?,
            "tls.key" | "ssl_keyfile" => self.key = path()?,
            "tls.server.name" if value.is_empty() => return Err("a host's name"),
            "tls.server.name" => self.server_name = Some(value.to_owned()),
            // Of redis-py's URLs, where they say what holds here anyway.
            "ssl_cert_reqs" if value == "required" => {}
            "ssl_check_hostname" if value.eq_ignore_ascii_case("true") => {}
            _ => {
                return Err(
                    "`required` or `true`, or leave it out: certificates are always checked; `tls.ca` names the \
                     authority of one that the system does not trust",
                );
            }
        }
        Ok(())
    }
    /// The name of an option of a URL, if it is about TLS.
    pub(crate) const OPTIONS: [&str; 10] = [
        "tls",
        "tls.ca",
        "tls.cert",
        "tls.key",
        "tls.server.name",
        "ssl_ca_certs",
        "ssl_certfile",
        "ssl_keyfile",
        "ssl_cert_reqs",
        "ssl_check_hostname",
    ];
    /// Whether it fits together.
    pub(super) fn check(&self) -> Result<()> {
        let given = |path: &Option<PathBuf>| path.as_deref().map(Path::display).map(|path| path.to_string());
        let options = [
            ("tls.ca", given(&self.ca)),
            ("tls.cert", given(&self.certificate)),
            ("tls.key", given(&self.key)),
            ("tls.server.name", self.server_name.clone()),
        ];
        let first = options
            .iter()
            .find_map(|(name, value)| Some((name, value.as_ref()?)));
        if let Some((name, value)) = first
            && !self.on
        {
            return Err(Error::invalid(format!(
                "`{name}` is `{value}`, which needs TLS; write `rediss://` in the URL, or leave it out"
            )));
        }
        match (&self.certificate, &self.key) {
            (Some(_), None) => Err(Error::invalid(
                "`tls.cert` needs `tls.key` too: a certificate and its key go together",
            )),
            (None, Some(_)) => Err(Error::invalid(
                "`tls.key` needs `tls.cert` too: a certificate and its key go together",
            )),
            _ => Ok(()),
        }
    }
}
