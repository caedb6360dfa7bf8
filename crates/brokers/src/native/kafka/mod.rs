//! Private Kafkas.

mod cluster;
mod listener;
mod node;
mod options;
mod partition;
mod rights;

pub use cluster::KafkaCluster;
pub use listener::KafkaListener;
pub use node::Kafka;
pub use options::KafkaOptions;
pub use partition::KafkaPartition;
pub use rights::{KafkaOperation, KafkaResource};

pub(crate) use options::Listeners;
