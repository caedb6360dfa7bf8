//! Which backend settings ask for.

use super::{Settings, kind::choice, value::Given};
use bus_core::{Error, Result};

/// A backend, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendName {
    /// In this process.
    Memory,
    /// Apache Kafka.
    Kafka,
    /// Redis Streams.
    Redis,
}

impl BackendName {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Kafka => "kafka",
            Self::Redis => "redis",
        }
    }
    fn of(text: &str) -> Self {
        match text {
            "memory" => Self::Memory,
            "redis" => Self::Redis,
            _ => Self::Kafka,
        }
    }
}

/// Where to connect.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    /// By the URL, `REDIS_URL` included.
    Url(&'a Given),
    /// By `kafka_bootstrap_servers`.
    Brokers,
    /// A memory bus of its own.
    Memory,
}

impl Settings {
    /// Whether there is an address to connect to: by `url`, by a chosen backend, or by one that has its address. Looks
    /// at nothing but the settings; whether the address is right, and which of several backends is meant, is found
    /// out by connecting.
    pub fn is_configured(&self) -> bool {
        self.target().is_ok() || (self.given("backend").is_none() && self.candidates().next().is_some())
    }
    /// The note about settings that mean something else here than where they came from.
    pub(crate) fn note(&self) -> Option<String> {
        let backend = self
            .given("kafka_backend")
            .filter(|given| given.reveal() != "kafka")?;
        Some(format!(
            "{} is `{}`: `aiokafka` and `confluent` both mean the `kafka` backend, whose client is librdkafka",
            backend.origin,
            backend.reveal()
        ))
    }
    /// The backends that have an address, and the setting that gives it.
    fn candidates(&self) -> impl Iterator<Item = (BackendName, &Given)> {
        let kafka = self
            .given("kafka_bootstrap_servers")
            .map(|given| (BackendName::Kafka, given));
        let redis = self.given("redis_url").map(|given| (BackendName::Redis, given));
        kafka.into_iter().chain(redis)
    }
    fn chosen(&self, backend: BackendName) -> Result<Target<'_>> {
        // An address that is weaker than the choice is still one, if it is of that backend.
        let url = self
            .given("url")
            .filter(|url| BackendName::scheme(url.reveal()) == Some(backend));
        let found = match backend {
            BackendName::Memory => url.map(Target::Url).or(Some(Target::Memory)),
            BackendName::Kafka => self
                .given("kafka_bootstrap_servers")
                .map(|_| Target::Brokers)
                .or(url.map(Target::Url)),
            BackendName::Redis => self.given("redis_url").or(url).map(Target::Url),
        };
        found.ok_or_else(|| {
            let variable = if backend == BackendName::Kafka {
                "KAFKA_BOOTSTRAP_SERVERS"
            } else {
                "REDIS_URL"
            };
            Error::invalid(format!(
                "{} chooses `{}`, which has no address; set `{variable}`, or `BUS_URL` instead of both",
                self.origin("backend"),
                backend.text()
            ))
        })
    }
    /// Where to connect.
    /// # Errors
    /// `Invalid`: nowhere, or several places and none is chosen.
    pub(super) fn target(&self) -> Result<Target<'_>> {
        let (url, backend) = (self.given("url"), self.given("backend"));
        match (url, backend) {
            // A choice in the environment is not undone by a URL in a file; side by side, the URL says more.
            (Some(url), backend) if backend.is_none_or(|backend| url.layer >= backend.layer) => {
                return Ok(Target::Url(url));
            }
            (_, Some(backend)) => return self.chosen(BackendName::of(backend.reveal())),
            _ => {}
        }
        let candidates: Vec<_> = self.candidates().collect();
        match candidates[..] {
            [] => Err(Error::invalid(
                "no backend is configured; set `BUS_URL` (`kafka://host:9092`, `redis://host:6379`, `memory://`), \
                 `KAFKA_BOOTSTRAP_SERVERS` or `REDIS_URL`",
            )),
            [(only, _)] => self.chosen(only),
            // It names a Kafka client, so Kafka is meant.
            _ if self.given("kafka_backend").is_some() => self.chosen(BackendName::Kafka),
            _ => {
                let places: Vec<_> = candidates
                    .iter()
                    .map(|(backend, given)| format!("`{}` by {}", backend.text(), given.origin))
                    .collect();
                let names: Vec<_> = candidates.iter().map(|(backend, _)| backend.text()).collect();
                Err(Error::invalid(format!(
                    "several backends are configured and none is chosen: {}; set `BUS_BACKEND` to {}, or `BUS_URL`",
                    places.join(", "),
                    choice(&names)
                )))
            }
        }
    }
}

impl BackendName {
    /// The backend of a URL.
    pub(super) fn scheme(url: &str) -> Option<Self> {
        Some(match url.split_once("://")?.0 {
            "memory" => Self::Memory,
            "kafka" => Self::Kafka,
            "redis" | "rediss" | "redis-cluster" | "redis-sentinel" => Self::Redis,
            _ => return None,
        })
    }
}
