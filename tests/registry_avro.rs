//! Avro with a real registry: the bytes, versions that read each other, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;
#[path = "registry/rule.rs"]
mod rule;
#[path = "registry/server.rs"]
mod server;

use apps::{every_backend, read, soon, text, unique};
use bus::{
    AvroSchema, Bus, Codec, ErrorKind, Message, RegistryAvro, Start, Subscription, Topic,
    avro::Schema,
    registry::{self, Naming, Registry, frame},
};
use rule::rule;
use serde::{Deserialize, Serialize};
use server::{passed, server};

/// What happened, in the words of the documentation's example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "com.mycompany.users")]
struct UserEvent {
    user_id: i64,
    action: String,
    timestamp: String,
}

fn login() -> UserEvent {
    UserEvent {
        user_id: 1,
        action: "login".into(),
        timestamp: "2024-01-01T00:00:00Z".into(),
    }
}

/// The next version of it: one field more, one less, one with another name.
mod second {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
    #[avro(namespace = "com.mycompany.users")]
    pub(super) struct UserEvent {
        pub(super) device: Option<String>,
        pub(super) user_id: i64,
        #[serde(alias = "action")]
        pub(super) did: String,
    }
}

fn of<T: AvroSchema>(topic: &str, registry: &Registry) -> Topic<T, RegistryAvro> {
    Topic::with_codec(topic.to_owned(), RegistryAvro::of::<T>(registry).unwrap())
}

async fn next<T: Clone + Send + Sync + 'static, C: Codec<T>>(deliveries: &mut Subscription<T, C>) -> T {
    let delivery = soon("a delivery", deliveries.next()).await.unwrap().unwrap();
    let value = delivery.value().clone();
    delivery.ack();
    value
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_are_those_that_everybody_writes() {
    // One of its own, which gives the first schema the id 1.
    let start = || bus_brokers::SchemaRegistry::start().unwrap();
    let private = tokio::task::spawn_blocking(start).await.unwrap();
    let registry = Registry::new(private.url()).unwrap();
    for bus in every_backend().await {
        let users = of::<UserEvent>(&unique("users"), &registry);
        // The first is written once its id is known, the second at once.
        for _ in 0..2 {
            bus.publish(&users, &login()).key("user-1").await.unwrap();
        }
        for record in read(&bus, users.name(), 2).await {
            let hex: String = record
                .payload()
                .unwrap()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(
                hex, "0000000001020a6c6f67696e28323032342d30312d30315430303a30303a30305a",
                "{bus:?}"
            );
            assert_eq!(text(&record, "content-type"), Some("avro/binary"));
        }
        let mut deliveries = bus.subscribe(&users, "g").await.unwrap();
        assert_eq!(next(&mut deliveries).await, login(), "{bus:?}");
        soon("the end", deliveries.close()).await.unwrap();
    }
    passed(private.url(), "bytes");
    tokio::task::spawn_blocking(move || drop(private)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_read_each_other() {
    let server = server().await;
    for bus in every_backend().await {
        let topic = unique("users");
        let first = of::<UserEvent>(&topic, &Registry::new(&server).unwrap());
        let second = of::<second::UserEvent>(&topic, &Registry::new(&server).unwrap());
        bus.publish(&first, &login()).key("a").await.unwrap();
        rule(&server, &format!("{topic}-value"), "BACKWARD").await;
        let view = second::UserEvent {
            device: Some("phone".into()),
            user_id: 2,
            did: "view".into(),
        };
        bus.publish(&second, &view).key("a").await.unwrap();
        bus.publish(&first, &login()).key("a").await.unwrap();
        let ids: Vec<_> = read(&bus, &topic, 3)
            .await
            .iter()
            .map(|r| frame::split(r.payload().unwrap()).unwrap().0)
            .collect();
        assert!(ids[0] == ids[2] && ids[0] != ids[1], "{bus:?} {ids:?}");

        // Who has the second version reads both.
        let reader = of::<second::UserEvent>(&topic, &Registry::new(&server).unwrap());
        let mut deliveries = bus.subscribe(&reader, "newer").await.unwrap();
        let was = second::UserEvent {
            device: None,
            user_id: 1,
            did: "login".into(),
        };
        for expected in [&was, &view, &was] {
            assert_eq!(next(&mut deliveries).await, *expected, "{bus:?}");
        }
        soon("the end", deliveries.close()).await.unwrap();

        // Who has the first cannot read the second, which has no `action`: that is said, and holds up nothing.
        let reader = of::<UserEvent>(&topic, &Registry::new(&server).unwrap());
        let mut deliveries = bus.subscribe(&reader, "older").await.unwrap();
        for _ in 0..2 {
            assert_eq!(next(&mut deliveries).await, login(), "{bus:?}");
        }
        soon("the end", deliveries.close()).await.unwrap();
        let letter = read(&bus, &format!("{topic}.older.dlq"), 1).await.remove(0);
        assert_eq!(text(&letter, "bus-reason"), Some("undecodable"));
        let error = text(&letter, "bus-error").unwrap();
        assert!(
            error.contains("`action`: the writer has no such field"),
            "{error}"
        );
        assert_eq!(frame::split(letter.payload().unwrap()).unwrap().0, ids[1]);
    }
    passed(&server, "versions");
}

/// Reads both ways: what the first has and the second has not has a default, and the reverse.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_reads_the_second_and_the_second_the_first() {
    mod v1 {
        use super::*;
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
        pub(super) struct Visit {
            pub(super) page: String,
            #[serde(default)]
            pub(super) seconds: u32,
        }
    }
    mod v2 {
        use super::*;
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
        pub(super) struct Visit {
            pub(super) referrer: Option<String>,
            pub(super) page: String,
        }
    }
    let server = server().await;
    for bus in every_backend().await {
        let topic = unique("visits");
        let registry = Registry::new(&server).unwrap();
        let (older, newer) = (
            of::<v1::Visit>(&topic, &registry),
            of::<v2::Visit>(&topic, &registry),
        );
        let first = v1::Visit {
            page: "/".into(),
            seconds: 9,
        };
        bus.publish(&older, &first).key("a").await.unwrap();
        rule(&server, &format!("{topic}-value"), "FULL").await;
        let second = v2::Visit {
            referrer: Some("/".into()),
            page: "/more".into(),
        };
        bus.publish(&newer, &second).key("a").await.unwrap();
        let mut deliveries = bus.subscribe(&older, "older").await.unwrap();
        assert_eq!(next(&mut deliveries).await, first, "{bus:?}");
        let seen = v1::Visit {
            page: "/more".into(),
            seconds: 0,
        };
        assert_eq!(next(&mut deliveries).await, seen, "{bus:?}");
        soon("the end", deliveries.close()).await.unwrap();
        let mut deliveries = bus.subscribe(&newer, "newer").await.unwrap();
        let seen = v2::Visit {
            referrer: None,
            page: "/".into(),
        };
        assert_eq!(next(&mut deliveries).await, seen, "{bus:?}");
        assert_eq!(next(&mut deliveries).await, second, "{bus:?}");
        soon("the end", deliveries.close()).await.unwrap();
    }
    passed(&server, "versions_both_ways");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "com.mycompany")]
