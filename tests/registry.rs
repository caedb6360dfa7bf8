//! The schema registry's codecs against a real registry: ids, caches, failures, and what the bus does meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;
#[path = "registry/checks.rs"]
mod checks;
#[path = "registry/front.rs"]
mod front;
#[path = "registry/orders.rs"]
mod orders;
#[path = "registry/rule.rs"]
mod rule;
#[path = "registry/server.rs"]
mod server;

use apps::{every_backend, read, soon, text, unique};
use bus::{
    Bus, ErrorKind, RegistryAvro, RegistryJson, RegistryProtobuf, Settings, Topic,
    registry::{Naming, Registry, Schema, SchemaKind, frame},
};
use front::Front;
use orders::{Framed, order};
use serde::{Deserialize, Serialize};
use server::{passed, server};
use std::time::Duration;

macro_rules! checks {
    ($($codec:ident in $module:ident),+) => {$(mod $module {
        use super::{checks, $codec};

        #[tokio::test(flavor = "multi_thread")]
        async fn ids_are_asked_for_once_and_others_can_read() {
            checks::ids_are_asked_for_once_and_others_can_read::<$codec>().await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn a_registry_that_is_down_at_the_start_is_waited_for_and_later_stops_nothing() {
            checks::a_registry_that_is_down_at_the_start_is_waited_for_and_later_stops_nothing::<$codec>().await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn an_unknown_id_is_waited_for_and_given_up_in_the_end() {
            checks::an_unknown_id_is_waited_for_and_given_up_in_the_end::<$codec>().await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn what_is_not_compatible_is_refused_before_anything_is_stored() {
            checks::what_is_not_compatible_is_refused_before_anything_is_stored::<$codec>().await;
        }
    })+};
}

checks!(RegistryAvro in avro, RegistryJson in json, RegistryProtobuf in protobuf);

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_gives_up_a_registry_that_stays_away() {
    let bus = apps::memory().await;
    let front = Front::before("http://127.0.0.1:9").await;
    front.down(true);
    let registry = Registry::config(front.url())
        .patience(Duration::from_millis(400))
        .build()
        .unwrap();
    let orders = RegistryJson::topic(&registry);
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
async fn who_may_not_register_must_find_it() {
    let server = server().await;
    let bus = apps::memory().await;
    let registry = Registry::new(&server).unwrap();
    let codec =
        RegistryJson::own(&registry).with(|framing| framing.auto_register(false).naming(Naming::TopicRecord));
    let orders: Topic<orders::Order, _> = Topic::with_codec(unique("registry"), codec);
    let subject = format!("{}-Order", orders.name());
    let unsent = bus.publish(&orders, &order(1)).await.unwrap_err();
    let told = unsent.to_string();
    assert!(
        told.contains(&subject) && told.contains("auto_register"),
        "{told}"
    );
    let id = registry
        .register(&subject, &RegistryJson::schema())
        .await
        .unwrap();
    // A failure is everybody's for a moment only.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
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
    slow.slow(Duration::from_secs(60));
    let urls = format!("{},{}", slow.url(), first.url());
    let hasty = Registry::config(urls)
        .timeout(Duration::from_secs(3))
        .build()
        .unwrap();
    let begun = std::time::Instant::now();
    hasty.register(&subject, &Schema::avro("\"int\"")).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30));
    first.down(true);
    let error = hasty.latest(&subject).await.unwrap_err();
    assert!(
        error.is_transient() && error.message().contains(&first.url()) && error.message().contains("3s"),
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

mod paths {
    use super::*;

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
