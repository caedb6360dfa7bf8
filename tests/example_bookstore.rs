//! `examples/bookstore`: what is searched is told of, on every backend, and a search does not suffer by it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "harness/http.rs"]
mod http;
#[path = "harness/program.rs"]
mod program;

use bus::{Bus, Bytes, Raw, Record, Start, Topic};
use bus_brokers::Awake;
use http::Http;
use program::{Program, example, unique};
use rustix::process::Signal;
use std::time::Duration;

const SERVICES: [&str; 3] = ["web", "trend-svr", "rec-svr"];

/// A shop with its own topic and groups, in a file as the application has it.
struct Shop {
    file: std::path::PathBuf,
    url: Option<String>,
    topic: String,
}

impl Shop {
    /// `broker` as the file's section has it, or another bus by its URL.
    fn new(brokers: &str, url: Option<String>) -> Self {
        let (topic, file) = (
            unique("lr-book-searches"),
            std::env::temp_dir().join(unique("bookstore") + ".yml"),
        );
        let text = include_str!("../examples/bookstore/config.yml")
            .replace("127.0.0.1:3000", "127.0.0.1:0")
            .replace("localhost:9092", brokers)
            .replace("lr-book-searches", &topic)
            .replace("lr-bookstore", &unique("lr"));
        assert!(!text.contains("localhost") && text.contains(&topic));
        std::fs::write(&file, text).unwrap();
        Self { file, url, topic }
    }
    fn memory() -> Self {
        Self::new("127.0.0.1:1", Some("memory://".to_owned()))
    }
    fn run(&self, services: &[&str]) -> Program {
        Program::start(self.command(services))
    }
    fn command(&self, services: &[&str]) -> std::process::Command {
        let mut command = example("bookstore");
        command.arg("--config").arg(&self.file).args(services);
        if let Some(url) = &self.url {
            command.args(["--url", url]);
        }
        command
    }
    #[cfg(any(feature = "kafka", feature = "redis"))]
    fn bus_url(&self) -> String {
        let text = std::fs::read_to_string(&self.file).unwrap();
        let brokers = text
            .split("brokers: [")
            .nth(1)
            .unwrap()
            .split(']')
            .next()
            .unwrap();
        self.url.clone().unwrap_or_else(|| format!("kafka://{brokers}"))
    }
    /// What is in the topic, read by another program's bus.
    #[cfg(any(feature = "kafka", feature = "redis"))]
    async fn stored(&self) -> Vec<Record> {
        let bus = Bus::connect(&self.bus_url()).await.unwrap();
        let topic: Topic<Bytes, Raw> = Topic::named(self.topic.clone());
        let mut records = Vec::new();
        let mut events = bus.observe(&topic).until(Start::Latest).await.unwrap();
        while let Some(event) = events.next().await.transpose().unwrap() {
            records.push(event.record().clone());
            event.ack();
        }
        records
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

fn web(program: &Program) -> Http {
    let line = program.prints(1, "web: listening on ").remove(0);
    Http::connect(line.rsplit(' ').next().unwrap())
}

fn search(web: &mut Http, query: &str) -> serde_json::Value {
    let (status, body) = web.get(&format!("/books?q={query}"));
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn stops(program: Program) -> Vec<String> {
    program.signal(Signal::TERM);
    let (code, printed, logged) = program.ends();
    assert_eq!(code, Some(0), "{}", logged.join("\n"));
    printed
}

/// The three services: rust, rust, kafka.
fn trends(shop: &Shop) {
    let program = shop.run(&[]);
    let mut web = web(&program);
    // One after the other: there is no order between keys.
    for (n, query) in (1..).zip(["rust", "rust", "kafka"]) {
        assert!(!search(&mut web, query).as_array().unwrap().is_empty());
        program.prints(n, "trend-svr: ");
    }
    program.prints(1, "trend-svr: rust 2, kafka 1");
    program.prints(3, "rec-svr: ");
    let mut printed = stops(program);
    printed.retain(|line| !line.starts_with("web: "));
    printed.sort();
    let rust = "rec-svr: rust: The Rust Programming Language by Steve Klabnik";
    let kafka = "rec-svr: kafka: Kafka: The Definitive Guide by Neha Narkhede";
    let trend = [
        "trend-svr: rust 1",
        "trend-svr: rust 2",
        "trend-svr: rust 2, kafka 1",
    ];
    assert_eq!(printed, [&[kafka, rust, rust][..], &trend[..]].concat());
}

#[test]
fn on_memory_the_services_run_in_one_process() {
    trends(&Shop::memory());
}

#[cfg(feature = "kafka")]
fn kafka() -> Shop {
    let url = program::server("BUS_TEST_KAFKA");
    Shop::new(url.trim_start_matches("kafka://"), None)
}

#[cfg(feature = "redis")]
fn redis() -> Shop {
    Shop::new("127.0.0.1:1", Some(program::server("BUS_TEST_REDIS")))
}

#[cfg(any(feature = "kafka", feature = "redis"))]
mod with_a_server {
    use super::*;

    /// One event a search, as it was written for this shop.
    async fn events(shop: &Shop) {
        let program = shop.run(&["web"]);
        let mut web = web(&program);
        let found = search(&mut web, "rust");
        assert_eq!(found[0]["created_at"], "2024-04-10 07:01:51");
        assert_eq!(search(&mut web, ""), serde_json::json!([]));
        assert_eq!(search(&mut web, "cobol"), serde_json::json!([]));
        assert_eq!(search(&mut web, "%E4%B8%89%E4%BD%93")[0]["title"], "三体");
        assert_eq!(stops(program).len(), 1);

        let events = shop.stored().await;
        let keys: Vec<_> = events
            .iter()
            .map(|event| String::from_utf8_lossy(event.key().unwrap()))
            .collect();
        assert_eq!(
            keys,
            ["rust", "cobol", "三体"],
            "nothing is told of an empty query"
        );
        let payload = |n: usize| String::from_utf8(events[n].payload().unwrap().to_vec()).unwrap();
        assert_eq!(payload(1), "[]");
        let rust = r#"{"title":"The Rust Programming Language","author":"Steve Klabnik","created_at":"2024-04-10 07:01:51"}"#;
        assert!(
            payload(0).starts_with(&format!("[{rust},")) && payload(0).ends_with(']'),
            "{}",
            payload(0)
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&payload(0)).unwrap(),
            found
        );
    }

    /// Five searches while nobody listens.
    fn earlier_searches_are_seen(shop: &Shop) {
        let program = shop.run(&["web"]);
        let mut web = web(&program);
        (0..5).for_each(|_| drop(search(&mut web, "rust")));
        stops(program);
        let trend = shop.run(&["trend-svr"]);
        trend.prints(1, "trend-svr: rust 5");
        assert_eq!(stops(trend).len(), 5);
    }

    async fn nothing_is_lost_at_the_end(shop: &Shop) {
        let program = shop.run(&["web"]);
        let address = program.prints(1, "web: listening on ").remove(0);
        let address = address.rsplit(' ').next().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let mut web = Http::connect(address);
                    (0..50).for_each(|_| drop(search(&mut web, "rust")));
                });
            }
        });
        stops(program);
        assert_eq!(shop.stored().await.len(), 1000);
    }

    /// Each service a process.
    fn three_processes(shop: &Shop) {
        let [web, trend, rec] = SERVICES.map(|service| shop.run(&[service]));
        let mut asked = super::web(&web);
        for query in ["rust", "rust", "kafka"] {
            search(&mut asked, query);
        }
        trend.prints(1, "trend-svr: rust 2, kafka 1");
        rec.prints(3, "rec-svr: ");
        for service in [web, trend, rec] {
            stops(service);
        }
    }

    async fn everything(shop: fn() -> Shop) {
        trends(&shop());
        three_processes(&shop());
        events(&shop()).await;
        earlier_searches_are_seen(&shop());
        nothing_is_lost_at_the_end(&shop()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[cfg(feature = "kafka")]
    async fn kafka() {
        everything(super::kafka).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[cfg(feature = "redis")]
    async fn redis() {
        everything(super::redis).await;
    }
}

/// Nobody listens at the port that this returns.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// The shop opens without its bus, and one warning says where that was looked for.
fn without_a_broker(shop: &Shop, address: &str) {
    let begun = Awake::begin();
    let program = shop.run(&["web"]);
    let mut web = web(&program);
    for _ in 0..3 {
        assert_eq!(search(&mut web, "rust")[0]["author"], "Steve Klabnik");
    }
    program.logs(1, "WARN");
    program.signal(Signal::TERM);
    let (code, _, logged) = program.ends();
    let warnings: Vec<_> = logged.iter().filter(|line| line.contains("WARN")).collect();
    assert_eq!((code, warnings.len()), (Some(0), 1), "{}", logged.join("\n"));
    assert!(
        logged
            .iter()
            .any(|line| line.contains("WARN") && line.contains(address)),
        "{logged:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
}

#[test]
#[cfg(feature = "kafka")]
fn without_kafka_a_search_is_answered() {
    let address = format!("127.0.0.1:{}", closed_port());
    without_a_broker(&Shop::new(&address, None), &address);
}

#[test]
#[cfg(feature = "redis")]
fn without_redis_a_search_is_answered() {
    let address = format!("127.0.0.1:{}", closed_port());
    without_a_broker(
        &Shop::new("127.0.0.1:1", Some(format!("redis://{address}"))),
        &address,
    );
}

/// A broker that goes down while the shop is open, and comes back: searches are answered throughout, one warning of the shop says
/// that (with `told` in it), and what is searched afterwards is told of again.
#[cfg(any(feature = "kafka", feature = "redis"))]
fn a_broker_goes_and_comes_back(shop: &Shop, told: &str, broker: &bus_brokers::Daemon) {
    const UNTOLD: &str = "a search was not told of";
    let mut command = shop.command(&["web", "trend-svr"]);
    // What is said of each search, beside the one warning.
    command.env("RUST_LOG", "info,bus=error,bookstore=debug");
    let program = Program::start(command);
    let mut web = web(&program);
    search(&mut web, "rust");
    program.prints(1, "trend-svr: rust 1");
    broker.kill9().unwrap();
    for _ in 0..3 {
        assert_eq!(search(&mut web, "rust")[0]["author"], "Steve Klabnik");
    }
    program.logs(3, UNTOLD);
    broker.restart().unwrap();
    // Until the broker is found again there may be more that nobody is told of.
    let begun = std::time::Instant::now();
    while program.printed().iter().all(|line| !line.contains("kafka")) {
        assert!(begun.elapsed() < program::LIMIT, "{:?}", program.logged());
        search(&mut web, "kafka");
        std::thread::sleep(Duration::from_millis(500));
    }
    program.signal(Signal::TERM);
    let (code, _, logged) = program.ends();
    // A client library may say something of its own beside it.
    let shops = |line: &&String| line.contains("WARN") && line.contains(UNTOLD);
    let warnings: Vec<_> = logged.iter().filter(shops).collect();
    assert_eq!((code, warnings.len()), (Some(0), 1), "{}", logged.join("\n"));
    assert!(warnings[0].contains(told), "{warnings:?}");
}

#[test]
#[cfg(feature = "kafka")]
fn kafka_goes_and_comes_back() {
    let kafka = bus_brokers::Kafka::start(bus_brokers::KafkaOptions::new()).unwrap();
    let address = kafka.address();
    // Its client does not say which address a message was to go to.
    let told = "is the broker up, and its address right?";
    let url = format!("kafka://{address}?delivery.timeout.ms=3000");
    a_broker_goes_and_comes_back(&Shop::new("127.0.0.1:1", Some(url)), told, &kafka);
}

#[test]
#[cfg(feature = "redis")]
fn redis_goes_and_comes_back() {
    let redis = bus_brokers::Redis::start(bus_brokers::RedisOptions::new().appendonly(true)).unwrap();
    let address = redis.url().trim_start_matches("redis://");
    let url = format!("{}?publish.timeout=3s", redis.url());
    a_broker_goes_and_comes_back(&Shop::new("127.0.0.1:1", Some(url)), address, &redis);
}
