//! Three nodes go on with two.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::time::{Duration, Instant};

use bus_brokers::{KafkaCluster, KafkaOptions};
use common::create_topic;

const ELECTION: Duration = Duration::from_secs(60);

/// Waits until the nodes in sync with partition 0 are these.
fn await_in_sync(cluster: &KafkaCluster, expected: &[u32]) {
    let deadline = Instant::now() + ELECTION;
    loop {
        let mut seen = cluster.partitions("orders").unwrap()[0].in_sync.clone();
        seen.sort_unstable();
        if seen == expected {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "in sync: {seen:?}, expected {expected:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn another_node_leads_when_the_leader_is_killed() {
    let cluster = KafkaCluster::start(KafkaOptions::new()).unwrap();
    assert_eq!(cluster.nodes().len(), 3);
    let bootstrap = cluster.nodes()[0].inner_address();
    create_topic(
        bootstrap,
        "orders",
        &["--partitions", "1", "--replication-factor", "3"],
    );
    assert!(
        cluster
            .partitions("nowhere")
            .unwrap_err()
            .to_string()
            .contains("no such topic")
    );
    await_in_sync(&cluster, &[1, 2, 3]);

    let first = cluster.leader("orders", 0, ELECTION).unwrap();
    cluster.node(first).unwrap().kill9().unwrap();
    let second = cluster.leader("orders", 0, ELECTION).unwrap();
    assert_ne!(first, second);
    let rest: Vec<u32> = (1..=3).filter(|id| *id != first).collect();
    await_in_sync(&cluster, &rest);

    cluster.node(first).unwrap().restart().unwrap();
    await_in_sync(&cluster, &[1, 2, 3]);
    cluster.wait_until_whole().unwrap();

    // A follower that stands still drops out, and comes back.
    cluster.node(first).unwrap().pause().unwrap();
    let rest = rest.as_slice();
    await_in_sync(&cluster, rest);
    cluster.node(first).unwrap().resume().unwrap();
    await_in_sync(&cluster, &[1, 2, 3]);
    assert!(cluster.node(4).is_err() && cluster.node(0).is_err());
}
