//! Connecting: a URL picks the backend among those that are compiled in.

use crate::Bus;
#[cfg(feature = "settings")]
use crate::Settings;
use bus_core::{Backend, Defaults, Error, ErrorKind, Result};
use std::sync::Arc;
use url::Url;

/// The backends by URL scheme; a backend's name is that of the feature that compiles it in.
const BACKENDS: [(&str, &str); 6] = [
    ("memory", "memory"),
    ("kafka", "kafka"),
    ("redis", "redis"),
    ("rediss", "redis"),
    ("redis-cluster", "redis"),
    ("redis-sentinel", "redis"),
];

impl Bus {
    /// Connects to `memory://`, `memory://name` (shared inside the process), `kafka://host:9092,host2:9092` or
    /// `redis://host:6379`, to the primary that sentinels know, `redis-sentinel://host:26379,host2:26379/primary`, or to a
    /// cluster, `redis-cluster://host:6379,host2:6379`; what a backend accepts behind `?` is in its documentation. Inside a
    /// tokio runtime only.
    ///
    /// ```
    /// # #[cfg(feature = "memory")]
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let bus = bus::Bus::connect("memory://").await?;
    /// assert!(bus.health().is_ok());
    /// # Ok::<_, bus::Error>(()) }).unwrap();
    /// ```
    /// # Errors
    /// - `Invalid`: the URL is malformed, or an option is unknown.
    /// - `Unsupported`: the backend is not compiled in; the error names the feature. Or it cannot do what the URL asks for.
    /// - `Unavailable`: nobody answers; the error names the address.
    pub async fn connect(url: &str) -> Result<Self> {
        let backend = backend(url).await?;
        Self::over(backend, Defaults::default()).await
    }
    /// A bus over a backend of one's own making.
    /// # Errors
    /// What the backend's publisher says.
    pub async fn new(backend: Arc<dyn Backend>) -> Result<Self> {
        Self::over(backend, Defaults::default()).await
    }
    /// A bus that is switched off: see [`bus_core::Bus::disabled`]. Inside a tokio runtime only.
    /// # Errors
    /// None that is known.
    pub async fn disabled() -> Result<Self> {
        Ok(Self::of(bus_core::Bus::disabled().await?))
    }
    /// Connects where the process's environment, and a `.env` file, say: `BUS_URL`, or `BUS_BACKEND` with `KAFKA_…` or
    /// `REDIS_URL`. See [`settings`](crate::settings). Inside a tokio runtime only.
    /// # Errors
    /// `Invalid` for settings that are wrong, missing or ambiguous; else as [`connect`](Self::connect).
    #[cfg(feature = "settings")]
    pub async fn from_env() -> Result<Self> {
        Self::from_settings(&Settings::from_env()?).await
    }
    /// Connects where the settings say, or to nothing where they say `enabled = false`. Inside a tokio runtime only.
    /// # Errors
    /// As [`from_env`](Self::from_env).
    #[cfg(feature = "settings")]
    pub async fn from_settings(settings: &Settings) -> Result<Self> {
        settings.check()?;
        if let Some(note) = settings.note() {
            tracing::info!("{note}");
        }
        let bus = if settings.is_enabled() {
            Self::over(settings.connect().await?, settings.defaults()).await?
        } else {
            Self::disabled().await?
        };
        Ok(bus.with_settings(settings))
    }
}

pub(crate) async fn backend(url: &str) -> Result<Arc<dyn Backend>> {
    let scheme = url
        .split_once("://")
        .map(|(scheme, _)| scheme)
        .ok_or_else(|| malformed(url))?;
    match scheme {
        #[cfg(feature = "memory")]
        "memory" => Ok(Arc::new(bus_memory::Memory::from_url(url)?)),
        #[cfg(feature = "kafka")]
        "kafka" => Ok(Arc::new(
            bus_kafka::Kafka::connect(bus_kafka::KafkaConfig::from_url(url)?).await?,
        )),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis-cluster" | "redis-sentinel" => Ok(Arc::new(
            bus_redis::Redis::connect(bus_redis::RedisConfig::from_url(url)?).await?,
        )),
        other => Err(unknown(other)),
    }
}

/// A URL may hold a password, so the error shows its scheme and host at most.
pub(crate) fn malformed(url: &str) -> Error {
    let shown = Url::parse(url)
        .map(|u| u.scheme().to_owned())
        .unwrap_or_else(|_| "no scheme".to_owned());
    Error::invalid(format!(
        "malformed bus URL ({shown}); write `memory://`, `kafka://host:9092` or `redis://host:6379`"
    ))
}

pub(crate) fn unknown(scheme: &str) -> Error {
    match BACKENDS.iter().find(|(known, _)| *known == scheme) {
        Some((_, backend)) => Error::new(
            ErrorKind::Unsupported,
            format!("backend `{backend}` is not compiled in; add the `{backend}` feature"),
        ),
        None => {
            let known: Vec<_> = BACKENDS
                .iter()
                .map(|(scheme, _)| format!("`{scheme}://`"))
                .collect();
            Error::invalid(format!(
                "no backend is named `{scheme}`; a bus URL begins with {}",
                known.join(", ")
            ))
        }
    }
}
