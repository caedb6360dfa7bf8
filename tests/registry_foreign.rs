//! Confluent's own client reads what the bus writes, and the reverse, over Kafka and a real registry.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;
#[path = "registry/server.rs"]
mod server;

use apps::{soon, unique};
use bus::{
    AvroSchema, Bus, Codec, RegistryAvro, RegistryProtobuf, Topic,
    registry::{Registry, Schema},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use server::{passed, server};
use std::{collections::BTreeMap, fmt::Debug, process::Command};

const CLIENT: &str = include_str!("registry/foreign.py");

/// Runs the client, and returns the lines that it prints.
async fn client(url: &str, topic: &str, kind: &'static str, way: &'static str) -> Vec<Value> {
    let (brokers, url, topic) = (kafka(), url.to_owned(), topic.to_owned());
    let run = move || {
        let python = bus_brokers::python(&[
            "confluent-kafka[avro,protobuf,schemaregistry]",
            "fastavro",
            "protobuf",
        ]);
        let mut client = Command::new(python.expect("python with confluent-kafka"));
        client.args(["-c", CLIENT, &brokers, &url, &topic, kind, way]);
        client.output().expect("python starts")
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{kind} {way}: {said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn kafka() -> String {
    let given = std::env::var("BUS_TEST_KAFKA")
        .ok()
        .filter(|value| !value.is_empty());
    given.expect("set BUS_TEST_KAFKA or run `cargo xtask test`")
}

/// Two values go out and are read as `theirs`, and two come in.
async fn exchanges<T, C>(kind: &'static str, codec: C, ours: [T; 2], theirs: [Value; 2], incoming: [T; 2])
where
    T: Clone + Debug + PartialEq + Send + Sync + 'static,
    C: Codec<T>,
{
    let url = server().await;
    let bus = Bus::connect(&format!("kafka://{}", kafka()))
        .await
        .unwrap()
        .create_topics(true);
    let topic: Topic<T, C> = Topic::with_codec(unique("foreign"), codec);
    for value in &ours {
        bus.publish(&topic, value).key("bus").await.unwrap();
    }
    assert_eq!(client(&url, topic.name(), kind, "read").await, theirs);
    client(&url, topic.name(), kind, "write").await;
    let mut deliveries = bus.subscribe(&topic, "g").await.unwrap();
    for expected in ours.iter().chain(&incoming) {
        let delivery = soon("a delivery", deliveries.next()).await.unwrap().unwrap();
        assert_eq!(delivery.value(), expected);
        delivery.ack();
    }
    soon("the end", deliveries.close()).await.unwrap();
    passed(&url, &format!("Confluent's client, {kind}"));
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "com.mycompany")]
enum Kind {
    Human,
    Robot,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "com.mycompany")]
struct Event {
    user_id: u64,
    at: jiff::Timestamp,
    #[avro(decimal(precision = 12, scale = 2))]
    amount: String,
    kind: Kind,
    raw: Vec<u8>,
    counts: BTreeMap<String, i64>,
    note: Option<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn avro() {
    let event = |number: u64, kind, note: Option<&str>| Event {
        user_id: number,
        at: format!("2024-01-01T00:00:0{number}.005Z").parse().unwrap(),
        amount: "-12.50".into(),
        kind,
        raw: vec![0, 255],
        counts: BTreeMap::from([("ü".to_owned(), number as i64)]),
        note: note.map(str::to_owned),
    };
    let theirs = |number: u64, note: Value| {
        json!({"user_id": number, "at": format!("2024-01-01T00:00:0{number}.005000+00:00"), "amount": "-12.50",
            "kind": "Human", "raw": "00ff", "counts": {"ü": number}, "note": note})
    };
    let registry = Registry::new(server().await).unwrap();
    exchanges(
        "avro",
        RegistryAvro::of::<Event>(&registry).unwrap(),
        [event(3, Kind::Human, Some("thanks")), event(4, Kind::Human, None)],
        [theirs(3, json!("thanks")), theirs(4, Value::Null)],
        [event(1, Kind::Robot, None), event(2, Kind::Robot, None)],
    )
    .await;
}

#[derive(Clone, PartialEq, prost::Message)]
struct Reading {
    #[prost(string, tag = "1")]
    room: String,
    #[prost(sint64, repeated, tag = "2")]
    degrees: Vec<i64>,
}

const FILE: &str = "syntax = \"proto3\";\npackage com.mycompany;\n\nmessage Room {\n  string name = 1;\n}\n\nmessage Reading {\n  string room = 1;\n  repeated sint64 degrees = 2;\n}\n";

#[tokio::test(flavor = "multi_thread")]
async fn protobuf() {
    let reading = |number: i64| Reading {
        room: "Küche".into(),
        degrees: vec![-number, 21],
    };
    // Whole numbers of 64 bits are text in Protobuf's JSON.
    let theirs = |number: i64| json!({"room": "Küche", "degrees": [(-number).to_string(), "21"]});
    let registry = Registry::new(server().await).unwrap();
    exchanges(
        "protobuf",
        RegistryProtobuf::new(&registry, Schema::protobuf(FILE)).message([1]),
        [reading(3), reading(4)],
        [theirs(3), theirs(4)],
        [reading(1), reading(2)],
    )
    .await;
}
