//! What sentinels say that are behind, silent or set up wrongly: real ones seldom are when they are asked to be.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_brokers::{Redis as Server, RedisOptions};
use bus_core::{Backend, Scope, Start};
use bus_redis::Redis;
use common::{
    member::{Member, ROOM, numbered},
    *,
};
use parking_lot::Mutex;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[derive(Clone, Copy)]
enum Word {
    /// It names this primary, of this epoch.
    Of(SocketAddr, u64),
    /// It answers every command with this error.
    Error(&'static str),
    /// It takes connections, and never answers.
    Silent,
}

/// A sentinel that says what it is told to.
struct Sentinel {
    at: SocketAddr,
    word: Arc<Mutex<Word>>,
}

impl Sentinel {
    async fn start(word: Word) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let word = Arc::new(Mutex::new(word));
        let says = word.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, says.clone()));
            }
        });
        Self { at, word }
    }
    fn say(&self, word: Word) {
        *self.word.lock() = word;
    }
}

async fn answer(mut stream: TcpStream, word: Arc<Mutex<Word>>) {
    let (mut got, mut answered) = (Vec::new(), 0);
    while stream.read_buf(&mut got).await.is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&got).to_uppercase();
        let is_about = |line: &&str| ["MASTER", "GET-MASTER-ADDR-BY-NAME"].contains(line);
        let asked: Vec<&str> = text.lines().filter(is_about).collect();
        for command in &asked[answered..] {
            let says = *word.lock();
            let reply = match says {
                Word::Silent => return std::future::pending().await,
                Word::Error(text) => format!("-{text}\r\n"),
                Word::Of(at, epoch) => match *command {
                    "MASTER" => words(&["name", "orders", "config-epoch", &epoch.to_string()]),
                    _ => words(&[&at.ip().to_string(), &at.port().to_string()]),
                },
            };
            let _ = stream.write_all(reply.as_bytes()).await;
        }
        answered = asked.len();
    }
}

fn words(words: &[&str]) -> String {
    let bulks = words.iter().map(|w| format!("${}\r\n{w}\r\n", w.len()));
    format!("*{}\r\n{}", words.len(), bulks.collect::<String>())
}

async fn server() -> Server {
    tokio::task::spawn_blocking(|| Server::start(RedisOptions::new()).unwrap())
        .await
        .unwrap()
}

fn has_clients(server: &Server) -> bool {
    let list = server.ask(&["CLIENT", "LIST", "TYPE", "normal"]).unwrap();
    list.contains("name=bus:")
}

fn url(sentinels: &[&Sentinel], timeout: &str) -> String {
    let hosts: Vec<String> = sentinels.iter().map(|s| s.at.to_string()).collect();
    let hosts = hosts.join(",");
    format!("redis-sentinel://{hosts}/orders?ttl=2s&connect.timeout={timeout}")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_latest_failover_is_believed() {
    let (old, new) = (server().await, server().await);
    let behind = Sentinel::start(Word::Of(old.socket(), 1)).await;
    let knows = Sentinel::start(Word::Of(new.socket(), 2)).await;
    let backend = Redis::connect_url(&url(&[&behind, &knows], "10s")).await.unwrap();
    let _publisher = backend.publisher().await.unwrap();
    assert!(has_clients(&new) && !has_clients(&old));
    // Who knew of it is silent now: what is older is still not believed, whatever else there is.
    knows.say(Word::Silent);
    backend.publisher().await.unwrap_err();
    assert!(!has_clients(&old));
    // All of them were made to forget it.
    knows.say(Word::Of(old.socket(), 1));
    let _other = backend.publisher().await.unwrap();
    assert!(has_clients(&old));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_is_noticed_while_the_old_primary_lives_on() {
    let (old, new) = (server().await, server().await);
    let all = [
        Sentinel::start(Word::Of(old.socket(), 1)).await,
        Sentinel::start(Word::Of(old.socket(), 1)).await,
    ];
    let [one, two] = &all;
    let backend = Redis::connect_url(&url(&[one, two], "10s")).await.unwrap();
    let topic = new_topic(&backend, 1).await;
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, numbered(0, 1)).await;
    assert!(has_clients(&old));
    let everyone = source(&topic, Scope::Everyone { partitions: None }, Start::Earliest);
    let mut tail = Member::join(&backend, everyone).await;
    tail.until(|m| m.records.len() == 1).await;
    // The first is behind: the other one's word is enough.
    two.say(Word::Of(new.socket(), 2));
    let leave = async {
        while has_clients(&old) {
            let _ = publisher.publish_batch(&topic, numbered(1, 2)).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut leave = std::pin::pin!(in_time(leave));
    loop {
        tokio::select! {
            () = &mut leave => break,
            // The other server has nothing of this topic.
            result = tail.step(ROOM) => if result.is_err() { leave.as_mut().await; break },
        }
    }
    assert!(has_clients(&new));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_costs_no_more_than_its_share() {
    let server = server().await;
    // The kernel takes the connection, and nobody answers.
    let frozen = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sentinels = [
        Sentinel::start(Word::Silent).await,
        Sentinel::start(Word::Of(frozen.local_addr().unwrap(), 2)).await,
        Sentinel::start(Word::Silent).await,
        Sentinel::start(Word::Of(server.socket(), 2)).await,
    ];
    let [a, b, c, d] = &sentinels;
    // A quarter for the sentinels, half of the rest for each server. A busy machine may take the rest of it away, not always.
    let mut tries = Vec::new();
    while tries.len() < 3 {
        let start = Instant::now();
        let connected = Redis::connect_url(&url(&[a, b, c, d], "8s")).await;
        if connected.is_ok() && start.elapsed() < Duration::from_secs(8) {
            return;
        }
        tries.push((start.elapsed(), connected.err()));
    }
    panic!("{tries:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sentinel_that_is_set_up_wrongly_ends_nothing() {
    let server = server().await;
    let named = Word::Of(server.socket(), 1);
    let sentinels = [
        Sentinel::start(named).await,
        Sentinel::start(named).await,
        Sentinel::start(Word::Error("NOAUTH Authentication required.")).await,
    ];
    let [one, two, wrong] = &sentinels;
    let backend = Redis::connect_url(&url(&[one, two, wrong], "10s")).await.unwrap();
    let topic = new_topic(&backend, 1).await;
    let publisher = backend.publisher().await.unwrap();
    let everyone = source(&topic, Scope::Everyone { partitions: None }, Start::Earliest);
    let mut tail = Member::join(&backend, everyone).await;
    publish(&publisher, &topic, numbered(0, 1)).await;
    tail.until(|m| m.records.len() == 1).await;
    for word in [
        // A port where nobody is, as before the failover is over.
        Word::Of("127.0.0.1:1".parse().unwrap(), 1),
        // Nobody else can say anything for now.
        Word::Error("LOADING Redis is loading the dataset in memory"),
        // They are set up anew.
        Word::Error("ERR No such master with that name"),
    ] {
        one.say(word);
        two.say(word);
        server.ask(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
        let end = tokio::time::Instant::now() + Duration::from_secs(2);
        // An error of a step would be the end of the subscription.
        while let Ok(result) = tokio::time::timeout_at(end, tail.step(ROOM)).await {
            result.unwrap();
        }
        one.say(named);
        two.say(named);
        let before = tail.records.len();
        let sent = publisher.publish_batch(&topic, numbered(1, 2));
        receipt(tail.during(sent).await.remove(0));
        tail.until(|m| m.records.len() > before).await;
    }
}
