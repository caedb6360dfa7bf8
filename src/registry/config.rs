//! Where the registry is, and how to talk to it.

use super::{
    Registry,
    http::{Base, Http},
    tls,
};
use bus_core::{Error, Result};
use secrecy::{ExposeSecret, SecretString};
use std::{fmt, path::PathBuf, time::Duration};

/// How to reach a registry. Its `Debug` shows no secrets.
///
/// ```
/// use bus::registry::RegistryConfig;
/// # use std::time::Duration;
/// let registry = RegistryConfig::new("https://registry-1:8081,https://registry-2:8081")
///     .login("billing", "secret")
///     .timeout(Duration::from_secs(5))
///     .build()?;
/// # Ok::<_, bus::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    urls: SecretString,
    user: Option<String>,
    password: Option<SecretString>,
    ca_file: Option<PathBuf>,
    timeout: Duration,
    patience: Duration,
    unknown: Duration,
}

impl RegistryConfig {
    /// A registry at these URLs, with commas between, which are one registry: the next is asked where one cannot be reached, or
    /// is not able to answer. A path is kept (`http://apicurio:8080/apis/ccompat/v7`); a user and a password in a URL
    /// are that URL's.
    pub fn new(urls: impl Into<String>) -> Self {
        Self {
            urls: SecretString::from(urls.into()),
            user: None,
            password: None,
            ca_file: None,
            timeout: Duration::from_secs(5),
            patience: Duration::from_secs(30),
            unknown: Duration::from_secs(300),
        }
    }
    /// Basic authentication, where the URL says none (default: none).
    pub fn login(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self.password = Some(SecretString::from(password.into()));
        self
    }
    /// Certificates (PEM) that the registry's must be signed by, instead of those that the machine trusts.
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }
    /// How long one question to one URL may take (default 5 s: an answer takes milliseconds, and the next URL waits).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
    /// For how long a publish that needs an id tries again while no URL answers (default 30 s, as requests to brokers). A
    /// record that needs a schema waits without a limit.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
    /// For how long a record waits whose schema's id the registry does not know (default 5 minutes: replicas of a registry
    /// lag behind by seconds, and what is no id at all must not hold up its key for ever); then it goes to the dead letters.
    /// `Duration::MAX` never gives up.
    pub fn unknown_ids(mut self, wait: Duration) -> Self {
        self.unknown = wait;
        self
    }
    /// The client. It connects when it is first needed.
    /// # Errors
    /// `Invalid`: no URL, or one that is none; a file of certificates that cannot be read.
    pub fn build(&self) -> Result<Registry> {
        let login = self.user.as_deref().map(|user| {
            let password = self.password.as_ref().map(ExposeSecret::expose_secret);
            (user, password.unwrap_or_default())
        });
        // Any other comma may be one of a password's.
        let urls = self.urls.expose_secret().replace(",http", "\nhttp");
        let urls = urls
            .lines()
            .map(|url| url.trim().trim_end_matches(','))
            .filter(|url| !url.is_empty());
        let bases = urls
            .map(|url| Base::new(url, login))
            .collect::<Result<Vec<_>>>()?;
        if bases.is_empty() {
            return Err(Error::invalid(
                "a schema registry needs a URL, such as `http://localhost:8081`; set `KAFKA_SCHEMA_REGISTRY_URL`",
            ));
        }
        let tls = tls::config(self.ca_file.as_deref(), bases.iter().any(Base::is_secure))?;
        Ok(Registry::over(
            Http::new(bases, tls, self.timeout),
            self.patience,
            self.unknown,
        ))
    }
}

impl crate::Settings {
    /// How to reach the schema registry that these settings name: `KAFKA_SCHEMA_REGISTRY_URL`, and with it
    /// `KAFKA_SCHEMA_REGISTRY_USER`, `…_PASSWORD` and `…_CAFILE`.
    /// # Errors
    /// `Invalid`, with the setting's name: there is none.
    pub fn registry(&self) -> Result<RegistryConfig> {
        let url = self.schema_registry_url().ok_or_else(|| {
            Error::invalid(
                "no schema registry is configured, and this codec needs one; set `KAFKA_SCHEMA_REGISTRY_URL` (\
                 `http://localhost:8081`), or `kafka_schema_registry_url` in the file of settings",
            )
        })?;
        let mut config = RegistryConfig::new(url);
        let (user, password) = self.registry_login();
        match (user, password) {
            (None, Some(_)) => {
                return Err(Error::invalid(
                    "`KAFKA_SCHEMA_REGISTRY_PASSWORD` is set without `KAFKA_SCHEMA_REGISTRY_USER`; set both or none",
                ));
            }
            (Some(user), password) => config = config.login(user, password.unwrap_or_default()),
            (None, None) => {}
        }
        if let Some(file) = self.registry_ca_file() {
            config = config.ca_file(file);
        }
        Ok(config)
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}
