//! Sentinels move the primary: everybody follows within seconds, and what that loses is told exactly.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_brokers::{RedisOptions, RedisPair, RedisSentinels};
use bus_core::{Backend, ErrorKind, Event, Scope, Start};
use bus_redis::Redis;
use common::{
    member::{Member, losses, numbered},
    *,
};
use std::time::{Duration, Instant};

/// On a busy machine a server may be silent for long; nobody is replaced for that in the middle of a test.
const NEVER: Duration = Duration::from_secs(600);

struct Watched {
    pair: RedisPair,
    sentinels: RedisSentinels,
}

impl Watched {
    async fn start() -> Self {
        let start = || {
            let pair = RedisPair::start(RedisOptions::new().appendonly(true)).unwrap();
            let sentinels = RedisSentinels::start("orders", &pair, RedisOptions::new()).unwrap();
            let watched = Self { pair, sentinels };
            watched.down_after(NEVER);
            watched
        };
        tokio::task::spawn_blocking(start).await.unwrap()
    }
    fn url(&self, options: &str) -> String {
        format!(
            "redis-sentinel://{}/orders?ttl=2s{options}",
            self.sentinels.hosts()
        )
    }
    /// From when on the sentinels call a server down that does not answer.
    fn down_after(&self, silent: Duration) {
        let silent = silent.as_millis().to_string();
        for sentinel in &self.sentinels.sentinels {
            let words = ["SENTINEL", "SET", "orders", "down-after-milliseconds", &silent];
            sentinel.ask(&words).unwrap();
        }
    }
    /// Kills the first server, and waits until every sentinel's word is the second.
    async fn fail_over(&self) {
        self.pair.first.kill9().unwrap();
        self.down_after(Duration::from_millis(500));
        let second = self.pair.second.socket().to_string();
        let knows = |sentinel: &bus_brokers::Redis| {
            let told = sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "orders"]);
            told.is_ok_and(|told| told.replace('\n', ":") == second)
        };
        in_time(async {
            while !self.sentinels.sentinels.iter().all(knows) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        self.down_after(NEVER);
    }
    /// Starts the first server again, and waits until it is a replica that has everything. A sentinel makes it one 8 to 30 s
    /// after it is back, as it happens to look; an operator who does not wait for that says it himself.
    async fn first_returns(&self) {
        self.pair.first.restart().unwrap();
        let second = self.pair.second.socket();
        let (host, port) = (second.ip().to_string(), second.port().to_string());
        self.pair.first.ask(&["REPLICAOF", &host, &port]).unwrap();
        in_time(async {
            let says = |name| self.pair.first.info(name).unwrap_or_default();
            while says("role") != "slave" || says("master_link_status") != "up" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_loses_and_repeats_nothing_that_a_replica_has_confirmed() {
    let watched = Watched::start().await;
    let backend = Redis::connect_url(&watched.url("&durability=replicas(1)"))
        .await
        .unwrap();
    let topic = new_topic(&backend, 1).await;
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    // The topic and the group are the replica's too.
    publish(&publisher, &topic, numbered(0, 5)).await;
    member.until(|m| m.records.len() == 5).await;
    member.commit_all().await;
    watched.pair.wait_in_sync(DEADLINE).unwrap();
    let flying: Vec<_> = (5..200)
        .map(|n| publisher.publish_batch(&topic, numbered(n, n + 1)))
        .collect();
    let killed = Instant::now();
    member.during(watched.fail_over()).await;
    // There is nobody to confirm anything until it comes back, as a replica.
    member.during(watched.first_returns()).await;
    for outcome in flying {
        receipt(member.during(outcome).await.remove(0));
    }
    eprintln!("all confirmed {:?} after the kill", killed.elapsed());
    // What was read of the first server may be delivered again by the second, but the log has each once and in order.
    let whole = source(&topic, Scope::Everyone { partitions: None }, Start::Earliest);
    let mut tail = Member::join(&backend, whole).await;
    tail.until(|m| m.records.len() == 200).await;
    let all: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    assert_eq!(tail.payloads(), all);
    member
        .until(|m| m.payloads().last().is_some_and(|p| p == "199"))
        .await;
    member.commit_all().await;
    assert_eq!(losses(&tail), []);
    // It may have read what nobody had confirmed yet, and was then told that this is gone: never of anything else.
    let there: Vec<u128> = tail.records.iter().map(|(_, r)| r.position()).collect();
    for (from, to) in losses(&member) {
        assert!(!there.iter().any(|at| (from..to).contains(at)), "{from}..{to}");
    }
    // The first server has it all by replication; nobody of ours came to it since it is back.
    let mut clients = watched.pair.first.ask(&["CLIENT", "LIST", "TYPE", "normal"]);
    in_time(async {
        // No answer says nothing: a server that changes its role closes connections.
        while clients.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            clients = watched.pair.first.ask(&["CLIENT", "LIST", "TYPE", "normal"]);
        }
    })
    .await;
    assert!(!clients.as_ref().unwrap().contains("name=bus:"), "{clients:?}");
    assert!(
        watched
            .pair
            .second
            .ask(&["CLIENT", "LIST"])
            .unwrap()
            .contains("name=bus:")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failover_loses_is_told_exactly() {
    let watched = Watched::start().await;
    let backend = Redis::connect_url(&watched.url("")).await.unwrap();
    let topic = new_topic(&backend, 1).await;
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    let everyone = source(&topic, Scope::Everyone { partitions: None }, Start::Earliest);
    let mut tail = Member::join(&backend, everyone).await;
    let kept = publish(&publisher, &topic, numbered(0, 5)).await;
    member.until(|m| m.records.len() == 5).await;
    member.commit_all().await;
    watched.pair.wait_in_sync(DEADLINE).unwrap();
    // From here on the replica does not get in any more.
    let second = &watched.pair.second;
    second.ask(&["CONFIG", "SET", "masteruser", "nobody"]).unwrap();
    second.ask(&["CONFIG", "SET", "masterauth", "wrong"]).unwrap();
    let first = &watched.pair.first;
    first.ask(&["CLIENT", "KILL", "TYPE", "replica"]).unwrap();
    let lost = publish(&publisher, &topic, numbered(5, 10)).await;
    member.until(|m| m.records.len() == 10).await;
    tail.until(|m| m.records.len() == 10).await;
    member.during(watched.fail_over()).await;
    let range = (kept[4].position.unwrap() + 1, lost[4].position.unwrap() + 1);
    for member in [&mut member, &mut tail] {
        member.until(|m| !losses(m).is_empty()).await;
        assert_eq!(losses(member), [range]);
    }
    let told = in_time(publisher.publish_batch(&topic, numbered(90, 91)))
        .await
        .remove(0);
    let told = match told {
        Ok(_) => in_time(publisher.publish_batch(&topic, numbered(91, 92)))
            .await
            .remove(0),
        told => told,
    };
    assert_eq!(told.unwrap_err().error(), &ErrorKind::DataLoss);
    // Once; and everybody goes on, also when the first server is back.
    member.during(watched.first_returns()).await;
    let again = publish(&publisher, &topic, numbered(10, 12)).await;
    assert!(again[0].position.unwrap() >= range.1);
    for member in [&mut member, &mut tail] {
        member
            .until(|m| m.payloads().last().is_some_and(|p| p == "11"))
            .await;
        // It is told again to whoever gains the partition again, as long as nothing behind it is stored.
        let told = losses(member);
        assert!(told.iter().all(|told| *told == range), "{told:?}");
    }
    member.commit_all().await;
    assert!(member.saw(|e| matches!(e, Event::Lost(_))));
}

/// The sentinels that are silent may know of a failover of which the one that answers has not heard.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_has_just_started_is_not_believed_while_sentinels_are_silent() {
    let watched = Watched::start().await;
    let backend = Redis::connect_url(&watched.url("")).await.unwrap();
    let topic = new_topic(&backend, 1).await;
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, numbered(0, 5)).await;
    // The one that is left cannot replace anybody.
    for sentinel in &watched.sentinels.sentinels[1..] {
        sentinel.pause().unwrap();
    }
    let first = &watched.pair.first;
    first.kill9().unwrap();
    first.restart().unwrap();
    publish(&publisher, &topic, numbered(5, 6)).await;
    let uptime: u64 = first.info("uptime_in_seconds").unwrap().parse().unwrap();
    assert!(uptime >= 10, "believed after {uptime} s");
    for sentinel in &watched.sentinels.sentinels[1..] {
        sentinel.resume().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_does_not_help_is_passed_over_and_named_where_none_does() {
    let watched = Watched::start().await;
    let hosts = watched.sentinels.hosts();
    let connect = |url: String| async move { Redis::connect_url(&url).await };
    // Nobody listens on port 1; the replica is no sentinel.
    let replica = watched.pair.second.socket();
    connect(format!("redis-sentinel://127.0.0.1:1,{replica},{hosts}/orders"))
        .await
        .unwrap();
    let error = connect(format!("redis-sentinel://{hosts}/invoices"))
        .await
        .unwrap_err();
    assert_eq!(error, ErrorKind::Invalid);
    assert!(error.message().contains("`invoices`"), "{error}");
    let error = connect("redis-sentinel://127.0.0.1:1/orders".into())
        .await
        .unwrap_err();
    assert_eq!(error, ErrorKind::Unavailable);
    assert!(
        error
            .message()
            .contains("sentinel get-master-addr-by-name orders"),
        "{error}"
    );
    // A password of its own.
    let first = &watched.sentinels.sentinels[0];
    first
        .ask(&["ACL", "SETUSER", "default", "resetpass", ">s3cret"])
        .unwrap();
    let alone = first.socket();
    for (options, kind) in [
        ("", Some(ErrorKind::Denied)),
        ("?sentinel.password=wr0ng", Some(ErrorKind::Denied)),
        ("?sentinel.password=s3cret", None),
        ("?sentinel.user=default&sentinel.password=s3cret", None),
    ] {
        let result = connect(format!("redis-sentinel://{alone}/orders{options}")).await;
        let error = result.err();
        assert_eq!(error.as_ref().map(|e| e.kind()), kind, "{options}: {error:?}");
        let told = error.map_or(String::new(), |e| e.to_string());
        assert!(!told.contains("s3cret") && !told.contains("wr0ng"), "{told}");
    }
}

/// A replica has what its primary confirmed, or not: it is neither written nor read.
#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_names_a_replica_is_not_believed() {
    let watched = Watched::start().await;
    // This one says so of the replica; the others know better.
    let (first, replica) = (&watched.sentinels.sentinels[0], watched.pair.second.socket());
    first.ask(&["SENTINEL", "REMOVE", "orders"]).unwrap();
    let (host, port) = (replica.ip().to_string(), replica.port().to_string());
    first
        .ask(&["SENTINEL", "MONITOR", "orders", &host, &port, "2"])
        .unwrap();
    let alone = format!("redis-sentinel://{}/orders", first.socket());
    let error = Redis::connect_url(&alone).await.unwrap_err();
    assert!(
        error == ErrorKind::Unavailable && error.message().contains("replica"),
        "{error}"
    );
    Redis::connect_url(&watched.url("")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_replaced_while_it_lives_is_left_before_it_is_demoted() {
    let watched = Watched::start().await;
    let backend = Redis::connect_url(&watched.url("")).await.unwrap();
    let topic = new_topic(&backend, 1).await;
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    publish(&publisher, &topic, numbered(0, 5)).await;
    member.until(|m| m.records.len() == 5).await;
    member.commit_all().await;
    watched.pair.wait_in_sync(DEADLINE).unwrap();
    let (first, second) = (&watched.pair.first, &watched.pair.second);
    let sentinel = &watched.sentinels.sentinels[0];
    in_time(async {
        // Until it knows that the replica is good.
        while sentinel.ask(&["SENTINEL", "FAILOVER", "orders"]).is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let (mut stored, mut told, mut number) = (Vec::new(), 0, 5);
    loop {
        // A server that is promoted or demoted closes connections.
        let Ok(clients) = first.ask(&["CLIENT", "LIST", "TYPE", "normal"]) else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let moved = second
            .ask(&["CLIENT", "LIST"])
            .is_ok_and(|clients| clients.contains("name=bus:publish"));
        // Connections that nobody uses may stay: they are not used again.
        if moved
            && !["publish", "read"]
                .iter()
                .any(|role| clients.contains(&format!("name=bus:{role}")))
        {
            break;
        }
        let sent = publisher.publish_batch(&topic, numbered(number, number + 1));
        match member.during(sent).await.remove(0) {
            Ok(outcome) => {
                receipt(Ok(outcome));
                stored.push(number.to_string());
            }
            Err(unsent) => {
                assert_eq!(unsent.error(), &ErrorKind::DataLoss);
                told += 1;
            }
        }
        number += 1;
    }
    // It is still there, and would have gone on confirming.
    assert_eq!(first.info("role").unwrap(), "master");
    let sent = publisher.publish_batch(&topic, vec![bus_core::Message::new("last")]);
    receipt(member.during(sent).await.remove(0));
    member
        .until(|m| m.payloads().last().is_some_and(|p| p == "last"))
        .await;
    member.commit_all().await;
    // What is not in the log that stayed was told, and nothing else.
    let everyone = source(&topic, Scope::Everyone { partitions: None }, Start::Earliest);
    let mut tail = Member::join(&backend, everyone).await;
    tail.until(|m| m.payloads().last().is_some_and(|p| p == "last"))
        .await;
    let there = tail.payloads();
    let gone = stored.iter().filter(|payload| !there.contains(payload)).count();
    assert_eq!(gone > 0, told > 0, "{gone} gone, {told} told");
    let positions: Vec<u128> = tail.records.iter().map(|(_, r)| r.position()).collect();
    for (from, to) in losses(&member) {
        assert!(
            !positions.iter().any(|at| (from..to).contains(at)),
            "{from}..{to}"
        );
    }
    assert_eq!(losses(&tail), []);
}
