//! The schemas of Rust types.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(dead_code)]

use bus::{AvroSchema, ErrorKind, Settings, avro::Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

fn json_of<T: AvroSchema>() -> Value {
    T::avro_schema_in("com.test").unwrap().json().clone()
}

/// Whoever did something.
///
/// And what.
#[derive(Serialize, Deserialize, AvroSchema)]
#[avro(namespace = "com.mycompany.users")]
struct UserEvent {
    /// The user.
    user_id: i64,
    action: String,
    timestamp: String,
}

#[test]
fn the_schema_of_a_record_names_fields_types_and_documentation() {
    let expected = json!({
        "type": "record", "name": "UserEvent", "namespace": "com.mycompany.users", "doc": "Whoever did something.\n\nAnd what.",
        "fields": [
            {"name": "user_id", "type": "long", "doc": "The user."},
            {"name": "action", "type": "string"},
            {"name": "timestamp", "type": "string"}
        ]
    });
    assert_eq!(json_of::<UserEvent>(), expected);
}

#[derive(Serialize, Deserialize, AvroSchema)]
struct Everything {
    a: i8,
    b: u64,
    c: f64,
    d: f32,
    e: bool,
    f: Vec<u8>,
    g: Vec<String>,
    h: BTreeMap<String, i32>,
    i: HashMap<String, Vec<bool>>,
    j: Option<String>,
    k: jiff::Timestamp,
    l: jiff::civil::Date,
    m: jiff::civil::Time,
    n: uuid::Uuid,
    #[avro(decimal(precision = 12, scale = 2))]
    o: bigdecimal::BigDecimal,
    #[avro(decimal(precision = 4, scale = 0))]
    p: Option<bigdecimal::BigDecimal>,
    q: Box<str>,
}

#[test]
fn every_type_has_its_own() {
    let fields: Vec<Value> = json_of::<Everything>()["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["type"].clone())
        .collect();
    let expected = json!([
        "long", "long", "double", "float", "boolean", "bytes",
        {"type": "array", "items": "string"},
        {"type": "map", "values": "long"},
        {"type": "map", "values": {"type": "array", "items": "boolean"}},
        ["null", "string"],
        {"type": "long", "logicalType": "timestamp-millis"},
        {"type": "int", "logicalType": "date"},
        {"type": "int", "logicalType": "time-millis"},
        {"type": "string", "logicalType": "uuid"},
        {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2},
        ["null", {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 0}],
        "string"
    ]);
    assert_eq!(Value::from(fields), expected);
}

#[derive(Serialize, Deserialize, AvroSchema)]
struct Tree {
    value: i32,
    left: Option<Box<Tree>>,
    right: Option<Box<Tree>>,
    colours: Vec<Vec<Colour>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, AvroSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Colour {
    DarkRed,
    #[serde(rename = "black")]
    Black,
    #[serde(other)]
    Unknown,
}

#[test]
fn a_named_type_is_defined_once_and_then_named() {
    let tree = json_of::<Tree>();
    assert_eq!(tree["fields"][1]["type"], json!(["null", "com.test.Tree"]));
    assert_eq!(tree["fields"][2]["type"], json!(["null", "com.test.Tree"]));

    #[derive(AvroSchema)]
    struct Pair {
        first: Colour,
        second: Option<Colour>,
        third: Vec<Colour>,
    }
    let pair = json_of::<Pair>();
    let colour = json!({
        "type": "enum", "name": "Colour", "namespace": "com.test",
        "symbols": ["DARK_RED", "black", "UNKNOWN"], "default": "UNKNOWN"
    });
    assert_eq!(pair["fields"][0]["type"], colour);
    assert_eq!(pair["fields"][1]["type"], json!(["null", "com.test.Colour"]));
    assert_eq!(
        pair["fields"][2]["type"],
        json!({"type": "array", "items": "com.test.Colour"})
    );
}

mod other {
    #[derive(bus::AvroSchema)]
    pub(crate) struct UserEvent {
        pub(crate) id: i64,
    }
    #[derive(bus::AvroSchema)]
    #[avro(namespace = "com.mycompany.users")]
    pub(crate) struct Clash {
        pub(crate) id: i64,
    }
}

#[test]
fn two_types_of_one_name_are_an_error_that_names_both() {
    #[derive(AvroSchema)]
    struct Fine {
        a: UserEvent,
        b: other::UserEvent,
    }
    let fine = json_of::<Fine>();
    assert_eq!(fine["fields"][0]["type"]["namespace"], "com.mycompany.users");
    assert_eq!(fine["fields"][1]["type"]["namespace"], "com.test");

    mod nested {
        #[derive(bus::AvroSchema)]
        pub(super) struct UserEvent {
            pub(super) id: String,
        }
    }
    #[derive(AvroSchema)]
    struct Both {
        a: nested::UserEvent,
        b: other::UserEvent,
    }
    let error = Both::avro_schema_in("com.test").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for name in ["nested::UserEvent", "other::UserEvent", "com.test.UserEvent"] {
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn the_namespace_is_the_attributes_then_the_settings_then_the_default() {
    let name = |schema: bus::Result<Schema>| schema.unwrap().name().unwrap().to_owned();
    let given = Settings::new().avro_default_namespace("com.shop");
    assert_eq!(
        name(UserEvent::avro_schema_in(given.avro_namespace())),
        "com.mycompany.users.UserEvent"
    );
    assert_eq!(
        name(other::UserEvent::avro_schema_in(given.avro_namespace())),
        "com.shop.UserEvent"
    );
    let none = Settings::new();
    assert_eq!(
        name(other::UserEvent::avro_schema_in(none.avro_namespace())),
        "com.core.events.UserEvent"
    );
    let error = other::UserEvent::avro_schema_in("no namespace").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);

    // The process's environment, in a process of its own.
    if std::env::var("AVRO_DEFAULT_NAMESPACE").is_ok_and(|ns| ns == "com.from.env") {
        assert_eq!(name(other::UserEvent::avro_schema()), "com.from.env.UserEvent");
        return;
    }
    let this = std::thread::current();
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", this.name().unwrap()])
        .env("AVRO_DEFAULT_NAMESPACE", "com.from.env")
        .output()
        .unwrap();
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stdout)
    );
    assert!(String::from_utf8_lossy(&status.stdout).contains("1 passed"));
}

fn ten() -> i64 {
    10
}

fn epoch() -> jiff::Timestamp {
    "2024-01-01T00:00:00Z".parse().unwrap()
}

#[derive(Serialize, Deserialize, AvroSchema)]
#[serde(rename_all = "camelCase", rename = "Renamed")]
#[avro(alias = "com.old.Original")]
struct Original {
    #[serde(default)]
    plain_number: i32,
    #[serde(default = "ten", alias = "tenth", rename = "tens")]
    other: i64,
    #[serde(default = "epoch")]
    at_time: jiff::Timestamp,
    #[serde(default)]
    raw_bytes: Vec<u8>,
    #[avro(default = "x")]
    label: String,
    #[serde(skip)]
    hidden: Option<std::time::Instant>,
    #[serde(default = "some")]
    maybe: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<i32>,
    #[serde(default)]
    #[avro(decimal(precision = 6, scale = 2))]
    price: bigdecimal::BigDecimal,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    #[avro(schema_of = i64)]
    seconds: jiff::Timestamp,
}

fn some() -> Option<i32> {
    Some(1)
}

#[test]
fn names_and_defaults_are_those_of_serde() {
    let schema = json_of::<Original>();
    assert_eq!(
        (&schema["name"], &schema["aliases"]),
        (&json!("Renamed"), &json!(["com.old.Original"]))
    );
    let millis = json!({"type": "long", "logicalType": "timestamp-millis"});
    let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2});
    let expected = json!([
        {"name": "plainNumber", "type": "long", "default": 0},
        {"name": "tens", "type": "long", "default": 10, "aliases": ["tenth"]},
        {"name": "atTime", "type": millis, "default": 1_704_067_200_000_i64},
        {"name": "rawBytes", "type": "bytes", "default": ""},
        {"name": "label", "type": "string", "default": "x"},
        {"name": "maybe", "type": ["long", "null"], "default": 1},
        {"name": "leftOut", "type": ["null", "long"], "default": null},
        {"name": "price", "type": decimal, "default": "\u{0}"},
        {"name": "seconds", "type": "long"}
    ]);
    assert_eq!(schema["fields"], expected);
}

