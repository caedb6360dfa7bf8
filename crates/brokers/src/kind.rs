//! The servers that the project is tested against.

/// One of the servers that the project is tested against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Apache Kafka.
    Kafka,
    /// The oldest Redis that is supported: 7.0.
    Redis,
    /// A Redis with the commands of 8.2 (`XACKDEL`, `XDELEX`, `WAITAOF`).
    Redis8,
    /// A schema registry that speaks Confluent's protocol: Apicurio.
    Registry,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Kafka, Self::Redis, Self::Redis8, Self::Registry];

    /// The environment variable with its address: `host:port` for Kafka, `redis://host:port` for Redis, `http://host:port/path`
    /// for the registry.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Kafka => "BUS_TEST_KAFKA",
            Self::Redis => "BUS_TEST_REDIS",
            Self::Redis8 => "BUS_TEST_REDIS_8",
            Self::Registry => "BUS_TEST_REGISTRY",
        }
    }

    /// Its short name, also the name of its data folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Redis => "redis",
            Self::Redis8 => "redis-8",
            Self::Registry => "registry",
        }
    }

    /// The backend that talks to it, or `registry`.
    pub const fn backend(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Redis | Self::Redis8 => "redis",
            Self::Registry => "registry",
        }
    }

    /// Where the search for a free port of a shared server starts.
    pub(crate) const fn first_port(self) -> u16 {
        match self {
            Self::Kafka => 19_092,
            Self::Redis => 16_379,
            Self::Redis8 => 16_879,
            Self::Registry => 18_081,
        }
    }

    /// Its version at that address, as people write it, or why it does not answer.
    ///
    /// Kafka's protocol does not tell a version, nor a registry's, so what somebody else started has none.
    pub(crate) fn probe(self, address: &str) -> Result<String, String> {
        match self {
            Self::Kafka => {
                crate::probe::kafka_brokers(address).map(|_| "Kafka of unknown version".to_owned())
            }
            Self::Redis | Self::Redis8 => crate::probe::redis_version(address).map(|v| format!("Redis {v}")),
            Self::Registry => {
                crate::probe::registry(address).map(|()| "schema registry of unknown version".to_owned())
            }
        }
    }
}
