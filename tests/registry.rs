//! The schema registry's codecs against a real registry: ids, caches, failures, and what the bus does meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;
#[path = "registry/front.rs"]
mod front;

use apps::{every_backend, read, soon, text, unique, until};
use bus::{
    Bus, Bytes, ErrorKind, Message, RegistryJson, Settings, Topic,
    registry::{Naming, Registry, Schema, SchemaKind, frame},
};
use front::Front;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    item: String,
}

const SCHEMA: &str = r#"{"type":"object","properties":{"id":{"type":"integer"},"item":{"type":"string"}},"required":["id","item"]}"#;

fn order(id: u64) -> Order {
    Order {
        id,
        item: "tea".into(),
    }
}

/// The real one: the shared registry, which the environment names or which is started.
async fn server() -> String {
    let started = tokio::task::spawn_blocking(|| bus_brokers::shared(bus_brokers::Kind::Registry));
    started.await.unwrap().unwrap().address
}

fn passed(url: &str, check: &str) {
    bus_brokers::passed("registry", url, check).unwrap();
}

fn topic(codec: RegistryJson) -> Topic<Order, RegistryJson> {
    Topic::with_codec(unique("registry"), codec)
}

fn json(registry: &Registry) -> RegistryJson {
    RegistryJson::new(registry, Schema::json(SCHEMA).named("Order"))
}

