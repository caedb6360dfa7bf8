//! Who holds a partition.

/// A partition as the cluster's metadata tell it. Nodes are named by their ids, 1 to 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaPartition {
    /// Its number in the topic.
    pub partition: u32,
    /// The node that leads it, if there is one at the moment.
    pub leader: Option<u32>,
    /// The nodes that are to hold it.
    pub replicas: Vec<u32>,
    /// The nodes that are in sync.
    pub in_sync: Vec<u32>,
}
