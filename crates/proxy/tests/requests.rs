//! Faults that know requests, against tiny servers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_proxy::{Filter, Late, Protocol, Proxy, Rule};
use common::{Client, Server, until};
use std::time::Duration;

/// A client connects anew and has its answer in less, on a slow machine too.
const LATE: Duration = Duration::from_secs(3);

fn command(words: &[&str]) -> String {
    let bulk = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
    format!(
        "*{}\r\n{}",
        words.len(),
        words.iter().map(bulk).collect::<String>()
    )
}

async fn redis() -> (Server, Proxy, Client) {
    let server = Server::redis().await;
    let proxy = Proxy::start(Protocol::Redis, &server.address).await.unwrap();
    let client = Client::connect(&proxy.address()).await;
    (server, proxy, client)
}

#[tokio::test]
async fn the_right_answer_of_a_pipeline_is_swallowed() {
    let (server, proxy, mut client) = redis().await;
    client.send(command(&["PING"])).await;
    assert_eq!(client.read(5).await, "+OK\r\n");
    let strike = proxy.drop_next_reply(Filter::redis(["exec"]));
    let pipeline = [
        command(&["MULTI"]),
        command(&["XADD", "s"]),
        command(&["EXEC"]),
        command(&["PING"]),
    ];
    client.send(pipeline.concat()).await;
    let (answers, _) = client.rest().await;
    assert_eq!(
        String::from_utf8_lossy(&answers),
        "+OK\r\n+OK\r\n",
        "those before it arrive, it does not"
    );
    assert!(strike.happened().await);
    assert_eq!(server.times("EXEC"), 1, "it was carried out");
    assert_eq!(proxy.counters().dropped_replies, 1);
    assert_eq!(proxy.counters().redis_requests("ping"), 2);
}

#[tokio::test]
async fn a_request_arrives_after_its_second_copy() {
    let (server, proxy, mut client) = redis().await;
    let strike = proxy.hold_next_request(Filter::redis(["EXEC"]).containing("first"), LATE);
    client.send(command(&["MULTI"])).await;
    client.read(5).await;
    client
        .send(command(&["EXEC", "first"]) + &command(&["PING", "behind"]))
        .await;
    assert_eq!(client.rest().await, (vec![], true), "the client is hung up on");
    assert!(strike.begun().await);
    let mut again = Client::connect(&proxy.address()).await;
    again.send(command(&["EXEC", "second"])).await;
    assert_eq!(again.read(5).await, "+OK\r\n");
    assert_eq!(server.times("first"), 0);
    assert!(strike.happened().await);
    until("the late one and what was sent behind it arrive", || {
        server.times("first") == 1 && server.times("behind") == 1
    })
    .await;
    let text = server.text();
    assert!(
        text.find("second") < text.find("first") && text.find("first") < text.find("behind"),
        "{text}"
    );
    assert_eq!(proxy.counters().held_requests, 1);
}

#[tokio::test]
async fn a_client_may_wait_for_a_late_request() {
    let (server, proxy, mut client) = redis().await;
    let rule = Rule::hold_request(Filter::redis(["SET"]), 1.0, LATE, Late::Waiting);
    proxy.change(|f| f.rules = vec![rule]);
    let sent = tokio::time::Instant::now();
    client.send(command(&["SET", "a"])).await;
    assert_eq!(client.read(5).await, "+OK\r\n");
    assert!(sent.elapsed() >= LATE);
    assert_eq!(server.times("SET"), 1);
}

#[tokio::test]
async fn chances_are_kept_and_healed() {
    let (server, proxy, client) = redis().await;
    drop(client);
    proxy.change(|f| f.rules = vec![Rule::drop_reply(Filter::redis(["SET"]), 0.5)]);
    let mut lost = 0;
    for _ in 0..100 {
        let mut client = Client::connect(&proxy.address()).await;
        client.send(command(&["SET"])).await;
        match client
            .0
            .readable()
            .await
            .map(|()| client.0.try_read(&mut [0; 16]))
        {
            Ok(Ok(5)) => {}
            _ => lost += 1,
        }
    }
    assert!((20..80).contains(&lost), "{lost} of 100");
    until("every one was carried out", || server.times("SET") == 100).await;
    assert_eq!(proxy.counters().dropped_replies, lost);
    proxy.drop_next_reply(Filter::any());
    proxy.heal();
    let mut client = Client::connect(&proxy.address()).await;
    for _ in 0..20 {
        client.send(command(&["SET"])).await;
        assert_eq!(client.read(5).await, "+OK\r\n");
    }
}

/// A request or a reply of Kafka: here both carry the correlation id where the other has it.
fn kafka(key: i16, id: u32, payload: &str) -> Vec<u8> {
    let mut frame = (8 + payload.len() as u32).to_be_bytes().to_vec();
    frame.extend(key.to_be_bytes());
    frame.extend(9i16.to_be_bytes());
    frame.extend(id.to_be_bytes());
    frame.extend(payload.as_bytes());
    frame
}

/// Answers each request of a chunk with its correlation id.
fn answers(mut requests: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(length) = requests.first_chunk::<4>() {
        let end = 4 + u32::from_be_bytes(*length) as usize;
        out.extend([0, 0, 0, 4]);
        out.extend(&requests[8..12]);
        requests = &requests[end..];
    }
    out
}

#[tokio::test]
async fn kafka_requests_are_told_by_api_key_and_answers_by_correlation_id() {
    let server = Server::start(answers).await;
    let proxy = Proxy::start(Protocol::Kafka, &server.address).await.unwrap();
    let mut client = Client::connect(&proxy.address()).await;
    let strike = proxy.drop_next_reply(Filter::kafka([26]));
    client
        .send([kafka(0, 7, "produce"), kafka(26, 8, "end"), kafka(0, 9, "more")].concat())
        .await;
    let (bytes, _) = client.rest().await;
    assert_eq!(bytes, [0, 0, 0, 4, 0, 0, 0, 7]);
    assert!(strike.happened().await);
    assert_eq!((server.times("end"), server.times("produce")), (1, 1));

    let strike = proxy.hold_next_request(Filter::kafka([26]).containing("again"), LATE);
    let mut client = Client::connect(&proxy.address()).await;
    client.send(kafka(26, 10, "again 1")).await;
    assert_eq!(client.rest().await, (vec![], true));
    let mut client = Client::connect(&proxy.address()).await;
    client.send(kafka(26, 11, "again 2")).await;
    client.read(8).await;
    assert_eq!(server.times("again 1"), 0);
    assert!(strike.happened().await);
    until("it arrives", || server.times("again 1") == 1).await;
    assert_eq!(proxy.counters().kafka_requests(26), 3);
}

#[tokio::test]
async fn a_strike_that_is_called_off_says_so() {
    let (_server, proxy, _client) = redis().await;
    let strike = proxy.drop_next_reply(Filter::any());
    proxy.heal();
    assert!(!strike.begun().await && !strike.happened().await);
}
