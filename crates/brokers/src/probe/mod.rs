//! Does it answer? A connection alone proves nothing: each server is asked something in its own protocol.

mod connect;
mod kafka;
mod redis;

pub(crate) use connect::connect;
pub(crate) use kafka::kafka_brokers;
pub(crate) use redis::redis_version;
