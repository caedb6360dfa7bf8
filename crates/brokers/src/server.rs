//! A server that answers.

use crate::kind::Kind;

/// Where a server came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The environment names it; nobody here starts or stops it.
    Given,
    /// A container of a Docker engine.
    Docker,
    /// A process of this machine.
    Native,
}

impl Origin {
    /// The word for it in the line that is said aloud.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Docker => "docker",
            Self::Native => "native",
        }
    }
}

/// A server that answers, as `kafka: 127.0.0.1:19092, native, Apache Kafka 4.3.0` when displayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// What it is.
    pub kind: Kind,
    /// `host:port` for Kafka, `redis://host:port` for Redis, a URL for the registry: the value of [`Kind::variable`].
    pub address: String,
    /// Where it came from.
    pub origin: Origin,
    /// Product and version, such as `Redis 7.0.15`.
    pub version: String,
    /// Whether the call that returned this value started it, so that its caller is the one to stop it.
    pub started: bool,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {}, {}, {}",
            self.kind.name(),
            self.address,
            self.origin.name(),
            self.version
        )
    }
}
