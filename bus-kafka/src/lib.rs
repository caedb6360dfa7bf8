//! The Apache Kafka backend of the message bus, on librdkafka.
//!
//! ```no_run
//! # async fn demo() -> bus_core::Result<()> {
//! use bus_kafka::{Kafka, KafkaConfig};
//!
//! let kafka = Kafka::connect(KafkaConfig::new("127.0.0.1:9092").client_id("billing")).await?;
//! // or, with every native option of librdkafka as a parameter:
//! let kafka = Kafka::connect(KafkaConfig::from_url("kafka://h1:9092,h2:9092?client.id=billing&linger.ms=5")?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Threads: one client of librdkafka (brokers + 3 threads) and one thread of ours per subscription, a second client and
//! three more of ours with exactly once; one client and two threads for all publishers, one of each for topics and groups.

mod admin;
mod config;
mod consumer;
mod error;
mod events;
#[cfg(fuzzing)]
pub mod fuzzing;
mod health;
mod kafka;
mod native;
mod notes;
mod options;
mod producer;
mod refusal;
mod security;
mod url;

pub use config::KafkaConfig;
pub use kafka::Kafka;
/// For clients of one's own: see [`KafkaConfig::client_config`].
pub use rdkafka;
