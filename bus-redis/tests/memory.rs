//! A server with too little memory: publishers wait, consumers go on, and what may go goes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Event, Message, Name, TopicSpec};
use bus_redis::Redis;
use common::{full, member::Member, server::Server, *};
use std::time::Duration;

/// The same for ten minutes, with 200 MB and a hundred publishers, is `cargo run -p bus-redis --example full_server`.
#[tokio::test(flavor = "multi_thread")]
async fn publishers_that_come_and_go_and_a_dead_group_do_not_fill_a_server() {
    let report = full::run(full::Plan {
        maxmemory: "24mb",
        keep: Duration::from_secs(2),
        publishers: 20,
        rate: 200,
        duration: Duration::from_secs(15),
        least: 45_000,
    })
    .await;
    assert!(report.errors.is_empty(), "{report:?}");
    // Several times as much as there is room for went through.
    assert!(report.published > 40_000, "{report:?}");
    assert!(report.longest_gap < Duration::from_secs(10), "{report:?}");
    assert!(report.memory_peak < 32 << 20, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_group_is_named_holds_nothing_back_and_is_told_what_it_missed() {
    let config = config()
        .retention(Duration::from_millis(1))
        .abandoned_after(Duration::from_secs(6))
        .ttl(Duration::from_millis(500));
    let backend = Redis::connect(config).await.unwrap();
    let (admin, topic, name) = (backend.admin(), unique("orders"), unique("g"));
    admin.create(&[TopicSpec::new(topic.clone())]).await.unwrap();
    let publisher = backend.publisher().await.unwrap();
    let batch = || vec![Message::new("x"); 500];
    let mut member = Member::join(&backend, group(&topic, &name)).await;
    let receipts = publish(&publisher, &topic, batch()).await;
    member.until(|m| m.records.len() == 500).await;
    let next = receipts[10].position.unwrap();
    let done = bus_core::Done {
        next,
        ..member.done(0)
    };
    member.ack.commit(vec![done]).await.remove(0).unwrap();
    member.subscriber.close().await.unwrap();
    let abandoned = |facts: Vec<(Name, String)>| {
        let fact = facts.iter().find(|(name, _)| &**name == "abandoned groups");
        fact.unwrap().1.contains(&*name)
    };
    assert!(!abandoned(admin.facts().await.unwrap()), "it may come back");
    let mut client = foreign(&url());
    let mut length = || -> usize { redis::cmd("XLEN").arg(&*topic).query(&mut client).unwrap() };
    in_time(async {
        while length() > 100 {
            publish(&publisher, &topic, vec![Message::new("y")]).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    assert!(abandoned(admin.facts().await.unwrap()));

    let mut member = Member::join(&backend, group(&topic, &name)).await;
    member
        .until(|m| m.saw(|e| matches!(e, Event::DataLoss { .. })))
        .await;
    let last = publish(&publisher, &topic, vec![Message::new("z")]).await[0];
    member
        .until(|m| m.records.last().map(|r| r.1.position()) == last.position)
        .await;
    let first = member.records[0].1.position();
    let told = |e: &Event| matches!(e, Event::DataLoss { from, to, .. } if *from == next && *to > next && *to <= first);
    assert!(member.saw(told), "{:?}", member.events);
    assert!(!abandoned(admin.facts().await.unwrap()));
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_takes_new_members_commits_and_releases() {
    let server = Server::start(&["--maxmemory", "100mb", "--maxmemory-policy", "noeviction"]);
    let backend = Redis::connect_url(&server.url()).await.unwrap();
    let topic = unique("orders");
    backend
        .admin()
        .create(&[TopicSpec::new(topic.clone())])
        .await
        .unwrap();
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, vec![Message::new("x"); 10]).await;
    // From now on whatever adds is refused.
    let () = server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let name = unique("g");
    for from in [0, 5] {
        let mut member = Member::join(&backend, group(&topic, &name)).await;
        member.until(|m| m.records.len() == 10 - from).await;
        let next = member.records[4].1.position() + 1;
        let done = bus_core::Done {
            next,
            ..member.done(0)
        };
        member.ack.commit(vec![done]).await.remove(0).unwrap();
        member.subscriber.close().await.unwrap();
    }
    assert_eq!(native_groups(&server.url(), &topic)[0].2, Some(0));
    let pending = publisher.publish_batch(&topic, vec![Message::new("waits")]);
    in_time(async {
        while server.info("errorstat_OOM").is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let () = server.command(&["CONFIG", "SET", "maxmemory", "100mb"]);
    assert!(
        in_time(pending).await[0].is_ok(),
        "it goes on as soon as there is room"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_holds_publishers_back_and_lets_consumers_go_on() {
    let server = Server::start(&["--maxmemory", "8mb", "--maxmemory-policy", "noeviction"]);
    let (backend, topic) = server.with_topic("?publish.timeout=10s").await;
    let publisher = backend.publisher().await.unwrap();
    let mut stored = 0;
    let refused = loop {
        let outcome = in_time(publisher.publish_batch(&topic, vec![Message::new(vec![0; 256 * 1024])]))
            .await
            .remove(0);
        match outcome {
            Ok(_) => stored += 1,
            Err(unsent) => break unsent,
        }
    };
    assert!(!refused.is_unknown(), "{refused}");
    assert!(refused.to_string().contains("maxmemory"), "{refused}");
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    member.until(|m| m.records.len() == stored).await;
    member.commit_all().await;
    let mut client = foreign(&server.url());
    let pending = publisher.publish_batch(&topic, vec![Message::new("after")]);
    redis::cmd("XTRIM")
        .arg(&*topic)
        .arg("MAXLEN")
        .arg(0)
        .exec(&mut client)
        .unwrap();
    assert!(
        in_time(pending).await[0].is_ok(),
        "it goes on as soon as there is room"
    );
    member.subscriber.close().await.unwrap();
}
