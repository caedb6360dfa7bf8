//! A primary that is demoted and promoted again under the same process has another history behind the same connections.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_brokers::{Redis as Server, RedisOptions, RedisPair, RedisVersion};
use bus_core::{Backend, ErrorKind, Event, Room, Scope, Start};
use bus_proxy::{Filter, Late, Rule};
use bus_redis::Redis;
use common::{
    member::{Member, ROOM, losses, numbered},
    *,
};
use std::time::Duration;

fn options() -> RedisOptions {
    RedisOptions::new().setting("repl-diskless-sync-delay", "0")
}

/// Waits until `server` says `value` of `name`.
async fn says(server: &Server, name: &str, value: &str) {
    in_time(async {
        while server.info(name).unwrap() != value {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Makes the first server a replica of the second for as long as it takes to have that one's data, and a primary again.
async fn there_and_back(pair: &RedisPair) {
    let run = pair.first.info("run_id").unwrap();
    pair.demote_first().unwrap();
    says(&pair.first, "master_link_status", "up").await;
    pair.first.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
    assert_eq!(pair.first.info("run_id").unwrap(), run, "the process is the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_lost_as_a_replica_is_told_to_all_who_stayed_connected() {
    for version in [RedisVersion::V7, RedisVersion::V8] {
        let pair = RedisPair::start(options().version(version)).unwrap();
        let url = format!("{}?ttl=9s", pair.first.url());
        let backend = Redis::connect_url(&url).await.unwrap();
        let topic = new_topic(&backend, 1).await;
        let publisher = backend.publisher().await.unwrap();
        let everyone = source(&topic, Scope::Everyone { partitions: None }, Start::Earliest);
        let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
        let mut tail = Member::join(&backend, everyone).await;
        let kept = publish(&publisher, &topic, numbered(0, 5)).await;
        member.until(|m| m.records.len() == 5).await;
        member.commit_all().await;
        pair.wait_in_sync(DEADLINE).unwrap();
        pair.promote_second().unwrap();
        // Confirmed and read, and only on the first server.
        let lost = publish(&publisher, &topic, numbered(5, 10)).await;
        member.until(|m| m.records.len() == 10).await;
        tail.until(|m| m.records.len() == 10).await;
        let old = (member.shard(0), tail.shard(0));
        // On its way while nothing can be stored: it is among the first that come to the promoted server.
        let (ack, done) = (member.ack.clone(), member.done(0));
        pair.demote_first().unwrap();
        let commit = tokio::spawn(async move { ack.commit(vec![done]).await.remove(0) });
        there_and_back(&pair).await;
        assert_eq!(in_time(commit).await.unwrap().unwrap_err(), ErrorKind::Fenced);
        let last = native_groups(pair.first.url(), &topic).remove(0).1;
        assert_eq!(last, bus_core::position::format(kept[4].position.unwrap()));

        let range = (kept[4].position.unwrap() + 1, lost[4].position.unwrap() + 1);
        for (member, old) in [(&mut member, old.0), (&mut tail, old.1)] {
            member
                .until(|m| m.owned.get(&0).is_some_and(|o| o.0.epoch > old.epoch))
                .await;
            member.until(|m| !losses(m).is_empty()).await;
            assert_eq!(losses(member), [range]);
        }
        // A publisher hears of it with what it publishes next.
        let told = in_time(publisher.publish_batch(&topic, numbered(90, 91)))
            .await
            .remove(0);
        let told = match told {
            Ok(_) => in_time(publisher.publish_batch(&topic, numbered(91, 92)))
                .await
                .remove(0),
            told => told,
        };
        let told = told.unwrap_err();
        assert!(
            told.error() == &ErrorKind::DataLoss && !told.is_unknown(),
            "{told}"
        );
        let end = bus_core::position::format(lost[4].position.unwrap());
        assert!(told.to_string().contains(&end), "{told}");
        // Once; and both go on, above every position that was given out.
        let again = publish(&publisher, &topic, numbered(10, 12)).await;
        assert!(again[0].position.unwrap() >= range.1);
        for member in [&mut member, &mut tail] {
            member
                .until(|m| m.payloads().last().is_some_and(|p| p == "11"))
                .await;
            assert_eq!(losses(member), [range]);
        }
        member.commit_all().await;
        member.subscriber.close().await.unwrap();
    }
}

/// A read that waits at the server is ended when that becomes a replica. One that is sent later must not take what follows
/// the gap for what follows the records that were read.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_was_not_waiting_is_told_too() {
    let pair = RedisPair::start(options()).unwrap();
    let backend = Redis::connect_url(pair.first.url()).await.unwrap();
    let topic = new_topic(&backend, 1).await;
    let publisher = backend.publisher().await.unwrap();
    let everyone = source(&topic, Scope::Everyone { partitions: None }, Start::Earliest);
    let mut tail = Member::join(&backend, everyone).await;
    let kept = publish(&publisher, &topic, numbered(0, 5)).await;
    pair.wait_in_sync(DEADLINE).unwrap();
    pair.promote_second().unwrap();
    let lost = publish(&publisher, &topic, numbered(5, 10)).await;
    tail.until(|m| m.records.len() == 10).await;
    let nothing = Room {
        messages: 0,
        bytes: 0,
    };
    // Longer than a read waits at the server.
    let idle = async { while tail.step(nothing).await.is_ok() {} };
    let waited = tokio::time::timeout(Duration::from_millis(1_200), idle).await;
    assert!(waited.is_err(), "it goes on without room");
    there_and_back(&pair).await;
    let other = Redis::connect_url(pair.first.url()).await.unwrap();
    let publisher = other.publisher().await.unwrap();
    publish(&publisher, &topic, numbered(10, 12)).await;
    tail.until(|m| !losses(m).is_empty()).await;
    let range = (kept[4].position.unwrap() + 1, lost[4].position.unwrap() + 1);
    assert_eq!(losses(&tail), [range]);
    tail.until(|m| m.payloads().last().is_some_and(|p| p == "11"))
        .await;
    assert_eq!(
        tail.records.len(),
        12,
        "nothing twice, and nothing before it was told"
    );
}

/// A replica answers reads. What it has by then is another server's, and what that one got behind the gap must not be
/// taken for what follows the records that were read.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_of_a_replica() {
    for version in [RedisVersion::V7, RedisVersion::V8] {
        let pair = RedisPair::start(options().version(version)).unwrap();
        let backend = Redis::connect_url(pair.first.url()).await.unwrap();
        let topic = new_topic(&backend, 1).await;
        let publisher = backend.publisher().await.unwrap();
        let everyone = source(&topic, Scope::Everyone { partitions: None }, Start::Earliest);
        let mut tail = Member::join(&backend, everyone).await;
        let kept = publish(&publisher, &topic, numbered(0, 5)).await;
        pair.wait_in_sync(DEADLINE).unwrap();
        pair.promote_second().unwrap();
        let lost = publish(&publisher, &topic, numbered(5, 10)).await;
        tail.until(|m| m.records.len() == 10).await;
        let second = Redis::connect_url(pair.second.url()).await.unwrap();
        let elsewhere = second.publisher().await.unwrap();
        pair.demote_first().unwrap();
        says(&pair.first, "master_link_status", "up").await;
        publish(&elsewhere, &topic, numbered(10, 12)).await;
        let (offset, copied) = ("master_repl_offset", "slave_repl_offset");
        in_time(async {
            let there = |server: &Server, name| server.info(name).unwrap().parse::<u64>().unwrap();
            while there(&pair.first, copied) < there(&pair.second, offset) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        // Several attempts of it to connect; each would be enough to read them.
        let reading = async { while tail.step(ROOM).await.is_ok() {} };
        let read = tokio::time::timeout(Duration::from_millis(1_000), reading).await;
        assert!(read.is_err(), "it goes on without a primary");
        assert_eq!(tail.records.len(), 10, "{:?}", tail.payloads());
        pair.first.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
        let range = (kept[4].position.unwrap() + 1, lost[4].position.unwrap() + 1);
        tail.until(|m| m.records.len() == 12).await;
        assert_eq!(losses(&tail), [range]);
    }
}

/// A read that leaves in time and arrives late, when the server has been there and back.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_arrives_late_is_told_too() {
    let pair = RedisPair::start(options()).unwrap();
    let (proxy, config) = proxied(pair.first.url()).await;
    let backend = Redis::connect(config).await.unwrap();
    let other = Redis::connect_url(pair.first.url()).await.unwrap();
    let topic = new_topic(&other, 1).await;
    let publisher = other.publisher().await.unwrap();
    let everyone = source(&topic, Scope::Everyone { partitions: None }, Start::Earliest);
    let mut tail = Member::join(&backend, everyone).await;
    let kept = publish(&publisher, &topic, numbered(0, 5)).await;
    tail.until(|m| m.records.len() == 5).await;
    pair.wait_in_sync(DEADLINE).unwrap();
    pair.promote_second().unwrap();
    // The read behind the one that brings these follows it at once.
    let late = proxy.delay_next_request(Filter::redis(["XREAD"]), Duration::from_secs(6));
    let lost = publish(&publisher, &topic, numbered(5, 10)).await;
    tail.until(|m| m.records.len() == 10).await;
    // Who looks at the topic beside the reads would find it out too, and take the shard from them.
    proxy.change(|faults| {
        let look = Filter::redis(["HMGET"]);
        let hold = Rule::hold_request(look, 1.0, Duration::from_secs(12), Late::Waiting);
        faults.rules.push(hold);
    });
    tail.during(there_and_back(&pair)).await;
    let third = Redis::connect_url(pair.first.url()).await.unwrap();
    publish(&third.publisher().await.unwrap(), &topic, numbered(10, 12)).await;
    tail.during(late.happened()).await;
    let reading = async { while tail.step(ROOM).await.is_ok() {} };
    let read = tokio::time::timeout(Duration::from_secs(1), reading).await;
    assert!(read.is_err(), "it goes on meanwhile");
    proxy.heal();
    tail.until(|m| m.records.len() == 12).await;
    let range = (kept[4].position.unwrap() + 1, lost[4].position.unwrap() + 1);
    assert_eq!(losses(&tail), [range]);
}

/// A promoted primary without a replica forgets its promotion after `repl-backlog-ttl`. Nothing has happened to the data.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_is_forgotten_is_none() {
    for version in [RedisVersion::V7, RedisVersion::V8] {
        let pair = RedisPair::start(options().version(version)).unwrap();
        pair.promote_second().unwrap();
        let server = &pair.second;
        let backend = Redis::connect_url(server.url()).await.unwrap();
        let topic = new_topic(&backend, 1).await;
        let publisher = backend.publisher().await.unwrap();
        let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
        let everyone = source(&topic, Scope::Everyone { partitions: None }, Start::Earliest);
        let mut tail = Member::join(&backend, everyone).await;
        publish(&publisher, &topic, numbered(0, 5)).await;
        member.until(|m| m.records.len() == 5).await;
        tail.until(|m| m.records.len() == 5).await;
        let before = (member.shard(0), tail.shard(0));
        assert_ne!(server.info("second_repl_offset").unwrap(), "-1");
        server.ask(&["CONFIG", "SET", "repl-backlog-ttl", "1"]).unwrap();
        member.during(says(server, "second_repl_offset", "-1")).await;
        member.commit_all().await;
        // On new connections, which are told nothing else.
        server
            .ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
            .unwrap();
        let publisher = Redis::connect_url(server.url())
            .await
            .unwrap()
            .publisher()
            .await
            .unwrap();
        publish(&publisher, &topic, numbered(5, 10)).await;
        for member in [&mut member, &mut tail] {
            member.until(|m| m.records.len() >= 10).await;
            assert_eq!(
                member.payloads(),
                (0..10).map(|n| n.to_string()).collect::<Vec<_>>()
            );
            assert!(
                !member.saw(|e| matches!(e, Event::Lost(_))),
                "{:?}",
                member.events
            );
        }
        member.commit_all().await;
        assert_eq!((member.shard(0), tail.shard(0)), before);
    }
}
