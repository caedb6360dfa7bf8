//! What the codec `Avro` writes and reads, against Apache's own library, which knows nothing of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use apache_avro::{reader::datum::GenericDatumReader, types::Value, writer::datum::GenericDatumWriter};
use bus::{Avro, AvroSchema, Bus, Codec, ErrorKind, Record, Topic, avro::Schema};
use bus_core::BatchBuilder;
use proptest::{collection::vec, prelude::*};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

fn record(payload: &[u8]) -> Record {
    let mut batch = BatchBuilder::default();
    batch.push(0, 0, None, Some(payload), std::iter::empty());
    Record::new(Arc::new(batch.finish()), 0)
}

fn read<T: AvroSchema + Serialize + DeserializeOwned>(codec: &Avro, payload: &[u8]) -> bus::Result<T> {
    codec.decode(&record(payload))
}

/// What Apache's library makes of a payload, and the payload that it makes of that.
fn theirs(schema: &Schema, payload: &[u8]) -> (Value, Vec<u8>) {
    let schema = apache_avro::Schema::parse_str(schema.as_str()).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    let mut rest = payload;
    let value = reader.read_value(&mut rest).unwrap();
    assert!(rest.is_empty());
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    let written = writer.write_value_to_vec(value.clone()).unwrap();
    (value, written)
}

