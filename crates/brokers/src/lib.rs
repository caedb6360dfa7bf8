//! Starts real brokers for tests, benchmarks and examples.
//!
//! There are two ways to a server:
//!
//! - [`up`], [`down`] and [`status`] own one *shared* server of each [`Kind`]. Shared servers outlive the process
//!   that started them; whoever finds one running uses it. [`shared`] hands out a single one.
//! - [`Kafka::start`], [`Redis::start`] and [`SchemaRegistry::start`] start a *private* server that belongs to the caller: it can be killed,
//!   paused and restarted, and is gone when its guard is dropped. [`KafkaCluster`], [`RedisCluster`], [`RedisPair`] and
//!   [`RedisSentinels`] are several of them together; a [`Clock`] jumps, a [`Disk`] fills up, and a Redis can lose its power.
//!
//! [`Awake`] is a clock for the bounds of tests: it leaves out the pauses of the machine.
//!
//! A shared server is, in this order: the one named by the environment ([`Kind::variable`]); a container, where a
//! Docker engine answers and the feature `docker` is on; a child process on a free port of 127.0.0.1 with its data
//! under `target/brokers/`. Whatever is missing for the last is installed where that needs no question, and is an
//! error that names the package where it does. Nothing is ever skipped.
//!
//! Each step is said aloud in one line on standard error; standard output stays the caller's own.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test is a panic"))]

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod awake;
mod certificates;
#[cfg(feature = "docker")]
mod docker;
mod engine;
mod error;
mod install;
mod kind;
mod lease;
mod lock;
mod native;
mod paths;
mod preload;
mod probe;
mod process;
mod record;
#[cfg(feature = "kafka-client")]
mod records;
mod report;
mod say;
mod server;
mod shared;
mod wait;

pub use awake::Awake;
pub use certificates::{Authority, Certificate};
pub use engine::docker_engine_answers;
pub use error::{Error, Result};
pub use install::{kafka_libs, kcat, openssl, python, redis_server, valgrind};
pub use kind::Kind;
pub use native::{
    Daemon, Disk, Fsync, Kafka, KafkaCluster, KafkaListener, KafkaOperation, KafkaOptions, KafkaPartition,
    KafkaResource, Redis, RedisCluster, RedisOptions, RedisPair, RedisSentinels, RedisVersion,
    SchemaRegistry, sweep,
};
pub use paths::target_dir;
pub use preload::Clock;
#[cfg(feature = "kafka-client")]
pub use records::delete_records;
pub use report::{REPORT_VARIABLE, passed};
pub use server::{Origin, Server};
pub use shared::{down, shared, status, stop, up};
