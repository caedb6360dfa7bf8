//! What a server refuses for now is tried again, with pauses; what it refuses for good is told.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, ErrorKind, Event, Message};
use bus_redis::Redis;
use common::{member::Member, server::Server, *};
use std::time::Duration;

fn number(server: &Server, field: &str) -> u64 {
    server.info(field).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_a_replica_for_a_while_holds_everybody_back() {
    let server = Server::start(&[]);
    // Its leases outlive the moment in which nothing may be told.
    let (backend, topic) = server.with_topic("?ttl=9s").await;
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    publish(&publisher, &topic, vec![Message::new("0")]).await;
    member.until(|m| m.records.len() == 1).await;
    // `READONLY`, then `MASTERDOWN`.
    for (round, stale) in [(1, "yes"), (2, "no")] {
        let () = server.command(&["CONFIG", "SET", "replica-serve-stale-data", stale]);
        let () = server.command(&["REPLICAOF", "127.0.0.1", "1"]);
        let error = Redis::connect_url(&server.url()).await.unwrap_err();
        assert!(
            error == ErrorKind::Unsupported && error.to_string().contains("127.0.0.1:1"),
            "{error}"
        );
        let commands = number(&server, "total_commands_processed");
        let pending = publisher.publish_batch(&topic, vec![Message::new(format!("{round}"))]);
        let done = member.done(0);
        let ack = member.ack.clone();
        let commit = tokio::spawn(async move { ack.commit(vec![done]).await.remove(0) });
        has_refused(&server, ["READONLY", "MASTERDOWN"][round - 1]).await;
        // A second of it, counted.
        let told = tokio::time::timeout(Duration::from_secs(1), member.step(common::member::ROOM)).await;
        assert!(told.is_err(), "{:?}", member.events);
        let commands = number(&server, "total_commands_processed") - commands;
        assert!(
            commands < 1000,
            "{commands} commands in about a second: that is a spin"
        );
        let () = server.command(&["REPLICAOF", "NO", "ONE"]);
        let outcomes = in_time(pending).await;
        assert!(outcomes[0].is_ok(), "{outcomes:?}");
        // It may have had another server's data: what was read before is settled no more, and comes again.
        assert_eq!(in_time(commit).await.unwrap().unwrap_err(), ErrorKind::Fenced);
        let expected: Vec<_> = (0..=round).map(|i| i.to_string()).collect();
        member.until(|m| m.payloads().ends_with(&expected)).await;
    }
    assert_eq!(member.payloads(), ["0", "0", "1", "0", "1", "2"]);
    assert!(!member.saw(|e| matches!(e, Event::DataLoss { .. })), "it had not");
    member.commit_all().await;
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_holds_something_else_ends_the_topic_without_a_spin() {
    let server = Server::start(&[]);
    let (backend, topic) = server.with_topic("?ttl=9s").await;
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, vec![Message::new("0")]).await;
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    member.until(|m| m.records.len() == 1).await;
    let connections = number(&server, "total_connections_received");
    let () = server.command(&["SET", &topic, "a string"]);
    member
        .until(|m| m.saw(|e| matches!(e, Event::TopicLost(_))) && m.owned.is_empty())
        .await;
    let connections = number(&server, "total_connections_received") - connections;
    // A lease is renewed every three seconds; until then the reader tries, ever later.
    assert!(connections < 20, "{connections} connections: that is a spin");
    let outcome = in_time(publisher.publish_batch(&topic, vec![Message::new("1")]))
        .await
        .remove(0);
    let unsent = outcome.unwrap_err();
    assert!(
        unsent.error() == &ErrorKind::Conflict && !unsent.is_unknown(),
        "{unsent}"
    );
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_connections_cost_nothing() {
    let server = Server::start(&[]);
    let (backend, topic) = server.with_topic("?ttl=2s").await;
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    member.until(|m| m.owned.len() == 1).await;
    let sending = tokio::spawn({
        let (topic, url) = (topic.clone(), server.url());
        async move {
            for i in 0..300 {
                if i % 15 == 0 {
                    // Everybody's, ours in the middle of whatever they do.
                    let mut killer = foreign(&url);
                    let _: u64 = redis::cmd("CLIENT")
                        .arg(&["KILL", "TYPE", "normal"])
                        .query(&mut killer)
                        .unwrap();
                }
                publish(&publisher, &topic, vec![Message::new(format!("{i}"))]).await;
            }
        }
    });
    while member.records.len() < 300 {
        in_time(member.step(common::member::ROOM)).await.unwrap();
        member.commit_all().await;
    }
    in_time(sending).await.unwrap();
    assert_eq!(
        member.payloads(),
        (0..300).map(|i| format!("{i}")).collect::<Vec<_>>()
    );
    assert!(!member.saw(|e| matches!(e, Event::Lost(_))));
    member.subscriber.close().await.unwrap();
    assert_eq!(native_groups(&server.url(), &topic)[0].2, Some(0));
}

/// Waits until the server has refused something with this code.
async fn has_refused(server: &Server, code: &str) {
    in_time(async {
        while server.info(&format!("errorstat_{code}")).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loads_its_data_is_waited_for() {
    let slowly = [
        "--key-load-delay",
        "1000",
        "--loading-process-events-interval-bytes",
        "1024",
    ];
    let server = Server::start(&[&slowly[..], &["--enable-debug-command", "yes"]].concat());
    let (backend, topic) = server.with_topic("?ttl=2s").await;
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    publish(&publisher, &topic, vec![Message::new("0")]).await;
    member.until(|m| m.records.len() == 1).await;
    member.commit_all().await;
    // Six seconds of it.
    let () = server.command(&["DEBUG", "POPULATE", "6000", "filler"]);
    let () = server.command(&["SAVE"]);
    server.kill();
    let pending = publisher.publish_batch(&topic, vec![Message::new("1")]);
    server.restart();
    assert!(in_time(pending).await[0].is_ok());
    member.until(|m| m.records.len() == 2).await;
    assert!(
        !server.info("errorstat_LOADING").is_empty(),
        "it was asked while it was loading"
    );
    assert_eq!(member.payloads(), ["0", "1"]);
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_all_its_slots_is_waited_for() {
    let server = Server::start(&["--cluster-enabled", "yes"]);
    let () = server.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let (backend, topic) = loop {
        if server
            .command::<String>(&["CLUSTER", "INFO"])
            .contains("cluster_state:ok")
        {
            break server.with_topic("?ttl=2s").await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    publish(&publisher, &topic, vec![Message::new("0")]).await;
    member.until(|m| m.records.len() == 1).await;
    let () = server.command(&["CLUSTER", "DELSLOTSRANGE", "0", "16383"]);
    let pending = publisher.publish_batch(&topic, vec![Message::new("1")]);
    has_refused(&server, "CLUSTERDOWN").await;
    let () = server.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let outcomes = in_time(pending).await;
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    member.until(|m| m.records.len() == 2).await;
    member.commit_all().await;
    member.subscriber.close().await.unwrap();
}
