//! What one schema has written, read as another: the rules of the specification, one by one.

use super::{Schema, read, resolve::Reading, wire};
use serde_json::{Value, json};

/// What the second makes of what the first has written; `None`: nothing.
fn read_as(writer: &Value, reader: &Value, payload: &[u8]) -> Option<Value> {
    let (writer, reader) = (
        Schema::of(writer.clone()).unwrap(),
        Schema::of(reader.clone()).unwrap(),
    );
    let reading = Reading::of(writer.plan(), reader.plan()).ok()?;
    read::read(&reading, payload).ok()
}

fn record(fields: &Value) -> Value {
    json!({"type": "record", "name": "com.a.Event", "fields": fields})
}

#[test]
fn numbers_widen_and_never_narrow() {
    let double = 2.5_f64.to_le_bytes();
    let float = 2.5_f32.to_le_bytes();
    for (writer, reader, payload, expected) in [
        ("int", "long", &[5][..], Some(json!(-3))),
        ("int", "float", &[4], Some(json!(2.0))),
        ("int", "double", &[4], Some(json!(2.0))),
        ("long", "float", &[4], Some(json!(2.0))),
        ("long", "double", &[4], Some(json!(2.0))),
        ("float", "double", &float, Some(json!(2.5))),
        ("double", "double", &double, Some(json!(2.5))),
        ("string", "string", b"\x02a", Some(json!("a"))),
        ("bytes", "string", b"\x02a", Some(json!("a"))),
        ("bytes", "string", b"\x02\xff", None),
        ("long", "int", &[4], None),
        ("double", "float", &double, None),
        ("double", "long", &double, None),
        ("boolean", "int", &[1], None),
        ("boolean", "boolean", &[2], None),
        ("string", "int", b"\x02a", None),
        ("null", "string", b"", None),
    ] {
        assert_eq!(
            read_as(&json!(writer), &json!(reader), payload),
            expected,
            "{writer} {reader}"
        );
    }
    let mut large = Vec::new();
    wire::whole(&mut large, i64::from(i32::MAX) + 1);
    assert_eq!(read_as(&json!("int"), &json!("int"), &large), None);
}

#[test]
fn fields_go_by_name_and_alias_and_missing_ones_have_their_default() {
    let first = record(&json!([
        {"name": "id", "type": "int"},
        {"name": "gone", "type": {"type": "array", "items": {"type": "map", "values": "string"}}},
        {"name": "old", "type": "string"}
    ]));
    let second = record(&json!([
        {"name": "new", "type": "string", "aliases": ["old"]},
        {"name": "id", "type": "long"},
        {"name": "more", "type": ["null", "string"], "default": null},
        {"name": "list", "type": {"type": "array", "items": "int"}, "default": [1, 2]},
        {"name": "inner", "type": {"type": "record", "name": "Inner", "fields": [
            {"name": "a", "type": "int", "default": 7}, {"name": "b", "type": "bytes"}
        ]}, "default": {"b": ""}}
    ]));
    let payload = b"\x0e\x01\x08\x02\x02k\x02v\x00\x00\x06abc";
    let read = read_as(&first, &second, payload);
    // JSON has no bytes; the record's are left out by a reader that has none.
    assert_eq!(read, None);
    let mut second = second;
    second["fields"][4]["type"]["fields"][1] = json!({"name": "b", "type": "string", "default": "x"});
    second["fields"][4]["default"] = json!({"a": 8});
    let expected = json!({"id": 7, "new": "abc", "more": null, "list": [1, 2], "inner": {"a": 8, "b": "x"}});
    assert_eq!(read_as(&first, &second, payload), Some(expected));
    // A field without a default that nobody has written.
    second["fields"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "needed", "type": "int"}));
    assert_eq!(read_as(&first, &second, payload), None);
}

#[test]
fn symbols_that_are_unknown_are_the_default_if_there_is_one() {
    let symbols = |symbols: &[&str]| json!({"type": "enum", "name": "E", "symbols": symbols});
    let (writer, mut reader) = (symbols(&["a", "b", "c"]), symbols(&["c", "a"]));
    assert_eq!(read_as(&writer, &reader, &[4]), Some(json!("c")));
    assert_eq!(read_as(&writer, &reader, &[2]), None);
    assert_eq!(read_as(&writer, &reader, &[6]), None);
    assert_eq!(read_as(&writer, &reader, &[1]), None);
    reader["default"] = json!("a");
    assert_eq!(read_as(&writer, &reader, &[2]), Some(json!("a")));
}

