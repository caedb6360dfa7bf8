//! Servers as processes of this machine.

mod daemon;
mod kafka;
mod kafka_options;
mod place;
mod redis;

pub use kafka::Kafka;
pub use kafka_options::KafkaOptions;
pub use place::sweep;
pub use redis::{Redis, RedisOptions, RedisVersion};

pub(crate) use place::Place;
