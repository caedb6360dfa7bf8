//! Servers as processes of this machine.

mod daemon;
mod disk;
mod kafka;
mod place;
mod redis;
mod registry;

pub use daemon::Daemon;
pub use disk::Disk;
pub use kafka::{
    Kafka, KafkaCluster, KafkaListener, KafkaOperation, KafkaOptions, KafkaPartition, KafkaResource,
};
pub use place::sweep;
pub use redis::{Fsync, Redis, RedisCluster, RedisOptions, RedisPair, RedisSentinels, RedisVersion};

#[cfg(feature = "docker")]
pub(crate) use kafka::Listeners;
pub(crate) use place::Place;
#[cfg(feature = "docker")]
pub(crate) use registry::PATH as REGISTRY_PATH;
pub use registry::SchemaRegistry;