#[test]
fn unions_are_read_branch_by_branch() {
    let nullable = json!(["null", "long"]);
    for (writer, reader, payload, expected) in [
        (json!("int"), nullable.clone(), &[4][..], Some(json!(2))),
        (nullable.clone(), json!("long"), &[2, 4], Some(json!(2))),
        (nullable.clone(), json!("long"), &[0], None),
        (nullable.clone(), nullable.clone(), &[0], Some(Value::Null)),
        (nullable.clone(), nullable.clone(), &[4, 4], None),
        (nullable.clone(), nullable.clone(), &[1], None),
        (
            json!(["null", "string"]),
            nullable.clone(),
            &[0],
            Some(Value::Null),
        ),
        (json!(["null", "string"]), nullable.clone(), b"\x02\x02a", None),
        (
            json!(["string", "int"]),
            json!(["int", "string", "null"]),
            b"\x00\x02a",
            Some(json!("a")),
        ),
        (json!("boolean"), nullable, &[1], None),
        (json!([]), json!("long"), &[0], None),
    ] {
        assert_eq!(read_as(&writer, &reader, payload), expected, "{writer} {reader}");
    }
}

#[test]
fn meanings_of_a_number_are_not_mixed_up() {
    let time = |unit: &str| json!({"type": "long", "logicalType": unit});
    let epoch = Some(json!("1970-01-01T00:00:00.002Z"));
    let (millis, micros) = (time("timestamp-millis"), time("timestamp-micros"));
    assert_eq!(read_as(&millis, &millis, &[4]), epoch);
    assert_eq!(read_as(&json!("long"), &millis, &[4]), epoch);
    assert_eq!(read_as(&json!("int"), &millis, &[4]), epoch);
    assert_eq!(read_as(&millis, &json!("long"), &[4]), Some(json!(2)));
    assert_eq!(read_as(&micros, &millis, &[4]), None);
    let decimal =
        |scale: u32| json!({"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": scale});
    assert_eq!(read_as(&decimal(2), &decimal(2), &[2, 5]), Some(json!("0.05")));
    assert_eq!(read_as(&decimal(2), &decimal(3), &[2, 5]), None);
    let fixed =
        |name: &str, size: u32| json!({"type": "fixed", "name": name, "size": size, "logicalType": "uuid"});
    let uuid = Some(json!("01010101-0101-0101-0101-010101010101"));
    assert_eq!(read_as(&fixed("a", 16), &fixed("a", 16), &[1; 16]), uuid);
    assert_eq!(read_as(&fixed("a", 16), &fixed("b", 16), &[1; 16]), None);
}

#[test]
fn a_record_is_read_by_its_name_or_an_alias_and_as_no_other() {
    let event = |name: &str| {
        json!({"type": "record", "name": name, "fields": [
        {"name": "a", "type": ["null", "long"], "default": null}]})
    };
    let (writer, mut reader) = (event("com.a.Login"), event("com.b.Logout"));
    // Every field of the reader's has a default, so that anything could be it.
    let why = |writer: &Value, reader: &Value| {
        let (writer, reader) = (
            Schema::of(writer.clone()).unwrap(),
            Schema::of(reader.clone()).unwrap(),
        );
        Reading::of(writer.plan(), reader.plan()).unwrap_err().to_string()
    };
    for reader in [reader.clone(), json!(["null", reader])] {
        assert!(
            why(&writer, &reader).contains("`#[avro(alias = \"Login\")]`"),
            "{}",
            why(&writer, &reader)
        );
    }
    assert_eq!(
        read_as(&writer, &event("com.b.Login"), &[2, 4]),
        Some(json!({"a": 2}))
    );
    reader["aliases"] = json!(["Login"]);
    for reader in [reader.clone(), json!(["null", reader])] {
        assert_eq!(read_as(&writer, &reader, &[2, 4]), Some(json!({"a": 2})));
    }
    // Of several events, those that it knows.
    let both = json!([writer, event("com.a.Other")]);
    assert_eq!(read_as(&both, &reader, &[0, 2, 4]), Some(json!({"a": 2})));
    assert_eq!(read_as(&both, &reader, &[2, 2, 4]), None);
}

#[test]
fn what_lies_in_itself_is_read_as_its_next_version() {
    let list = |more: Value| {
        let mut fields = vec![json!({"name": "next", "type": ["null", "com.a.Event"]})];
        fields.extend(more.as_array().unwrap().iter().cloned());
        record(&fields.into())
    };
    let first = list(json!([{"name": "n", "type": "int"}]));
    let second =
        list(json!([{"name": "n", "type": "long"}, {"name": "m", "type": "string", "default": "?"}]));
    let expected = json!({"n": 1, "m": "?", "next": {"n": 2, "m": "?", "next": null}});
    assert_eq!(read_as(&first, &second, &[2, 0, 4, 2]), Some(expected));
    let third = list(json!([{"name": "n", "type": "string"}]));
    assert_eq!(read_as(&first, &third, &[2, 0, 4, 2]), None);
}

#[test]
fn blocks_may_say_how_long_they_are() {
    let array = json!({"type": "array", "items": "int"});
    // Two in a block of 2 bytes, one in a block without.
    assert_eq!(
        read_as(&array, &array, &[3, 4, 2, 4, 2, 6, 0]),
        Some(json!([1, 2, 3]))
    );
    assert_eq!(read_as(&array, &array, &[2, 2]), None);
}
