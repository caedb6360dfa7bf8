//! Real clients and real brokers: a lost reply and a late request, and the log holds what was acknowledged.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bus::{Bus, Bytes, Raw, Start, Topic, TopicSpec};
use bus_brokers::{Kafka, KafkaOptions, Redis, RedisOptions};
use bus_proxy::{Filter, Protocol, Proxy};
use std::time::Duration;

const LATE: Duration = Duration::from_millis(300);
const COUNT: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis() {
    let server = tokio::task::spawn_blocking(|| Redis::start(RedisOptions::new()))
        .await
        .unwrap()
        .unwrap();
    let upstream = server.url().trim_start_matches("redis://");
    let proxy = Proxy::start(Protocol::Redis, upstream).await.unwrap();
    let bus = Bus::connect(&format!("redis://{}", proxy.address()))
        .await
        .unwrap();
    publishes_exactly(&bus, &proxy, Filter::redis(["EXEC", "EVALSHA", "EVAL"])).await;
    assert!(
        proxy.counters().redis_requests("EXEC") > 0,
        "{:?}",
        proxy.counters()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka() {
    let proxy = Proxy::builder(Protocol::Kafka).start().await.unwrap();
    let options = KafkaOptions::new().advertised(proxy.address());
    let server = tokio::task::spawn_blocking(|| Kafka::start(options))
        .await
        .unwrap()
        .unwrap();
    proxy.set_upstream(server.address());
    let bus = Bus::connect(&format!("kafka://{}", proxy.address()))
        .await
        .unwrap();
    publishes_exactly(&bus, &proxy, Filter::kafka([0])).await;
    assert!(
        proxy.counters().kafka_requests(0) >= COUNT as u64,
        "{:?}",
        proxy.counters()
    );
}

/// Publishes one by one, loses an answer and delays a request in the middle, and reads what is stored.
async fn publishes_exactly(bus: &Bus, proxy: &Proxy, requests: Filter) {
    let topic: Topic<Bytes, Raw> = Topic::with_codec("proxied", Raw);
    bus.ensure_topics([TopicSpec::new("proxied")]).await.unwrap();
    for number in 0..COUNT {
        let strike = match number {
            5 => Some(proxy.drop_next_reply(requests.clone())),
            10 => Some(proxy.hold_next_request(requests.clone(), LATE)),
            _ => None,
        };
        bus.publish(&topic, &Bytes::from(format!("m{number}")))
            .key("k")
            .await
            .unwrap();
        if let Some(strike) = strike {
            let happened = tokio::time::timeout(Duration::from_secs(20), strike.happened()).await;
            assert!(happened.expect("it happens"), "message {number}");
        }
    }
    let counters = proxy.counters();
    assert_eq!((counters.dropped_replies, counters.held_requests), (1, 1));
    let mut seen = Vec::new();
    let mut all = bus.observe(&topic).start(Start::Earliest).await.unwrap();
    while seen.len() < COUNT {
        let delivery = tokio::time::timeout(Duration::from_secs(20), all.next())
            .await
            .expect("what is stored");
        let delivery = delivery.unwrap().unwrap();
        seen.push(String::from_utf8_lossy(delivery.value()).into_owned());
        delivery.ack();
    }
    let sent: Vec<_> = (0..COUNT).map(|number| format!("m{number}")).collect();
    assert_eq!(seen, sent);
    assert!(
        tokio::time::timeout(Duration::from_millis(500), all.next())
            .await
            .is_err(),
        "more is stored than was sent"
    );
}
