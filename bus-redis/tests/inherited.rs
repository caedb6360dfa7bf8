//! What a server lost is told to whoever gains the partition, whichever member had read it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Bus, ErrorKind, Message, Name, Raw, Topic};
use bus_proxy::Proxy;
use bus_redis::Redis;
use common::{
    member::{Member, losses, numbered},
    server::Server,
    *,
};
use std::{sync::Arc, time::Duration};

/// A server that has lost what one member read of it; that member does not reach it any more.
struct Lost {
    server: Server,
    proxy: Proxy,
    reader: Member,
    topic: Name,
    group: Name,
    range: (u128, u128),
}

impl Lost {
    async fn new() -> Self {
        let server = Server::start(&[]);
        let (backend, topic) = server.with_topic("?ttl=2s").await;
        let (proxy, config) = proxied(&server.url()).await;
        let distant = Redis::connect(config.ttl(TTL).grace(DEADLINE)).await.unwrap();
        let publisher = backend.publisher().await.unwrap();
        let name = unique("g");
        let mut reader = Member::join(&distant, group(&topic, &name)).await;
        let kept = publish(&publisher, &topic, numbered(0, 5)).await;
        reader.until(|m| m.records.len() == 5).await;
        reader.commit_all().await;
        let () = server.command(&["SAVE"]);
        let lost = publish(&publisher, &topic, numbered(5, 10)).await;
        reader.until(|m| m.records.len() == 10).await;
        reader.commit_all().await;
        proxy.change(|faults| faults.refuse = true);
        proxy.reset();
        server.kill();
        server.restart();
        let range = (kept[4].position.unwrap() + 1, lost[4].position.unwrap() + 1);
        Self {
            server,
            proxy,
            reader,
            topic,
            group: name,
            range,
        }
    }
    async fn backend(&self) -> Redis {
        let config = bus_redis::RedisConfig::from_url(&self.server.url()).unwrap();
        Redis::connect(config.ttl(TTL).grace(DEADLINE)).await.unwrap()
    }
}

const TTL: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn who_owns_the_partition_and_who_gains_it_is_told_what_another_had_read() {
    let mut lost = Lost::new().await;
    let backend = lost.backend().await;
    let mut owner = Member::join(&backend, group(&lost.topic, &lost.group)).await;
    owner.until(|m| m.owned.contains_key(&0)).await;
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &lost.topic, numbered(10, 12)).await;
    owner.until(|m| m.records.len() == 2).await;
    assert_eq!(losses(&owner), [], "nobody there knows of it yet");
    // Its reader comes back, while the partition is another's.
    lost.proxy.heal();
    owner.until(|m| !losses(m).is_empty()).await;
    assert_eq!(losses(&owner), [lost.range]);
    // Nobody has passed it: the next owner is told as well, before anything else.
    owner.subscriber.close().await.unwrap();
    lost.reader.records.clear();
    lost.reader.until(|m| m.records.len() == 2).await;
    assert_eq!(losses(&lost.reader), [lost.range]);
    assert_eq!(lost.reader.payloads(), ["10", "11"]);
    lost.reader.commit_all().await;
    lost.reader.subscriber.close().await.unwrap();
    // Now it is passed.
    publish(&publisher, &lost.topic, numbered(12, 13)).await;
    let mut after = Member::join(&backend, group(&lost.topic, &lost.group)).await;
    after.until(|m| m.records.len() == 1).await;
    assert_eq!((after.payloads(), losses(&after)), (vec!["12".into()], vec![]));
    after.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_group_has_passed_before_anybody_knew_of_it_is_told_once() {
    let mut lost = Lost::new().await;
    let backend = lost.backend().await;
    let mut owner = Member::join(&backend, group(&lost.topic, &lost.group)).await;
    owner.until(|m| m.owned.contains_key(&0)).await;
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &lost.topic, numbered(10, 12)).await;
    owner.until(|m| m.records.len() == 2).await;
    owner.commit_all().await;
    owner.subscriber.close().await.unwrap();
    assert_eq!(losses(&owner), []);
    // Its reader comes back, finds it out, and gains the partition behind it.
    lost.proxy.heal();
    lost.reader.until(|m| !losses(m).is_empty()).await;
    assert_eq!(losses(&lost.reader), [lost.range]);
    lost.reader.subscriber.close().await.unwrap();
    publish(&publisher, &lost.topic, numbered(12, 13)).await;
    let mut after = Member::join(&backend, group(&lost.topic, &lost.group)).await;
    after.until(|m| m.records.len() == 1).await;
    assert_eq!((after.payloads(), losses(&after)), (vec!["12".into()], vec![]));
    after.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_is_told_as_any_other() {
    let lost = Lost::new().await;
    let bus = Bus::new(Arc::new(lost.backend().await)).await.unwrap();
    let pattern: Topic<Vec<u8>, Raw> = Topic::named(format!("{}*", lost.topic));
    let subscribe = || bus.subscribe_pattern(&pattern, &lost.group).no_dead_letters();
    let publisher = lost.backend().await.publisher().await.unwrap();
    // It owns the partition when the loss is found out, and is then a subscription that begins behind one: the policy to
    // stop is kept by both.
    let mut owner = in_time(async { subscribe().await }).await.unwrap();
    publish(&publisher, &lost.topic, vec![Message::new("10")]).await;
    let first = in_time(owner.next()).await.unwrap().unwrap();
    assert_eq!(&*first, b"10");
    lost.proxy.heal();
    let told = in_time(owner.next()).await.unwrap().unwrap_err();
    assert_eq!(told, ErrorKind::DataLoss);
    let range = [lost.range.0, lost.range.1].map(bus_core::position::format);
    let range = format!("positions {} to {}", range[0], range[1]);
    assert!(told.to_string().contains(&range), "{told}, not {range}");
    drop((first, owner, lost.reader));
    let mut next = in_time(async { subscribe().await }).await.unwrap();
    let again = in_time(next.next()).await.unwrap().unwrap_err();
    assert_eq!(again, ErrorKind::DataLoss);
    assert!(again.to_string().contains(&range), "{again}, not {range}");
}
