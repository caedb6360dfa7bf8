//! Does it answer? A connection alone proves nothing: each server is asked something in its own protocol.

mod acls;
mod connect;
mod kafka;
mod redis;
mod registry;
mod wire;

pub(crate) use acls::{kafka_allow, kafka_take_back};
pub(crate) use connect::connect;
pub(crate) use kafka::{kafka_brokers, kafka_partitions};
pub(crate) use redis::{redis_ask, redis_version};
pub(crate) use registry::registry;
