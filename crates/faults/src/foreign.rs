//! Kafka as a program sees it that does not use the bus.

use crate::{server::Server, stage::PARTITIONS};
use bus_core::conformance::Failure;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::task::block_in_place;

/// How long one request may take.
const ASK: Duration = Duration::from_secs(20);

/// A client of another library, around the proxy.
#[derive(Debug)]
pub(crate) struct Foreign {
    address: String,
}

impl Foreign {
    /// # Errors
    /// When the server is no Kafka of one node.
    pub(crate) fn of(server: &Server) -> Result<Self, Failure> {
        let kafka = server.kafka.as_ref();
        let kafka = kafka.ok_or_else(|| Failure::new("this server is no Kafka of one node"))?;
        Ok(Self {
            address: kafka.inner_address().to_string(),
        })
    }
    /// A consumer that names the group and never joins it.
    fn consumer(&self, group: &str) -> Result<BaseConsumer, Failure> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.address)
            .set("group.id", group)
            .set("enable.auto.commit", "false");
        config.create().map_err(Failure::new)
    }
    /// What a group has stored in a topic: offset and metadata, by partition.
    pub(crate) fn stored(&self, group: &str, topic: &str) -> Result<BTreeMap<u32, (i64, String)>, Failure> {
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition(topic, partition as i32);
        }
        let consumer = self.consumer(group)?;
        let stored = block_in_place(|| consumer.committed_offsets(list, ASK)).map_err(Failure::new)?;
        let stored = stored.elements().into_iter().filter_map(|e| match e.offset() {
            Offset::Offset(offset) => Some((e.partition() as u32, (offset, e.metadata().to_owned()))),
            _ => None,
        });
        Ok(stored.collect())
    }
    /// Stores offsets with metadata for a group that has no members, as other libraries and tools do.
    pub(crate) fn store(
        &self,
        group: &str,
        topic: &str,
        what: &BTreeMap<u32, (i64, String)>,
    ) -> Result<(), Failure> {
        let mut list = TopicPartitionList::new();
        for (partition, (offset, metadata)) in what {
            let mut element = list.add_partition(topic, *partition as i32);
            element
                .set_offset(Offset::Offset(*offset))
                .map_err(Failure::new)?;
            element.set_metadata(metadata.as_str());
        }
        let consumer = self.consumer(group)?;
        block_in_place(|| consumer.commit(&list, CommitMode::Sync)).map_err(Failure::new)
    }
    /// Removes what lies before these offsets, as `kafka-delete-records.sh` does it.
    pub(crate) async fn delete_before(
        &self,
        topic: &str,
        offsets: &BTreeMap<u32, i64>,
    ) -> Result<(), Failure> {
        let offsets = offsets.iter().map(|(partition, offset)| (*partition, *offset));
        let deleted = bus_brokers::delete_records(&self.address, topic, offsets).await;
        deleted.map_err(Failure::new)
    }
}
