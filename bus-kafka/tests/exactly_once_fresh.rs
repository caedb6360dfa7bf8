//! What a transaction stores in topics that were just made.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Message, Start};
use common::*;
use std::time::Instant;

/// A fresh partition's leader may refuse the first request and take the second: many at once make that likely.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_to_a_fresh_topic_is_stored() {
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.push(tokio::spawn(async {
            let kafka = kafka().await;
            let (input, group) = (topic(&kafka, 1).await, unique("g"));
            publish(&kafka, &input, vec![Message::new("x")]).await;
            let mut member = Member::join(&kafka, exactly_once(&input, &group)).await;
            member.until_records(1).await;
            for _ in 0..12 {
                let output = topic(&kafka, 4).await;
                let outputs = (0..40).map(|i| (&*output, Message::new(format!("{i}")).to_partition(i % 4)));
                let done = done_with(member.shard(0), 1, outputs.collect());
                member.ack.commit(vec![done]).await.remove(0).unwrap();
                let deadline = Instant::now() + SOON;
                let mut ends = Vec::new();
                // Ten messages and a marker.
                while !ends.iter().all(|(_, end)| *end == 11) || ends.is_empty() {
                    assert!(Instant::now() < deadline, "{output}: {ends:?}");
                    ends = kafka.admin().positions(&output, Start::Latest).await.unwrap();
                }
                let mut found = contents(&kafka, &output).await;
                found.sort_by_key(|text| text.parse::<u32>().unwrap());
                assert_eq!(found, (0..40).map(|i| i.to_string()).collect::<Vec<_>>());
                kafka.admin().delete(&output).await.unwrap();
            }
            member.subscriber.close().await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}
