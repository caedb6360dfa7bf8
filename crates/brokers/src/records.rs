//! Records that disappear from a Kafka, by a client that is not the one under test.

use crate::{Error, Result};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    error::KafkaError,
};

/// Removes what lies before these offsets (partition, first offset that stays) of a topic of the Kafka at `address`, as
/// `kafka-delete-records.sh` does it. Only with the feature `kafka-client`.
///
/// # Errors
///
/// When the broker does not answer, or refuses it for one of the partitions; the others may be done.
pub async fn delete_records(
    address: &str,
    topic: &str,
    before: impl IntoIterator<Item = (u32, i64)>,
) -> Result<()> {
    let failed = |e: KafkaError| Error::Refused {
        doing: format!("deleting records of topic `{topic}` at {address}"),
        why: e.to_string(),
    };
    let mut list = TopicPartitionList::new();
    for (partition, offset) in before {
        list.add_partition_offset(topic, partition as i32, Offset::Offset(offset))
            .map_err(failed)?;
    }
    let mut config = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> = config
        .set("bootstrap.servers", address)
        .create()
        .map_err(failed)?;
    let deleted = admin.delete_records(&list, &AdminOptions::new()).await;
    for element in deleted.map_err(failed)?.elements() {
        element.error().map_err(failed)?;
    }
    Ok(())
}
