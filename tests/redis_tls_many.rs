//! Redis over TLS with several servers: each node of a cluster, and sentinels with whom they name, are reached as a server
//! alone is, with the same certificates, users and passwords.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod folder;
mod secured;

use bus::{Bus, ErrorKind, Raw, Topic};
use bus_brokers::{Authority, Redis, RedisCluster, RedisOptions, RedisPair, RedisSentinels};
use folder::Folder;
use secured::{is_refused, rule, topic, works, works_with};

/// Each of three nodes has some of them.
const PARTITIONS: u32 = 6;
/// What a cluster needs beyond the rule.
const OF_A_CLUSTER: [&str; 3] = ["+cluster|info", "+cluster|slots", "+asking"];

fn options(authority: &Authority) -> RedisOptions {
    let shown = authority.issue("server", &["127.0.0.1"]).unwrap();
    RedisOptions::new().tls(authority, &shown)
}

fn wide(name: &'static str) -> Topic<Vec<u8>, Raw> {
    Topic::named(name).partitions(PARTITIONS)
}

/// The bus's connections to a server, by TLS and not.
fn connections(server: &Redis) -> (usize, usize) {
    let tls = format!("laddr={} ", server.tls_socket().unwrap());
    let all = server.ask(&["CLIENT", "LIST"]).unwrap();
    let ours = all.lines().filter(|line| line.contains("name=bus:"));
    let (by_tls, others): (Vec<_>, Vec<_>) = ours.partition(|line| line.contains(&tls));
    (by_tls.len(), others.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_of_a_cluster_is_reached_as_a_server_alone_is() {
    let authority = Authority::new().unwrap();
    let allowed = [&rule()[..], &OF_A_CLUSTER[..]].concat().join(" ");
    let options = options(&authority).tls_between().user(&allowed);
    let cluster = tokio::task::spawn_blocking(move || RedisCluster::start(options, 0).unwrap());
    let cluster = cluster.await.unwrap();
    let (folder, hosts) = (Folder::new(), cluster.hosts());
    let file = folder.file("password", "password");
    let ca = format!("tls=true&tls.ca={}", authority.file().display());
    let url = format!(
        "redis-cluster://billing@{hosts}?ttl=2s&{ca}&password.file={}",
        file.display()
    );
    let bus = Bus::connect(&url).await.unwrap();
    works_with(&bus, &wide("orders.wide")).await;
    // One alone has every partition and key of one that has none, so every node has been spoken to.
    let publish = async |name: &'static str| {
        let topic = wide(name);
        bus.ensure_topics([topic.spec()]).await.unwrap();
        let mut all = bus.subscribe(&topic, "all").await.unwrap();
        for partition in 0..PARTITIONS {
            let sent = bus
                .publish(&topic, &partition.to_be_bytes().to_vec())
                .partition(partition);
            sent.await.unwrap();
        }
        for _ in 0..PARTITIONS {
            let next = tokio::time::timeout(secured::PATIENCE, all.next()).await;
            next.expect("a delivery in time").unwrap().unwrap().ack();
        }
        all.close().await.unwrap();
    };
    publish("orders.before").await;
    for node in &cluster.primaries {
        let (by_tls, others) = connections(node);
        assert!(by_tls > 0 && others == 0, "{by_tls} by TLS, {others} not");
        assert_eq!(node.ask(&["ACL", "LOG"]).unwrap(), "");
    }
    // A new password, and nobody is connected by the old one any more.
    for node in &cluster.primaries {
        node.ask(&["ACL", "SETUSER", "billing", "resetpass", ">second"])
            .unwrap();
    }
    folder.file("password", "second");
    for node in &cluster.primaries {
        node.ask(&["CLIENT", "KILL", "USER", "billing"]).unwrap();
    }
    publish("orders.after").await;
    let old = format!("redis-cluster://billing:password@{hosts}?{ca}");
    is_refused("an old password", &old, ErrorKind::Denied, &["user or password"]).await;
    let untrusted = format!("redis-cluster://billing:second@{hosts}?tls=true");
    is_refused(
        "an unknown authority",
        &untrusted,
        ErrorKind::Denied,
        &["`tls.ca`"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_name_ports_without_tls_are_told_of() {
    let authority = Authority::new().unwrap();
    let options = options(&authority);
    let node = tokio::task::spawn_blocking(move || RedisCluster::alone(options).unwrap());
    let node = node.await.unwrap();
    let url = format!(
        "redis-cluster://{}?tls=true&tls.ca={}",
        node.tls_socket().unwrap(),
        authority.file().display()
    );
    is_refused(
        "ports without TLS",
        &url,
        ErrorKind::Invalid,
        &["`tls-cluster yes`"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_and_whom_they_name_are_reached_before_and_after_a_failover() {
    let authority = Authority::new().unwrap();
    let options = options(&authority).tls_between();
    let start = move || {
        let pair = RedisPair::start(options.clone().appendonly(true)).unwrap();
        let sentinels = RedisSentinels::start("orders", &pair, options).unwrap();
        (pair, sentinels)
    };
    let (pair, sentinels) = tokio::task::spawn_blocking(start).await.unwrap();
    let url = format!(
        "redis-sentinel://{}/orders?ttl=2s&publish.timeout=90s&tls=true&tls.ca={}",
        sentinels.hosts(),
        authority.file().display()
    );
    let bus = Bus::connect(&url).await.unwrap();
    let before = topic();
    works_with(&bus, &before).await;
    let (by_tls, others) = connections(&pair.first);
    assert!(by_tls > 0 && others == 0, "{by_tls} by TLS, {others} not");
    tokio::task::block_in_place(|| pair.wait_in_sync(secured::PATIENCE)).unwrap();
    pair.first.kill9().unwrap();
    // It waits for the new primary.
    bus.publish(&before, &b"after".to_vec()).await.unwrap();
    works(&bus).await;
    let (by_tls, others) = connections(&pair.second);
    assert!(by_tls > 0 && others == 0, "{by_tls} by TLS, {others} not");
}
