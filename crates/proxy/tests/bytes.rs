//! Faults that know nothing of requests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_brokers::Awake;
use bus_proxy::{Protocol, Proxy};
use common::{Client, Server, until};
use std::time::Duration;
use tokio::{net::TcpStream, time::Instant};

async fn through() -> (Server, Proxy, Client) {
    let server = Server::echo().await;
    let proxy = Proxy::start(Protocol::Raw, &server.address).await.unwrap();
    let mut client = Client::connect(&proxy.address()).await;
    client.send("hello").await;
    assert_eq!(client.read(5).await, "hello");
    (server, proxy, client)
}

#[tokio::test]
async fn bytes_pass_and_are_counted() {
    let (_server, proxy, mut client) = through().await;
    let counters = proxy.counters();
    assert_eq!(
        (
            counters.connections,
            counters.bytes_to_server,
            counters.bytes_to_client
        ),
        (1, 5, 5)
    );
    // The end of a stream passes too.
    tokio::io::AsyncWriteExt::shutdown(&mut client.0).await.unwrap();
    assert_eq!(client.rest().await, (vec![], true));
}

#[tokio::test]
async fn a_delay_delays_and_keeps_the_order() {
    let (_server, proxy, mut client) = through().await;
    proxy.change(|f| {
        f.to_server.delay = Duration::from_millis(100);
        f.to_server.jitter = Duration::from_millis(50);
    });
    let sent = Instant::now();
    for piece in ["one", "two", "six"] {
        client.send(piece).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(client.read(9).await, "onetwosix");
    let took = sent.elapsed();
    assert!(took >= Duration::from_millis(105), "{took:?}");
    proxy.heal();
    // One quick answer is proof: a busy machine makes pauses of its own, and no faults take time away.
    let deadline = Instant::now() + common::DEADLINE;
    loop {
        let sent = Instant::now();
        client.send("x").await;
        client.read(1).await;
        if sent.elapsed() < Duration::from_millis(100) {
            break;
        }
        assert!(Instant::now() < deadline, "it was not healed");
    }
}

#[tokio::test]
async fn a_slow_link_is_as_slow_as_it_says() {
    let (_server, proxy, mut client) = through().await;
    proxy.change(|f| f.to_client.rate = Some(20_000));
    let (sent, awake) = (Instant::now(), Awake::begin());
    client.send(vec![b'x'; 10_000]).await;
    client.read(10_000).await;
    let took = (sent.elapsed(), awake.elapsed());
    assert!(
        took.0 >= Duration::from_millis(450) && took.1 < Duration::from_secs(5),
        "{took:?}"
    );
}

#[tokio::test]
async fn a_held_link_accepts_and_gives_nothing_until_it_is_healed() {
    let (server, proxy, mut client) = through().await;
    proxy.change(|f| f.to_server.hold = true);
    client.send("later").await;
    let mut second = Client::connect(&proxy.address()).await;
    second.send("second").await;
    assert!(client.is_silent(Duration::from_millis(200)).await);
    assert_eq!(server.text(), "hello");
    // Not even its end arrives.
    drop(second);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.text(), "hello");
    proxy.heal();
    assert_eq!(client.read(5).await, "later");
    until("what was accepted arrives, though its client has left", || {
        server.times("second") == 1
    })
    .await;
}

#[tokio::test]
async fn answers_can_be_held_alone() {
    let (server, proxy, mut client) = through().await;
    proxy.change(|f| f.to_client.hold = true);
    client.send("asked").await;
    until("the request arrives", || server.times("asked") == 1).await;
    assert!(client.is_silent(Duration::from_millis(100)).await);
    proxy.heal();
    assert_eq!(client.read(5).await, "asked");
}

#[tokio::test]
async fn a_reset_is_a_reset_and_new_connections_are_taken() {
    let (_server, proxy, mut client) = through().await;
    proxy.reset();
    let (bytes, in_order) = client.rest().await;
    assert!(bytes.is_empty() && !in_order);
    let mut again = Client::connect(&proxy.address()).await;
    again.send("again").await;
    assert_eq!(again.read(5).await, "again");
    assert_eq!(proxy.counters().resets, 1);
}