struct Payment {
    number: u64,
    at: jiff::Timestamp,
    #[avro(decimal(precision = 6, scale = 2))]
    amount: String,
    note: Option<String>,
    raw: Vec<u8>,
}

fn payment(number: u64, amount: &str) -> Payment {
    Payment {
        number,
        at: "2024-01-01T00:00:00.123456Z".parse().unwrap(),
        amount: amount.into(),
        note: Some("thanks".into()),
        raw: vec![0, 255],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_an_error_of_publish_and_nothing_is_stored() {
    let server = server().await;
    for bus in every_backend().await {
        let payments = of::<Payment>(&unique("payments"), &Registry::new(&server).unwrap());
        // Before the id is known, and with it.
        for round in 0..2 {
            for (wrong, word) in [
                (payment(u64::MAX, "1"), "`number`"),
                (payment(1, "10000.00"), "10000.00"),
                (payment(1, "cheap"), "cheap"),
            ] {
                let unsent = soon("an answer", bus.publish(&payments, &wrong).into_future())
                    .await
                    .unwrap_err();
                assert_eq!(unsent.error().kind(), ErrorKind::Invalid, "{bus:?} {unsent}");
                assert!(
                    !unsent.is_unknown() && unsent.to_string().contains(word),
                    "{unsent}"
                );
            }
            bus.publish(&payments, &payment(round, "9999.99"))
                .key("a")
                .await
                .unwrap();
        }
        let mut all = bus
            .observe(&payments)
            .start(Start::Earliest)
            .until(Start::Latest)
            .await
            .unwrap();
        let mut numbers = Vec::new();
        while let Some(payment) = soon("the rest", all.next()).await {
            let payment = payment.unwrap();
            numbers.push(payment.number);
            payment.ack();
        }
        assert_eq!(numbers, [0, 1], "{bus:?}");
    }
    passed(&server, "unfit");
}

/// Somebody else has registered what is to be written: finer times, a field more, one less, another order.
const LATEST: &str = r#"{"type": "record", "name": "Payment", "namespace": "com.mycompany", "fields": [
    {"name": "raw", "type": "bytes"},
    {"name": "currency", "type": "string", "default": "EUR"},
    {"name": "note", "type": ["null", "string"], "default": null},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_schema_and_one_that_is_given_are_written() {
    let server = server().await;
    let mut body = b"\x04\x00\xff\x06EUR\x02\x0cthanks".to_vec();
    let mut micros = 2 * 1_704_067_200_123_456_u64;
    while micros >= 0x80 {
        body.push(micros as u8 | 0x80);
        micros >>= 7;
    }
    body.extend([micros as u8, 2, 100]);
    for bus in every_backend().await {
        let registry = Registry::new(&server).unwrap();
        let latest = RegistryAvro::of::<Payment>(&registry).unwrap();
        let latest = latest.with(|framing| framing.naming(Naming::TopicRecord).latest());
        let latest: Topic<Payment, _> = Topic::with_codec(unique("payments"), latest);
        let subject = format!("{}-com.mycompany.Payment", latest.name());
        let unsent = bus.publish(&latest, &payment(1, "1")).await.unwrap_err();
        assert!(unsent.to_string().contains(&subject), "{unsent}");
        let id = registry
            .register(&subject, &registry::Schema::avro(LATEST))
            .await
            .unwrap();

        let given: Schema = LATEST.parse().unwrap();
        let given = RegistryAvro::of::<Payment>(&registry).unwrap().schema(&given);
        let given = Topic::with_codec(latest.name().to_owned(), given);
        // The first waits for the schema; a failure is everybody's for a moment.
        let published = soon("a publish", async {
            while let Err(unsent) = bus.publish(&latest, &payment(1, "1")).key("a").await {
                assert!(unsent.to_string().contains(&subject), "{unsent}");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        published.await;
        bus.publish(&latest, &payment(2, "1")).key("a").await.unwrap();
        bus.publish(&given, &payment(3, "1")).key("a").await.unwrap();
        for record in read(&bus, latest.name(), 3).await {
            assert_eq!(
                frame::split(record.payload().unwrap()).unwrap(),
                (id, &body[..]),
                "{bus:?}"
            );
        }
        // Microseconds are not read as the type's milliseconds.
        let mut deliveries = bus.subscribe(&latest, "g").await.unwrap();
        let reading = tokio::spawn(async move { deliveries.next().await.is_none() });
        let letters = read(&bus, &format!("{}.g.dlq", latest.name()), 3).await;
        let error = text(&letters[0], "bus-error").unwrap();
        assert!(error.contains("`at`"), "{bus:?} {error}");
        reading.abort();
    }
    passed(&server, "latest_and_given");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_is_none_and_another_language_is_told_apart() {
    let server = server().await;
    let bus: Bus = apps::memory().await;
    let registry = Registry::new(&server).unwrap();
    let codec = RegistryAvro::of::<UserEvent>(&registry).unwrap();
    let state: Topic<Option<UserEvent>, _> = Topic::with_codec(unique("state"), codec);
    bus.publish(&state, &Some(login())).key("a").await.unwrap();
    bus.publish_message(state.name(), Message::tombstone().keyed("a"))
        .await
        .unwrap();
    // JSON's schema has an id as well.
    let other = registry
        .register(
            &unique("other"),
            &registry::Schema::json(r#"{"type": "object", "properties": {"id": {"type": "integer"}}}"#),
        )
        .await
        .unwrap();
    let foreign = frame::finish([&frame::begin(), &b"{}"[..]].concat(), other);
    bus.publish_message(state.name(), Message::new(foreign).keyed("a"))
        .await
        .unwrap();
    let mut deliveries = bus.subscribe(&state, "g").await.unwrap();
    assert_eq!(next(&mut deliveries).await, Some(login()));
    assert_eq!(next(&mut deliveries).await, None);
    let reading = tokio::spawn(async move { deliveries.next().await.is_none() });
    let letter = read(&bus, &format!("{}.g.dlq", state.name()), 1).await.remove(0);
    let error = text(&letter, "bus-error").unwrap();
    assert!(error.contains("one of Json"), "{error}");
    reading.abort();
    passed(&server, "tombstones");
}
