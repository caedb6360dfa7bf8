//! A primary that is demoted and promoted again under the same process has another history behind the same connections.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_brokers::{RedisOptions, RedisPair, RedisVersion};
use bus_core::{Backend, ErrorKind, Room, Scope, Start};
use bus_redis::Redis;
use common::{
    member::{Member, losses, numbered},
    *,
};
use std::time::Duration;

/// Makes the first server a replica of the second for as long as it takes to have that one's data, and a primary again.
async fn there_and_back(pair: &RedisPair) {
    let run = pair.first.info("run_id").unwrap();
    pair.demote_first().unwrap();
    in_time(async {
        while pair.first.info("master_link_status").unwrap() != "up" {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    pair.first.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
    assert_eq!(pair.first.info("run_id").unwrap(), run, "the process is the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_lost_as_a_replica_is_told_to_all_who_stayed_connected() {
    for version in [RedisVersion::V7, RedisVersion::V8] {
        let options = RedisOptions::new()
            .version(version)
            .setting("repl-diskless-sync-delay", "0");
        let pair = RedisPair::start(options).unwrap();
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
    let pair = RedisPair::start(RedisOptions::new().setting("repl-diskless-sync-delay", "0")).unwrap();
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
