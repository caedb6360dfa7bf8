//! Publishing, and that nothing is altered on the way.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Bytes, ErrorKind, Message, Outcome, Receipt, Start, partition::Partitioner};
use common::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_message_comes_back_and_is_committed() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 4).await;
    let group = unique("g");
    let outcomes = publish(&kafka, &topic, vec![Message::new("hello").keyed("k")]).await;
    let partition = Partitioner::Murmur2.partition(b"k", 4);
    assert_eq!(
        outcomes,
        [Outcome::Stored(Receipt {
            partition,
            position: Some(0)
        })]
    );

    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_records(1).await;
    let (shard, record) = &member.records[0];
    assert_eq!(shard.partition, partition);
    assert_eq!(record.payload(), Some(&b"hello"[..]));
    assert_eq!(record.key(), Some(&b"k"[..]));
    member.until_owned(4).await;
    member.leave().await;

    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_owned(4).await;
    assert_eq!(member.owned[&partition].1, 1);
    assert!(!member.step(std::time::Duration::from_millis(300)).await || member.records.is_empty());
    member.leave().await;
}