/// Ours and theirs are the same bytes, and come back as they were.
fn agrees<T: AvroSchema + Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> Value {
    let payload = Avro::new().encode(value).unwrap();
    let (seen, written) = theirs(&T::avro_schema().unwrap(), &payload);
    assert_eq!(payload, written);
    assert_eq!(read::<T>(&Avro::new(), &payload).unwrap(), *value);
    seen
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
enum Kind {
    View,
    Click,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
struct Event {
    small: i8,
    large: u64,
    real: f64,
    short: f32,
    yes: bool,
    raw: Vec<u8>,
    names: Vec<String>,
    counts: BTreeMap<String, i32>,
    note: Option<String>,
    kind: Kind,
    at: jiff::Timestamp,
    on: jiff::civil::Date,
    time: jiff::civil::Time,
    id: uuid::Uuid,
    #[avro(decimal(precision = 20, scale = 3))]
    price: bigdecimal::BigDecimal,
    next: Option<Box<Event>>,
}

prop_compose! {
    fn event()(
        numbers in (any::<i8>(), 0..=i64::MAX.cast_unsigned(), any::<f64>().prop_filter("equal to itself", |f| !f.is_nan()), -1e6_f32..1e6),
        yes: bool,
        raw in vec(any::<u8>(), 0..40),
        names in vec(".{0,8}", 0..5),
        counts in proptest::collection::btree_map(".{0,4}", any::<i32>(), 0..2),
        note in proptest::option::of(".*"),
        kind in prop_oneof![Just(Kind::View), Just(Kind::Click)],
        millis in -62_000_000_000_000_i64..250_000_000_000_000,
        days in -700_000_i32..2_900_000,
        time in 0..86_400_000_i64,
        id: u128,
        price in -10_i64.pow(17)..10_i64.pow(17),
    ) -> Event {
        let at = jiff::Timestamp::from_millisecond(millis).unwrap();
        Event {
            small: numbers.0, large: numbers.1, real: numbers.2, short: numbers.3, yes, raw, names, counts, note, kind, at,
            on: jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap(),
            time: jiff::civil::Time::midnight().wrapping_add(jiff::SignedDuration::from_millis(time)),
            id: uuid::Uuid::from_u128(id),
            price: bigdecimal::BigDecimal::new(price.into(), 3),
            next: None,
        }
    }
}

proptest! {
    // Long ones take long to make up without optimisation.
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_value_is_the_bytes_that_apache_writes_and_comes_back(mut first in event(), second in event()) {
        first.next = Some(Box::new(second));
        agrees(&first);
    }
    #[test]
    fn any_bytes_are_a_value_or_undecodable(bytes in vec(any::<u8>(), 0..65_536), good in event(), cut: prop::sample::Index, flip: u8) {
        let mut broken = Avro::new().encode(&good).unwrap().to_vec();
        let at = cut.index(broken.len());
        broken[at] ^= flip;
        for payload in [&bytes, &broken, &broken[..at].to_vec()] {
            if let Err(error) = read::<Event>(&Avro::new(), payload) {
                prop_assert_eq!(error.kind(), ErrorKind::Undecodable);
                prop_assert!(!error.is_transient());
            }
            if let Err(error) = read::<Tree>(&Avro::new(), payload) {
                prop_assert_eq!(error.kind(), ErrorKind::Undecodable);
            }
        }
    }
    #[test]
    fn any_text_is_a_schema_or_invalid(text in r#"[\[{]("[a-z]{1,8}"[:,]?|[\[{},:]|[0-9]|"type":|"record"|"fields":|"name":|"long"){0,30}[\]}]"#) {
        if let Err(error) = Schema::parse(&text) {
            prop_assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }
}

/// Values of every length that an array, a map and a union may have, with nothing between.
#[derive(Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
struct Tree {
    branches: Vec<Tree>,
    named: BTreeMap<String, Tree>,
    nothing: Vec<()>,
}

#[test]
fn a_payload_that_announces_more_than_it_has_costs_nothing() {
    let million = 1_000_000_000_i64;
    let mut many = Vec::new();
    let mut rest = (million << 1).cast_unsigned();
    while rest >= 0x80 {
        many.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    many.push(rest.to_le_bytes()[0]);
    // As many branches, as many entries, as much nothing.
    for front in [&[][..], &[0], &[0, 0]] {
        let payload = [front, &many].concat();
        let begun = std::time::Instant::now();
        let error = read::<Tree>(&Avro::new(), &payload).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Undecodable);
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }
    // A tree whose every branch has one branch.
    let deep = vec![2; 1_000_000];
    assert_eq!(
        read::<Tree>(&Avro::new(), &deep).unwrap_err().kind(),
        ErrorKind::Undecodable
    );
}

#[test]
fn what_is_written_can_be_read_and_no_deeper() {
    let tree = |deep| {
        let leaf = || Tree {
            branches: vec![],
            named: BTreeMap::new(),
            nothing: vec![(), ()],
        };
        (0..deep).fold(leaf(), |inner, _| Tree {
            branches: vec![inner],
            ..leaf()
        })
    };
    // Each tree lies in a record and an array.
    let deepest = tree(62);
    let payload = Avro::new().encode(&deepest).unwrap();
    assert_eq!(read::<Tree>(&Avro::new(), &payload).unwrap(), deepest);
    let error = Avro::new().encode(&tree(64)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
struct Counter {
    count: u64,
    #[avro(decimal(precision = 4, scale = 2))]
    price: String,
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_an_error_of_publish_and_nothing_is_stored() {
    let bus = Bus::connect("memory://").await.unwrap().create_topics(true);
    let topic: Topic<Counter, Avro> = Topic::new("counters");
    let counter = |count, price: &str| Counter {
        count,
        price: price.to_owned(),
    };
    for (wrong, word) in [
        (counter(u64::MAX, "1"), "18446744073709551615"),
        (counter(1 << 63, "1"), "`count`"),
        (counter(1, "100.00"), "100.00"),
        (counter(1, "0.001"), "0.001"),
        (counter(1, "cheap"), "cheap"),
    ] {
        let error = bus::Error::from(bus.publish(&topic, &wrong).await.unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong:?}");
        assert!(error.to_string().contains(word), "{error}");
    }
    let fits = counter(i64::MAX.cast_unsigned(), "-99.99");
    bus.publish(&topic, &fits).await.unwrap();
    let mut counters = bus.observe(&topic).start(bus::Start::Earliest).await.unwrap();
    let first = counters.next().await.unwrap().unwrap();
    assert_eq!((&*first, first.record().position()), (&fits, 0));
}

#[test]
fn a_given_schema_is_written_and_read() {
    let old = Schema::parse(
        r#"{"type": "record", "name": "Counter", "fields": [
            {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}},
            {"name": "unit", "type": "string", "default": "EUR"},
            {"name": "count", "type": "int"}
        ]}"#,
    )
    .unwrap();
    let codec = Avro::new().schema(&old);
    let value = Counter {
        count: 5,
        price: "1.50".to_owned(),
    };
    let payload = codec.encode(&value).unwrap();
    assert_eq!(&payload[..], b"\x04\x00\x96\x06EUR\x0a");
    assert_eq!(theirs(&old, &payload).1, payload);
    assert_eq!(read::<Counter>(&codec, &payload).unwrap(), value);
    let large = Counter {
        count: 1 << 31,
        price: "1".to_owned(),
    };
    assert_eq!(codec.encode(&large).unwrap_err().kind(), ErrorKind::Invalid);
    // The same codec for another type.
    #[derive(Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
    #[serde(rename = "Counter")]
    struct Unit {
        unit: String,
    }
    assert_eq!(
        read::<Unit>(&codec, &payload).unwrap(),
        Unit {
            unit: "EUR".to_owned()
        }
    );
}
