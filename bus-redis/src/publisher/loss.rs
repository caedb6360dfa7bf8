//! Confirmed records that the server has not got any more: what is said of them.

use super::lane::Lane;
use crate::id;
use bus_core::{Error, ErrorKind};

/// The error of a lane whose records in `range` are gone; it is logged too.
pub(super) fn of(address: &str, topic: &str, partition: u32, range: &str) -> Error {
    tracing::error!(
        topic,
        partition,
        address,
        range,
        "redis lost records that it had confirmed: its history went back"
    );
    let sentence = format!(
        "redis at {address} lost records of partition {partition} of topic `{topic}` that it had confirmed: {range}; \
         its history went back, by a failover or by a restart without `appendfsync always`. \
         Publish them again from their source"
    );
    Error::new(ErrorKind::DataLoss, sentence)
}

/// The error of a lane whose marker turned out to have gone back when the next pack was stored.
pub(super) fn before(address: &str, lane: &Lane) -> Error {
    let last = lane.confirmed.and_then(|confirmed| confirmed.position);
    let range = match last {
        Some(last) => format!("the last ones up to {}", id::id(last)),
        None => "the last ones".to_owned(),
    };
    of(address, &lane.topic, lane.partition, &range)
}