#[derive(Serialize, Deserialize, AvroSchema)]
struct UserId(u64);

#[derive(Default, Serialize, Deserialize, AvroSchema)]
#[serde(default)]
struct Defaulted {
    count: u32,
    inner: Inner,
}

#[derive(Serialize, Deserialize, AvroSchema)]
struct Inner {
    bytes: Vec<u8>,
    on: jiff::civil::Date,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            bytes: vec![0, 255],
            on: jiff::civil::date(1970, 1, 2),
        }
    }
}

#[test]
fn a_new_name_is_its_type_and_defaults_of_the_whole_are_those_of_its_parts() {
    assert_eq!(json_of::<UserId>(), json!("long"));
    let schema = json_of::<Defaulted>();
    assert_eq!(schema["fields"][0]["default"], 0);
    assert_eq!(
        schema["fields"][1]["default"],
        json!({"bytes": "\u{0}\u{ff}", "on": 1})
    );
}

#[test]
fn what_serde_leaves_out_is_null_or_no_schema() {
    #[derive(Serialize, AvroSchema)]
    struct Both {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        a: Option<i32>,
    }
    let null = json!({"name": "a", "type": ["null", "long"], "default": null});
    assert_eq!(json_of::<Both>()["fields"][0], null);
    #[derive(Default, Serialize, AvroSchema)]
    #[serde(default)]
    struct Whole {
        #[serde(skip_serializing_if = "Option::is_none")]
        a: Option<i32>,
    }
    assert_eq!(json_of::<Whole>()["fields"][0], null);
    // What is left out is read as 1 then.
    #[derive(Serialize, AvroSchema)]
    #[serde(default)]
    struct Other {
        #[serde(skip_serializing_if = "Option::is_none")]
        a: Option<i32>,
    }
    impl Default for Other {
        fn default() -> Self {
            Self { a: some() }
        }
    }
    let error = Other::avro_schema_in("com.test").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("`a` is left out"), "{error}");
}

#[test]
fn only_what_has_a_name_lies_in_itself() {
    #[derive(AvroSchema)]
    struct Row(Vec<Row>);
    let error = Row::avro_schema_in("com.test").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("Row` lies in itself"), "{error}");
    #[derive(AvroSchema)]
    struct Nodes(Vec<Node>);
    #[derive(AvroSchema)]
    struct Node {
        inner: Nodes,
        more: Nodes,
    }
    let again = json!({"type": "array", "items": "com.test.Node"});
    let nodes = json_of::<Nodes>();
    assert_eq!(nodes["items"]["fields"][0]["type"], again);
    assert_eq!(nodes["items"]["fields"][1]["type"], again);
    assert_eq!(json_of::<Node>()["fields"][0]["type"], again);
}
