//! The backends, each with a server of its own.

use crate::harness::{kafka::OnKafka, layers, memory::OnMemory, redis::OnRedis};
use bus_core::conformance::Harness;
use std::sync::Arc;

/// One column of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Column {
    Memory,
    Kafka,
    #[value(name = "redis-7")]
    Redis7,
    #[value(name = "redis-8")]
    Redis8,
}

impl Column {
    pub(crate) const ALL: [Self; 4] = [Self::Memory, Self::Kafka, Self::Redis7, Self::Redis8];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Kafka => "kafka",
            Self::Redis7 => "redis-7",
            Self::Redis8 => "redis-8",
        }
    }
    /// The environment variable that names its server.
    pub(crate) fn variable(self) -> Option<&'static str> {
        match self {
            Self::Memory => None,
            Self::Kafka => Some("BUS_TEST_KAFKA"),
            Self::Redis7 => Some("BUS_TEST_REDIS"),
            Self::Redis8 => Some("BUS_TEST_REDIS_8"),
        }
    }
    /// A harness for one check.
    pub(crate) fn harness(self, through_layers: bool) -> Arc<dyn Harness> {
        let plain: Arc<dyn Harness> = match self {
            Self::Memory => Arc::new(OnMemory::new()),
            Self::Kafka => Arc::new(OnKafka::new("BUS_TEST_KAFKA")),
            Self::Redis7 => Arc::new(OnRedis::new("BUS_TEST_REDIS")),
            Self::Redis8 => Arc::new(OnRedis::new("BUS_TEST_REDIS_8")),
        };
        match through_layers {
            true => Arc::new(layers::stacked(plain)),
            false => plain,
        }
    }
}