#[tokio::test]
async fn connections_die_after_their_lifetime() {
    let (_server, proxy, mut live) = through().await;
    let range = Duration::from_millis(100)..=Duration::from_millis(200);
    let since = Instant::now();
    proxy.change(|f| f.lifetime = Some(range.clone()));
    assert!(!live.rest().await.1);
    assert!(since.elapsed() >= *range.start());
    let since = Instant::now();
    let mut new = Client::connect(&proxy.address()).await;
    // Another change does not give it a new life.
    tokio::time::sleep(Duration::from_millis(90)).await;
    proxy.change(|f| f.to_client.delay = Duration::from_millis(1));
    assert!(!new.rest().await.1);
    assert!(since.elapsed() >= *range.start());
    assert_eq!(proxy.counters().resets, 2);
}

#[tokio::test]
async fn refused_means_that_nobody_listens() {
    let (_server, proxy, mut client) = through().await;
    proxy.change(|f| f.refuse = true);
    let deadline = Instant::now() + common::DEADLINE;
    let refused = |e: std::io::Error| e.kind() == std::io::ErrorKind::ConnectionRefused;
    while !TcpStream::connect(proxy.address()).await.is_err_and(refused) {
        assert!(Instant::now() < deadline, "nobody is refused");
    }
    client.send("still").await;
    assert_eq!(client.read(5).await, "still");
    proxy.heal();
    let deadline = Instant::now() + common::DEADLINE;
    let stream = loop {
        match TcpStream::connect(proxy.address()).await {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    let mut again = Client(stream);
    again.send("again").await;
    assert_eq!(again.read(5).await, "again");
}

#[tokio::test]
async fn a_cut_comes_after_so_many_bytes() {
    let (_server, proxy, mut client) = through().await;
    proxy.change(|f| f.to_client.cut = Some(10..=10));
    client.send("0123456789abcdef").await;
    let (bytes, _) = client.rest().await;
    assert_eq!(bytes, b"0123456789");
    assert_eq!(proxy.counters().cuts, 1);
}

#[tokio::test]
async fn an_upstream_may_come_later_and_change() {
    let proxy = Proxy::builder(Protocol::Raw).start().await.unwrap();
    assert!(!Client::connect(&proxy.address()).await.rest().await.1);
    let (first, second) = (Server::echo().await, Server::echo().await);
    proxy.set_upstream(&first.address);
    let mut one = Client::connect(&proxy.address()).await;
    one.send("one").await;
    assert_eq!(one.read(3).await, "one");
    proxy.set_upstream(&second.address);
    let mut two = Client::connect(&proxy.address()).await;
    two.send("two").await;
    assert_eq!(two.read(3).await, "two");
    assert_eq!((first.text(), second.text()), ("one".into(), "two".into()));
    let counters = proxy.counters();
    assert_eq!((counters.turned_away, counters.connections), (1, 2));
}

#[tokio::test]
async fn a_given_port_is_used() {
    let free = Proxy::builder(Protocol::Raw).start().await.unwrap().port();
    let deadline = Instant::now() + common::DEADLINE;
    // The first one lets go of it soon after it was dropped.
    let proxy = loop {
        match Proxy::builder(Protocol::Raw).port(free).start().await {
            Ok(proxy) => break proxy,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(proxy.address(), format!("127.0.0.1:{free}"));
}

#[tokio::test]
async fn frozen_connections_stay_silent_and_new_ones_work() {
    let (server, proxy, mut old) = through().await;
    proxy.freeze();
    old.send("old").await;
    let mut new = Client::connect(&proxy.address()).await;
    new.send("new").await;
    assert_eq!(new.read(3).await, "new");
    assert!(old.is_silent(Duration::from_millis(100)).await);
    assert_eq!(server.times("old"), 0);
    proxy.heal();
    assert_eq!(old.read(3).await, "old");
}
