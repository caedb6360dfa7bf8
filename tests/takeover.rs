//! Groups of other clients are taken over where they were, and given back: what docs/from-rdkafka.md and
//! docs/from-redis-streams.md say of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bus::{Bus, ErrorKind, Raw, Subscription, Topic};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
};
use std::time::{Duration, Instant};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);

fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("set {variable} or run `cargo xtask test`"))
}

fn topic() -> Topic<String, Raw> {
    Topic::named(format!("takeover-{}", Uuid::new_v4().simple()))
}

/// Acknowledges so many.
async fn take(from: &mut Subscription<String, Raw>, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    for _ in 0..count {
        let next = tokio::time::timeout(PATIENCE, from.next()).await.unwrap();
        let next = next.unwrap().unwrap();
        values.push(next.to_string());
        next.ack();
    }
    values
}

async fn filled(url: &str) -> (Bus, Topic<String, Raw>) {
    let (bus, topic) = (Bus::connect(url).await.unwrap(), topic());
    bus.ensure_topics([topic.spec()]).await.unwrap();
    for n in 0..9 {
        bus.publish(&topic, &n.to_string()).await.unwrap();
    }
    (bus, topic)
}

fn rdkafka_reads(address: &str, topic: &str, count: usize) -> Vec<String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", topic)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let (begun, mut values) = (Instant::now(), Vec::new());
    while values.len() < count {
        assert!(begun.elapsed() < PATIENCE, "{values:?}");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let message = message.unwrap();
        values.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
        let mut list = TopicPartitionList::new();
        let behind = Offset::Offset(message.offset() + 1);
        list.add_partition_offset(topic, message.partition(), behind)
            .unwrap();
        consumer.commit(&list, CommitMode::Sync).unwrap();
    }
    consumer.unsubscribe();
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn rdkafka_and_back() {
    let address = server("BUS_TEST_KAFKA");
    let (bus, topic) = filled(&format!("kafka://{address}")).await;
    let read = async |count| {
        let (address, name) = (address.clone(), topic.name().to_owned());
        tokio::task::spawn_blocking(move || rdkafka_reads(&address, &name, count))
            .await
            .unwrap()
    };
    assert_eq!(read(3).await, ["0", "1", "2"]);
    let mut reader = bus.subscribe(&topic, topic.name()).await.unwrap();
    assert_eq!(take(&mut reader, 3).await, ["3", "4", "5"]);
    reader.close().await.unwrap();
    assert_eq!(read(3).await, ["6", "7", "8"]);
    bus.admin().delete(topic.name()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_streams_and_back() {
    let url = server("BUS_TEST_REDIS");
    let (bus, topic) = filled(&url).await;
    let name = topic.name().to_owned();
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut group = redis::cmd("XGROUP");
    group.arg(&["CREATE", &name, "billing", "0"]);
    let _: () = group.query_async(&mut connection).await.unwrap();
    let read = async |connection: &mut redis::aio::MultiplexedConnection| {
        let mut read = redis::cmd("XREADGROUP");
        read.arg(&[
            "GROUP", "billing", "worker-1", "COUNT", "3", "STREAMS", &name, ">",
        ]);
        let reply: redis::streams::StreamReadReply = read.query_async(connection).await.unwrap();
        let ids = reply.keys.into_iter().flat_map(|stream| stream.ids);
        ids.map(|entry| (entry.id.clone(), entry.get::<String>("data").unwrap()))
            .collect::<Vec<_>>()
    };
    let (ids, values): (Vec<_>, Vec<_>) = read(&mut connection).await.into_iter().unzip();
    assert_eq!(values, ["0", "1", "2"]);

    // Neither with entries that are pending, nor with a consumer.
    let refused = bus.subscribe(&topic, "billing").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let text = refused.to_string();
    assert!(text.contains("has 1 consumers and 3 pending entries"), "{text}");
    let mut ack = redis::cmd("XACK");
    let _: () = ack
        .arg(&[&*name, "billing"])
        .arg(&ids)
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!(bus.subscribe(&topic, "billing").await.is_err());
    let mut leave = redis::cmd("XGROUP");
    leave.arg(&["DELCONSUMER", &name, "billing", "worker-1"]);
    let _: () = leave.query_async(&mut connection).await.unwrap();

    let mut reader = bus.subscribe(&topic, "billing").await.unwrap();
    assert_eq!(take(&mut reader, 3).await, ["3", "4", "5"]);
    reader.close().await.unwrap();
    let values: Vec<_> = read(&mut connection)
        .await
        .into_iter()
        .map(|(_, value)| value)
        .collect();
    assert_eq!(values, ["6", "7", "8"]);
    bus.admin().delete(topic.name()).await.unwrap();
}
