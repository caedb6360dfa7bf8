//! Publishing is refused with a reason, or done once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_brokers::Awake;
use bus_core::{Backend, ErrorKind, Message, Outcome, Receipt, Scope, Start, Unsent};
use bus_proxy::{Filter, Proxy};
use bus_redis::{Redis, RedisConfig};
use common::{member::Member, server::Server, *};
use std::time::{Duration, Instant};

fn kind(outcome: &Result<Outcome, Unsent>) -> (ErrorKind, bool) {
    let unsent = outcome.as_ref().unwrap_err();
    (unsent.error().kind(), unsent.is_unknown())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_refused_and_its_neighbours_are_not() {
    let (_, _, topic) = with_topic(2).await;
    let backend = Redis::connect(config().message_max(1000)).await.unwrap();
    let publisher = backend.publisher().await.unwrap();
    let missing = in_time(publisher.publish_batch(&unique("missing"), vec![Message::new("x"); 2])).await;
    assert!(
        missing
            .iter()
            .all(|o| kind(o) == (ErrorKind::TopicMissing, false)),
        "{missing:?}"
    );

    let batch = vec![
        Message::new("a").to_partition(1),
        Message::new(vec![0; 1001]).to_partition(1),
        Message::new("b").to_partition(2),
        Message::new("c").to_partition(1),
    ];
    let outcomes = in_time(publisher.publish_batch(&topic, batch)).await;
    assert!(outcomes[0].is_ok() && outcomes[3].is_ok(), "{outcomes:?}");
    assert_eq!(kind(&outcomes[1]), (ErrorKind::TooLarge, false));
    assert_eq!(kind(&outcomes[2]), (ErrorKind::Invalid, false));

    in_time(publisher.close()).await.unwrap();
    in_time(publisher.close()).await.unwrap();
    let closed = in_time(publisher.publish_batch(&topic, vec![Message::new("x")])).await;
    assert_eq!(kind(&closed[0]), (ErrorKind::Closed, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_deleted_under_a_publisher_is_missing_and_stays_so() {
    let (backend, admin, topic) = with_topic(1).await;
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, vec![Message::new("x")]).await;
    admin.delete(&topic).await.unwrap();
    let outcome = in_time(publisher.publish_batch(&topic, vec![Message::new("x")])).await;
    assert_eq!(kind(&outcome[0]), (ErrorKind::TopicMissing, false));
    let exists: bool = redis::cmd("EXISTS")
        .arg(&*topic)
        .query(&mut foreign(&url()))
        .unwrap();
    assert!(!exists, "publishing makes no topic");
    assert_eq!(admin.delete(&topic).await.unwrap_err(), ErrorKind::TopicMissing);
    admin
        .create(&[bus_core::TopicSpec::new(topic.clone())])
        .await
        .unwrap();
    publish(&publisher, &topic, vec![Message::new("x")]).await;
}

/// Replies to such requests are lost, or the requests arrive late; what is stored must be what was sent, once.
async fn faults(url: &str, config: RedisConfig, proxy: &Proxy, requests: Filter) {
    let direct = Redis::connect_url(url).await.unwrap();
    let topic = new_topic(&direct, 2).await;
    let backend = Redis::connect(config).await.unwrap();
    let publisher = backend.publisher().await.unwrap();
    let mut receipts: Vec<Receipt> = Vec::new();
    for round in 0..20 {
        // Longer than a publisher takes to come back and send again.
        let struck = match round % 2 {
            0 => proxy.drop_next_reply(requests.clone()),
            _ => proxy.hold_next_request(requests.clone(), Duration::from_millis(300)),
        };
        let calls: Vec<_> = (0..10)
            .map(|call| {
                let batch = (0..5)
                    .map(|i| Message::new(format!("{:05}", round * 50 + call * 5 + i)).to_partition(i % 2));
                publisher.publish_batch(&topic, batch.collect())
            })
            .collect();
        for call in calls {
            receipts.extend(in_time(call).await.into_iter().map(receipt));
        }
        // What is late must have arrived before it can be missed.
        assert!(in_time(struck.happened()).await);
    }
    assert!(
        receipts.iter().any(|r| r.position.is_none()),
        "a resend found its messages stored"
    );
    let mut member = Member::join(
        &direct,
        source(&topic, Scope::Everyone { partitions: None }, Start::Earliest),
    )
    .await;
    member
        .until(|m| {
            m.events
                .iter()
                .filter(|e| matches!(e, bus_core::Event::CaughtUp(_)))
                .count()
                == 2
        })
        .await;
    for partition in 0..2 {
        let got = member.records.iter().filter(|(s, _)| s.partition == partition);
        let got: Vec<_> = got
            .map(|(_, r)| String::from_utf8_lossy(r.payload().unwrap()).into_owned())
            .collect();
        let expected: Vec<_> = (0..1000)
            .filter(|i| i % 5 % 2 == partition)
            .map(|i| format!("{i:05}"))
            .collect();
        assert_eq!(got, expected, "each once, in order");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_replies_and_late_requests_make_no_duplicate() {
    let (proxy, through) = proxied(&url()).await;
    faults(&url(), through, &proxy, Filter::redis(["EXEC"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_replies_and_late_requests_make_no_duplicate_without_the_right_to_kill() {
    let server = Server::start(&[
        "--user",
        "app",
        "on",
        ">secret",
        "~*",
        "&*",
        "+@all",
        "-client|kill",
    ]);
    let (proxy, through) = proxied(&server.url()).await;
    let config = through.user("app").password("secret");
    faults(
        &server.url(),
        config,
        &proxy,
        Filter::redis(["EVALSHA"]).containing("bus:pid"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_fails_a_publish_at_its_deadline_and_close_is_bounded() {
    let server = Server::start(&[]);
    let backend = Redis::connect_url(&format!("{}?publish.timeout=2s&ttl=2s", server.url()))
        .await
        .unwrap();
    let topic = new_topic(&backend, 1).await;
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, vec![Message::new("x")]).await;
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    member.until(|m| m.records.len() == 1).await;
    server.kill();
    let started = Awake::begin();
    let outcomes = in_time(publisher.publish_batch(&topic, vec![Message::new("y"), Message::new("z")])).await;
    assert!(
        outcomes.iter().all(|o| kind(o).0 == ErrorKind::Timeout),
        "{outcomes:?}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    let text = outcomes[0].as_ref().unwrap_err().to_string();
    assert!(
        text.contains(&format!("127.0.0.1:{}", server.port)) && text.contains(&*topic),
        "{text}"
    );
    assert!(backend.health().is_err());
    let started = Awake::begin();
    in_time(member.subscriber.close()).await.unwrap();
    in_time(publisher.close()).await.unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_is_survived_by_both_sides() {
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let backend = Redis::connect_url(&format!("{}?ttl=60s", server.url()))
        .await
        .unwrap();
    let topic = new_topic(&backend, 1).await;
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    publish(&publisher, &topic, vec![Message::new("0")]).await;
    member.until(|m| m.records.len() == 1).await;
    member.commit_all().await;
    let first = member.shard(0);
    server.kill();
    let killed = Instant::now();
    let pending = publisher.publish_batch(&topic, vec![Message::new("1")]);
    server.restart();
    assert!(in_time(pending).await[0].is_ok());
    member
        .until(|m| m.owned.get(&0).is_some_and(|o| o.0.epoch > first.epoch) && m.records.len() == 2)
        .await;
    assert_eq!(member.payloads(), ["0", "1"]);
    // Its own lease does not have to run out.
    assert!(
        killed.elapsed() < Duration::from_secs(55),
        "{:?}",
        killed.elapsed()
    );
    member.commit_all().await;
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_says_what_is_wrong() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = Redis::connect_url(&format!("redis://u:s3cret@127.0.0.1:{port}"))
        .await
        .unwrap_err();
    assert_eq!(error, ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains(&format!("127.0.0.1:{port}")) && text.contains("redis-cli") && !text.contains("s3cret"),
        "{text}"
    );
    // A listener that never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "redis://127.0.0.1:{}?connect.timeout=300ms",
        silent.local_addr().unwrap().port()
    );
    assert_eq!(
        in_time(Redis::connect_url(&url)).await.unwrap_err(),
        ErrorKind::Unavailable
    );

    let server = Server::start(&["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"]);
    let () = server.command(&["CONFIG", "SET", "requirepass", "s3cret"]);
    assert_eq!(
        Redis::connect_url(&server.url()).await.unwrap_err(),
        ErrorKind::Denied
    );
    let wrong = format!("redis://:wr0ng@127.0.0.1:{}", server.port);
    let error = Redis::connect_url(&wrong).await.unwrap_err();
    assert!(
        error == ErrorKind::Denied && !error.to_string().contains("wr0ng"),
        "{error}"
    );
    let error = Redis::connect_url(&format!("redis://:s3cret@127.0.0.1:{}", server.port))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("noeviction"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn flushed_scripts_are_loaded_again() {
    let server = Server::start(&[
        "--user",
        "app",
        "on",
        ">secret",
        "~*",
        "&*",
        "+@all",
        "-client|kill",
    ]);
    let backend = Redis::connect_url(&format!("redis://app:secret@127.0.0.1:{}", server.port))
        .await
        .unwrap();
    let topic = new_topic(&backend, 1).await;
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    member.until(|m| m.owned.len() == 1).await;
    let mut client = foreign(&server.url());
    for count in 1..4 {
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut client).unwrap();
        publish(&publisher, &topic, vec![Message::new("x")]).await;
        member.until(|m| m.records.len() == count).await;
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut client).unwrap();
        member.commit_all().await;
    }
}
