//! A publish is confirmed when it is as durable as was asked for, and not before.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Done, ErrorKind, Message, Scope, Start, TopicSpec};
use bus_redis::Redis;
use common::{member::Member, server::Server, *};
use std::time::Duration;

async fn refused(url: &str, durability: &str) -> String {
    let error = Redis::connect_url(&format!("{url}?durability={durability}"))
        .await
        .unwrap_err();
    assert_eq!(error, ErrorKind::Unsupported);
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_is_refused_when_connecting() {
    let (old, new) = (Server::start(&[]), Server::start_8(&[]));
    if old.info("redis_version").starts_with("7.0") {
        assert!(refused(&old.url(), "fsync").await.contains("WAITAOF"));
    }
    assert!(refused(&new.url(), "fsync").await.contains("appendonly yes"));
    assert!(
        refused(&old.url(), "replicas(1)")
            .await
            .contains("has 0 replicas")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_waits_for_the_disk_once_a_pack() {
    let server = Server::start_8(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let backend = Redis::connect_url(&format!("{}?durability=fsync", server.url()))
        .await
        .unwrap();
    let topic = unique("orders");
    backend
        .admin()
        .create(&[TopicSpec::new(topic.clone()).partitions(4)])
        .await
        .unwrap();
    let publisher = backend.publisher().await.unwrap();
    for _ in 0..3 {
        let batch = (0..400).map(|i| Message::new("x").to_partition(i % 4)).collect();
        let receipts = publish(&publisher, &topic, batch).await;
        assert!(receipts.iter().all(|r| r.position.is_some()));
    }
    let stats: String = server.command(&["INFO", "commandstats"]);
    let calls = |name: &str| -> u64 {
        let line = stats
            .lines()
            .find_map(|l| l.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.map_or(0, |l| l.split(',').next().unwrap().parse().unwrap())
    };
    let (packs, waits) = (calls("exec"), calls("waitaof"));
    assert!(waits >= 3 && waits <= packs, "{waits} waits for {packs} packs");
    publisher.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_reach_its_replicas_is_unknown_and_never_ok() {
    let (primary, replica) = (
        Server::start(&["--repl-diskless-sync-delay", "0"]),
        Server::start(&[]),
    );
    let () = replica.command(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    in_time(async {
        while !primary.info("slave0").contains("state=online") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let settings = "durability=replicas(1)&publish.timeout=12s&connect.timeout=8s";
    let backend = Redis::connect_url(&format!("{}?{settings}", primary.url()))
        .await
        .unwrap();
    let (topic, out) = (unique("orders"), unique("out"));
    backend
        .admin()
        .create(&[TopicSpec::new(topic.clone()), TopicSpec::new(out.clone())])
        .await
        .unwrap();
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, vec![Message::new("0")]).await;
    assert_eq!(
        replica.command::<usize>(&["XLEN", &topic]),
        1,
        "confirmed is there"
    );
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    member.until(|m| m.records.len() == 1).await;

    replica.pause();
    let first = publisher.publish_batch(&topic, vec![Message::new("1")]);
    in_time(async {
        while primary.command::<usize>(&["XLEN", &topic]) == 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let second = publisher.publish_batch(&topic, vec![Message::new("2")]);
    let first = in_time(first).await.remove(0).unwrap_err();
    assert!(
        first.is_unknown() && first.error() == &ErrorKind::Timeout,
        "{first}"
    );
    let second = in_time(second).await.remove(0).unwrap_err();
    assert!(!second.is_unknown(), "{second}");
    let outputs = vec![(out.clone(), Message::new("out"))];
    let done = Done {
        outputs,
        ..member.done(0)
    };
    let ack = member.ack.clone();
    let commit = tokio::spawn(async move { ack.commit(vec![done]).await.remove(0) });
    in_time(async {
        while primary.command::<usize>(&["XLEN", &out]) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(!commit.is_finished(), "stored, and not confirmed");
    replica.resume();
    in_time(commit).await.unwrap().unwrap();
    assert_eq!(
        replica.command::<usize>(&["XLEN", &out]),
        1,
        "confirmed is there, once"
    );

    publish(&publisher, &topic, vec![Message::new("3")]).await;
    let everyone = source(&topic, Scope::Everyone { partitions: None }, Start::Earliest);
    let mut tail = Member::join(&backend, everyone).await;
    tail.until(|m| m.payloads().last().is_some_and(|p| p == "3"))
        .await;
    // The first was unknown and is there; the second was not stored, as everything behind one that failed.
    assert_eq!(tail.payloads(), ["0", "1", "3"]);
    member.subscriber.close().await.unwrap();
}
