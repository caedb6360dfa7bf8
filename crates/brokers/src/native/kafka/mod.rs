//! Private Kafkas.

mod cluster;
mod node;
mod options;
mod partition;

pub use cluster::KafkaCluster;
pub use node::Kafka;
pub use options::KafkaOptions;
pub use partition::KafkaPartition;

pub(crate) use options::Listeners;