async fn next(orders: &mut bus::Subscription<Order, RegistryJson>) -> Order {
    let delivery = soon("an order", orders.next()).await.unwrap().unwrap();
    assert_eq!(delivery.attempt(), 1);
    let order = delivery.value().clone();
    delivery.ack();
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_asked_for_once_and_others_can_read() {
    let server = server().await;
    for bus in every_backend().await {
        let front = Front::before(&server).await;
        front.slow(Duration::from_millis(50));
        let registry = Registry::new(front.url()).unwrap();
        let orders = topic(json(&registry));
        let publishes: Vec<_> = (0..50)
            .map(|id| bus.publish(&orders, &order(id)).key("a").into_future())
            .collect();
        for publish in publishes {
            soon("a publish", publish).await.unwrap();
        }
        assert_eq!(front.count("POST"), 1, "{bus:?}");
        let record = read(&bus, orders.name(), 1).await.remove(0);
        let (id, body) = frame::split(record.payload().unwrap()).unwrap();
        assert_eq!(body, br#"{"id":0,"item":"tea"}"#);
        assert_eq!(text(&record, "content-type"), Some("application/json"));

        // Somebody else, with a client and a cache of his own.
        let other = Registry::new(front.url()).unwrap();
        let schema = other.schema(id).await.unwrap();
        assert_eq!(schema.kind(), SchemaKind::Json);
        let same: serde_json::Value = serde_json::from_str(schema.text()).unwrap();
        assert_eq!(same, serde_json::from_str::<serde_json::Value>(SCHEMA).unwrap());
        let subject = format!("{}-value", orders.name());
        assert_eq!(other.look_up(&subject, &Schema::json(SCHEMA)).await.unwrap(), id);
        assert_eq!(other.latest(&subject).await.unwrap().id, id);

        let third = Registry::new(front.url()).unwrap();
        let again = Topic::with_codec(orders.name().to_owned(), json(&third));
        let asked = front.count("GET /schemas");
        let mut deliveries = bus.subscribe(&again, "g").await.unwrap();
        for id in 0..50 {
            assert_eq!(next(&mut deliveries).await, order(id), "{bus:?}");
        }
        assert_eq!(front.count("GET /schemas") - asked, 1, "{bus:?}");
        soon("the end", deliveries.close()).await.unwrap();
    }
    passed(&server, "ids_are_asked_for_once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_down_at_the_start_is_waited_for_and_later_stops_nothing() {
    let server = server().await;
    for bus in every_backend().await {
        let front = Front::before(&server).await;
        front.down(true);
        // Longer than a busy machine needs to come to the end of this.
        let registry = Registry::config(front.url()).patience(Duration::from_secs(600));
        let registry = registry.build().unwrap();
        let orders = topic(json(&registry));
        bus.ensure_topics([orders.spec()]).await.unwrap();
        let elsewhere = Registry::new(&server).unwrap();
        let written = Topic::with_codec(orders.name().to_owned(), json(&elsewhere));
        bus.publish(&written, &order(0)).key("b").await.unwrap();
        // Whatever is published to this topic from here on waits behind it.
        let mut first = tokio::spawn(bus.publish(&orders, &order(1)).key("a").into_future());
        // Reading waits as well, is told, and is no attempt.
        let reader = Registry::new(front.url()).unwrap();
        let read_by = Topic::with_codec(orders.name().to_owned(), json(&reader));
        let mut deliveries = bus.subscribe(&read_by, "g").await.unwrap();
        let waits = tokio::time::timeout(Duration::from_millis(1_500), deliveries.next()).await;
        assert!(waits.is_err(), "{bus:?}");
        let told = || {
            bus.health()
                .subscriptions
                .iter()
                .flat_map(|m| m.awaits.clone())
                .find_map(|a| a.error)
        };
        until("the failure is told", || {
            told().is_some_and(|e| e.contains("cannot be reached"))
        })
        .await;
        let early = tokio::time::timeout(Duration::ZERO, &mut first).await;
        assert!(early.is_err(), "{bus:?} {early:?}");

        front.down(false);
        soon("the publish", first).await.unwrap().unwrap();
        let mut seen = [next(&mut deliveries).await, next(&mut deliveries).await];
        seen.sort_by_key(|order| order.id);
        assert_eq!(seen, [order(0), order(1)], "{bus:?}");

        // What is known now needs no registry.
        front.down(true);
        for id in 2..20 {
            soon(
                "a publish",
                bus.publish(&orders, &order(id)).key("a").into_future(),
            )
            .await
            .unwrap();
            assert_eq!(next(&mut deliveries).await, order(id), "{bus:?}");
        }
        soon("the end", deliveries.close()).await.unwrap();
    }
    passed(&server, "down_at_the_start_and_later");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_gives_up_a_registry_that_stays_away() {
    let bus = apps::memory().await;
    let front = Front::before("http://127.0.0.1:9").await;
    front.down(true);
    let registry = Registry::config(front.url())
        .patience(Duration::from_millis(400))
        .build()
        .unwrap();
    let orders = topic(json(&registry));
    let unsent = soon("an answer", bus.publish(&orders, &order(1)).into_future())
        .await
        .unwrap_err();
    assert!(
        !unsent.is_unknown() && unsent.error().kind() == ErrorKind::Unavailable,
        "{unsent}"
    );
    assert!(
        unsent.to_string().contains(front.url().trim_end_matches('/')),
        "{unsent}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_id_is_waited_for_and_given_up_in_the_end() {
    let server = server().await;
    for bus in every_backend().await {
        let front = Front::before(&server).await;
        let writer = Registry::new(&server).unwrap();
        let orders = topic(json(&writer));
        bus.publish(&orders, &order(1)).key("a").await.unwrap();
        bus.publish(&orders, &order(2)).key("a").await.unwrap();
        let id = writer
            .register(&format!("{}-value", orders.name()), &Schema::json(SCHEMA))
            .await
            .unwrap();
        front.hide(id);
        let reader = Registry::new(front.url()).unwrap();
        let lagging = Topic::with_codec(orders.name().to_owned(), json(&reader));
        let mut deliveries = bus.subscribe(&lagging, "g").await.unwrap();
        tokio::select! {
            told = deliveries.next() => panic!("{bus:?} {told:?}"),
            () = until("it is asked for again", || front.count("GET /schemas") >= 3) => {}
        }
        assert!(front.count("GET /schemas") < 10, "no hot loop");
        front.reveal();
        assert_eq!(next(&mut deliveries).await, order(1), "{bus:?}");
        assert_eq!(next(&mut deliveries).await, order(2), "{bus:?}");
        soon("the end", deliveries.close()).await.unwrap();

        // What nobody ever knows.
        let mut lost = frame::begin();
        lost.extend(b"{}");
        let lost = frame::finish(lost, u32::MAX - 7);
        for payload in [
            lost.clone(),
            Bytes::from_static(b"{}"),
            Bytes::from_static(b"\0\0\0"),
        ] {
            bus.publish_message(orders.name(), Message::new(payload).keyed("x"))
                .await
                .unwrap();
        }
        let hasty = Registry::config(front.url())
            .unknown_ids(Duration::from_millis(300))
            .build()
            .unwrap();
        let hasty = Topic::with_codec(orders.name().to_owned(), json(&hasty));
        let mut deliveries = bus.subscribe(&hasty, "hasty").await.unwrap();
        for id in [1, 2] {
            assert_eq!(next(&mut deliveries).await, order(id));
        }
        let reading = tokio::spawn(async move { deliveries.next().await.is_none() });
        let letters = read(&bus, &format!("{}.hasty.dlq", orders.name()), 3).await;
        let payloads: Vec<_> = letters.iter().map(|letter| letter.payload().unwrap()).collect();
        assert_eq!(payloads, [&lost[..], b"{}", b"\0\0\0"], "{bus:?}");
        let errors: Vec<_> = letters
            .iter()
            .map(|letter| text(letter, "bus-error").unwrap())
            .collect();
        assert!(
            errors[0].contains("does not know schema 4294967288"),
            "{errors:?}"
        );
        assert!(
            errors[1].contains("byte 123") || errors[1].contains("2 bytes"),
            "{errors:?}"
        );
        assert!(errors[2].contains("3 bytes"), "{errors:?}");
        reading.abort();
    }
    passed(&server, "unknown_ids");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_compatible_is_refused_before_anything_is_stored() {
    let server = server().await;
    for bus in every_backend().await {
        let registry = Registry::new(&server).unwrap();
        let name = unique("registry");
        let first = Topic::with_codec(name.clone(), json(&registry));
        bus.publish(&first, &order(1)).await.unwrap();
        rule(&server, &format!("{name}-value"), "BACKWARD").await;
        // A number that was text: whoever reads the old ones fails.
        let changed = SCHEMA.replace(
            "\"item\":{\"type\":\"string\"}",
            "\"item\":{\"type\":\"integer\"}",
        );
        for check in [true, false] {
            let fresh = Registry::new(&server).unwrap();
            let codec =
                RegistryJson::new(&fresh, Schema::json(&*changed)).with(|framing| framing.check(check));
            let refused: Topic<Order, _> = Topic::with_codec(name.clone(), codec);
            let unsent = soon("an answer", bus.publish(&refused, &order(2)).into_future())
                .await
                .unwrap_err();
            assert_eq!(unsent.error().kind(), ErrorKind::Conflict, "{unsent}");
            assert!(
                !unsent.is_unknown() && unsent.to_string().contains("compatib"),
                "{unsent}"
            );
        }
        bus.publish(&first, &order(3)).await.unwrap();
        let records = read(&bus, &name, 2).await;
        assert!(
            records[1]
                .payload()
                .unwrap()
                .ends_with(br#"{"id":3,"item":"tea"}"#),
            "{bus:?}"
        );
    }
    passed(&server, "incompatible");
}

/// Sets a subject's rule, as an operator does.
async fn rule(server: &str, subject: &str, rule: &str) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (host, path) = server.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let body = format!("{{\"compatibility\":\"{rule}\"}}");
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let length = body.len();
    let request = format!(
        "PUT /{path}/config/{subject} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_register_must_find_it() {
    let server = server().await;
    let bus = apps::memory().await;
    let registry = Registry::new(&server).unwrap();
    let codec = json(&registry).with(|framing| framing.auto_register(false).naming(Naming::TopicRecord));
    let orders = topic(codec);
    let subject = format!("{}-Order", orders.name());
    let unsent = bus.publish(&orders, &order(1)).await.unwrap_err();
    let told = unsent.to_string();
    assert!(
        told.contains(&subject) && told.contains("auto_register"),
        "{told}"
    );
    let id = registry.register(&subject, &Schema::json(SCHEMA)).await.unwrap();
    // A failure is everybody's for a moment only.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while let Err(unsent) = bus.publish(&orders, &order(2)).await {
        assert!(tokio::time::Instant::now() < deadline, "{unsent}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let record = read(&bus, orders.name(), 1).await.remove(0);
    assert_eq!(frame::split(record.payload().unwrap()).unwrap().0, id);
    let codec = RegistryJson::new(&registry, Schema::json("{}").named("Order"));
    let latest = Topic::with_codec(
        orders.name().to_owned(),
        codec.with(|f| f.naming(Naming::TopicRecord).latest()),
    );
    bus.publish(&latest, &order(3)).await.unwrap();
    let record = read(&bus, orders.name(), 2).await.remove(1);
    assert_eq!(frame::split(record.payload().unwrap()).unwrap().0, id);
    passed(&server, "look_up_and_latest");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_url_is_asked_where_one_is_away() {
    let server = server().await;
    let (first, second) = (Front::before(&server).await, Front::before(&server).await);
    first.down(true);
    let registry = Registry::new(format!("{},{}", first.url(), second.url())).unwrap();
    let subject = unique("failover");
    registry
        .register(&subject, &Schema::avro("\"string\""))
        .await
        .unwrap();
    assert_eq!((first.count(""), second.count("")), (0, 1));
    // And back, when that one goes.
    first.down(false);
    second.down(true);
    registry
        .register(&subject, &Schema::avro("\"long\""))
        .await
        .unwrap();
    assert_eq!((first.count(""), second.count("")), (1, 1));
    let slow = Front::before(&server).await;
    slow.slow(Duration::from_secs(20));
    let urls = format!("{},{}", slow.url(), first.url());
    let hasty = Registry::config(urls)
        .timeout(Duration::from_millis(300))
        .build()
        .unwrap();
    let begun = std::time::Instant::now();
    hasty.register(&subject, &Schema::avro("\"int\"")).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
    first.down(true);
    let error = hasty.latest(&subject).await.unwrap_err();
    assert!(
        error.is_transient() && error.message().contains(&first.url()) && error.message().contains("300ms"),
        "{error}"
    );
    passed(&server, "failover");
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_used_and_never_shown() {
    let server = server().await;
    let front = Front::before(&server).await;
    // me:p@ss w:rd
    front.asks_for("Basic bWU6cEBzcyB3OnJk");
    let subject = unique("login");
    let schema = Schema::avro("\"string\"");
    let stranger = Registry::new(front.url()).unwrap();
    let error = stranger.register(&subject, &schema).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(
        error.message().contains("KAFKA_SCHEMA_REGISTRY_USER") && error.message().contains("who are you?"),
        "{error}"
    );
    let by_url = Registry::new(front.url_of("me:p%40ss%20w%3Ard")).unwrap();
    let by_call = Registry::config(front.url())
        .login("me", "p@ss w:rd")
        .build()
        .unwrap();
    let settings = Settings::new()
        .set("kafka_schema_registry_url", front.url())
        .set("kafka_schema_registry_user", "me")
        .set("kafka_schema_registry_password", "p@ss w:rd");
    let by_settings = Registry::from_settings(&settings).unwrap();
    for registry in [&by_url, &by_call, &by_settings] {
        registry.register(&subject, &schema).await.unwrap();
    }
    front.down(true);
    let error = by_url.latest(&subject).await.unwrap_err();
    let shown = format!(
        "{by_url:?} {by_call:?} {by_settings:?} {settings:?} {error} {error:?} {:?}",
        Registry::config(front.url_of("me:p@ss"))
    );
    for secret in ["p@ss", "p%40ss", "w:rd", "bWU6"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    // Who reads waits for a password to be corrected.
    front.down(false);
    let error = stranger.schema(1).await.unwrap_err();
    assert!(
        error.kind() == ErrorKind::Denied && error.is_transient(),
        "{error}"
    );
    passed(&server, "logins");
}

#[test]
fn a_registry_that_nobody_names_is_an_error_that_names_the_setting() {
    let error = Registry::from_settings(&Settings::new()).unwrap_err();
    assert!(error.message().contains("KAFKA_SCHEMA_REGISTRY_URL"), "{error}");
    let settings = Settings::new()
        .set("kafka_schema_registry_url", "http://r:1")
        .set("kafka_schema_registry_password", "CANARY");
    let error = Registry::from_settings(&settings).unwrap_err();
    assert!(
        error.message().contains("KAFKA_SCHEMA_REGISTRY_USER") && !error.message().contains("CANARY"),
        "{error}"
    );
    for url in [
        "",
        ",",
        "localhost:8081",
        "ftp://h",
        "http://",
        "http://u:CANARY@h:x",
        "http://h?password=CANARY",
    ] {
        let error = Registry::new(url).unwrap_err();
        assert!(
            error.kind() == ErrorKind::Invalid && !error.to_string().contains("CANARY"),
            "{url}: {error}"
        );
    }
    let error = Registry::config("https://h")
        .ca_file("/nowhere.pem")
        .build()
        .unwrap_err();
    assert!(error.message().contains("/nowhere.pem"), "{error}");
}

#[cfg(feature = "protobuf")]
mod protobuf {
    use super::*;
    use bus::RegistryProtobuf;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Reading {
        #[prost(string, tag = "1")]
        room: String,
    }

    const FILE: &str =
        "syntax = \"proto3\";\nmessage Head { string x = 1; }\nmessage Reading { string room = 1; }\n";

    #[tokio::test(flavor = "multi_thread")]
    async fn messages_say_which_of_their_file_they_are() {
        let server = server().await;
        for bus in every_backend().await {
            let registry = Registry::new(&server).unwrap();
            let codec = RegistryProtobuf::new(&registry, Schema::protobuf(FILE));
            let readings: Topic<Reading, _> =
                Topic::with_codec(unique("registry"), codec.clone().message([1]));
            let reading = Reading {
                room: "Küche".into()
            };
            bus.publish(&readings, &reading).key("a").await.unwrap();
            let record = read(&bus, readings.name(), 1).await.remove(0);
            let (id, body) = frame::split(record.payload().unwrap()).unwrap();
            assert_eq!(body, b"\x02\x02\x0a\x06K\xc3\xbcche", "{bus:?}");
            assert_eq!(
                Registry::new(&server).unwrap().schema(id).await.unwrap().kind(),
                SchemaKind::Protobuf
            );
            // The first message of the file is another one.
            let head: Topic<Reading, _> = Topic::with_codec(readings.name().to_owned(), codec);
            bus.publish(&head, &reading).key("a").await.unwrap();
            bus.publish(&readings, &reading).key("a").await.unwrap();
            let mut deliveries = bus.subscribe(&readings, "g").await.unwrap();
            for _ in 0..2 {
                let delivery = soon("a reading", deliveries.next()).await.unwrap().unwrap();
                assert_eq!(*delivery, reading);
                delivery.ack();
            }
            soon("the end", deliveries.close()).await.unwrap();
            let letters = read(&bus, &format!("{}.g.dlq", readings.name()), 1).await;
            assert!(
                text(&letters[0], "bus-error")
                    .unwrap()
                    .contains("message [0] of its file"),
                "{bus:?}"
            );
        }
        passed(&server, "protobuf");
    }
}

#[cfg(feature = "json-schema")]
#[tokio::test(flavor = "multi_thread")]
async fn a_rust_type_says_its_own_schema() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
    struct Visit {
        page: String,
        seconds: Option<u32>,
    }
    let server = server().await;
    let bus: Bus = apps::memory().await;
    let registry = Registry::new(&server).unwrap();
    let codec = RegistryJson::of::<Visit>(&registry).with(|framing| framing.naming(Naming::TopicRecord));
    let visits: Topic<Visit, _> = Topic::with_codec(unique("registry"), codec);
    let visit = Visit {
        page: "/".into(),
        seconds: None,
    };
    bus.publish(&visits, &visit).await.unwrap();
    let latest = registry
        .latest(&format!("{}-Visit", visits.name()))
        .await
        .unwrap();
    let schema: serde_json::Value = serde_json::from_str(latest.schema.text()).unwrap();
    assert_eq!(schema["required"], serde_json::json!(["page"]));
    let mut deliveries = bus.subscribe(&visits, "g").await.unwrap();
    let delivery = soon("a visit", deliveries.next()).await.unwrap().unwrap();
    assert_eq!(*delivery, visit);
    delivery.ack();
    passed(&server, "json_schema");
}
