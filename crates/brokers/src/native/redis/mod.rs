//! Private Redises.

mod options;
mod pair;
mod server;

pub use options::{Fsync, RedisOptions, RedisVersion};
pub use pair::RedisPair;
pub use server::Redis;
