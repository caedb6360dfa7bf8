//! The Redis Streams backend of the message bus.
//!
//! A stream is the log of one partition; ownership and positions live beside it in keys that fenced scripts change.
//!
//! ```no_run
//! # async fn run() -> bus_core::Result<()> {
//! use bus_redis::Redis;
//! let backend = Redis::connect_url("redis://127.0.0.1:6379?client.id=billing").await?;
//! # Ok(()) }
//! ```
//!
//! # What is stored where
//!
//! | key | what |
//! |---|---|
//! | `orders`, or `orders:{0}`, `orders:{1}`, … | the stream of a topic's one partition, or of each |
//! | `bus:topic:orders`, `bus:topics` | the topic's descriptor, the names of all topics |
//! | the native consumer group `billing` of a stream | the group's position: `XINFO GROUPS` shows its true lag |
//! | `{orders}:bus:billing`, or `orders:bus:billing:{0}`, … | who owns the partition, in which epoch, the notes, and what the group lost |
//! | `bus:members:billing:orders` | who is alive |
//! | `bus:groups`, `bus:group:billing` | the names of groups, a group's topics |
//! | `{orders}:bus:pid:orders:<uuid>:0` | a publisher's last sequence, until it closes, or for a day |
//! | `{orders}:bus:trimmed:orders:0` | when the partition was trimmed or compacted last |
//!
//! An entry has the fields `data` (or `null` = `1`), and, where there are any, `key` and `headers`. What other programs
//! add with `XADD` arrives too: with neither `data` nor `null`, as one JSON object of all its fields. A stream without
//! a descriptor is a topic with one partition.
//!
//! # Where it ends
//!
//! One primary is one history. A failover, a demotion, or a power loss without `appendfsync always`, can drop records that
//! were confirmed; it is noticed and reported, not hidden. A start at a time looks at the time of storing, not at timestamps
//! that publishers set. Topics with `compact` keep the newest entry of each key, whatever their age, and tombstones
//! until every group has passed them and they are older than the topic's retention (a day where it has none); the
//! server gives the memory of deleted entries back by whole nodes of about a hundred. With sentinels a failover moves
//! everybody to the new primary, and what that one lacks is told as after a restart. In a cluster each primary is a history
//! of its own, whose failover concerns its partitions alone.

mod admin;
mod backend;
mod cluster;
mod compaction;
mod config;
mod context;
mod durability;
mod entry;
mod error;
mod facts;
#[cfg(fuzzing)]
pub mod fuzzing;
mod health;
mod id;
mod janitor;
mod keys;
mod preflight;
mod publisher;
mod retention;
mod scripts;
mod security;
mod servers;
mod start;
mod subscriber;
mod topics;
mod url;
mod wire;

pub(crate) use backend::NOTES_MAX;
pub use backend::Redis;
pub use config::RedisConfig;
pub(crate) use context::Context;
pub use durability::Durability;
pub use security::{Password, Tls};
