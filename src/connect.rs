//! Connecting: a URL picks the backend among those that are compiled in.

use crate::Bus;
use bus_core::{Backend, Error, ErrorKind, Result};
use std::sync::Arc;
use url::Url;

/// The backends by URL scheme: the feature that compiles each in.
const BACKENDS: [(&str, &str); 3] = [("memory", "memory"), ("kafka", "kafka"), ("redis", "redis")];

impl Bus {
    /// Connects to `memory://`, `memory://name` (shared inside the process), `kafka://host:9092,host2:9092` or
    /// `redis://host:6379`; what a backend accepts behind `?` is in its documentation. Inside a tokio runtime only.
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
    /// - `Unsupported`: the backend is not compiled in; the error names the feature.
    /// - `Unavailable`: nobody answers; the error names the address.
    pub async fn connect(url: &str) -> Result<Self> {
        let backend = backend(url).await?;
        Self::over(backend).await
    }
    /// A bus over a backend of one's own making.
    /// # Errors
    /// What the backend's publisher says.
    pub async fn new(backend: Arc<dyn Backend>) -> Result<Self> {
        Self::over(backend).await
    }
}

async fn backend(url: &str) -> Result<Arc<dyn Backend>> {
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
        "redis" => Ok(Arc::new(
            bus_redis::Redis::connect(bus_redis::RedisConfig::from_url(url)?).await?,
        )),
        other => Err(unknown(other)),
    }
}

/// A URL may hold a password, so the error shows its scheme and host at most.
fn malformed(url: &str) -> Error {
    let shown = Url::parse(url)
        .map(|u| u.scheme().to_owned())
        .unwrap_or_else(|_| "no scheme".to_owned());
    Error::invalid(format!(
        "malformed bus URL ({shown}); write `memory://`, `kafka://host:9092` or `redis://host:6379`"
    ))
}

fn unknown(scheme: &str) -> Error {
    match BACKENDS.iter().find(|(known, _)| *known == scheme) {
        Some((backend, feature)) => Error::new(
            ErrorKind::Unsupported,
            format!("backend `{backend}` is not compiled in; add the `{feature}` feature"),
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
