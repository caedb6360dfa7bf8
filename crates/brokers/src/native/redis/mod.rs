//! Private Redises.

mod cluster;
mod options;
mod pair;
mod sentinels;
mod server;

pub use cluster::RedisCluster;
pub use options::{Fsync, RedisOptions, RedisVersion};
pub use pair::RedisPair;
pub use sentinels::RedisSentinels;
pub use server::Redis;
