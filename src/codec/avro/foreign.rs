//! Schemas of others that are small and mean much: they are read in a moment, or refused.

use super::{Schema, read, resolve::Reading, write};
use bus_core::{ErrorKind, Result};
use serde::{Serialize, de::IgnoredAny};
use serde_json::{Value, json};

fn schema(json: &Value) -> Schema {
    Schema::of(json.clone()).unwrap()
}

fn record(name: &str, fields: &Value) -> Value {
    json!({"type": "record", "name": name, "fields": fields})
}

/// What the reader makes of it, or why it makes nothing.
fn read_as(writer: &Schema, reader: &Schema, payload: &[u8]) -> std::result::Result<Value, String> {
    let reading = Reading::of(writer.plan(), reader.plan()).map_err(|e| e.to_string())?;
    read::read(&reading, payload).map_err(|e| e.to_string())
}

/// Passes the payload over.
fn skipped(writer: &Schema, payload: &[u8]) -> std::result::Result<(), String> {
    let reading = Reading::of(writer.plan(), writer.plan()).map_err(|e| e.to_string())?;
    read::read::<IgnoredAny>(&reading, payload)
        .map(drop)
        .map_err(|e| e.to_string())
}

/// Records that each have so many fields of the next one's type, the last of which has these fields.
fn tower(floors: usize, wide: usize, last: &Value) -> Value {
    (0..floors).rev().fold(record("Last", last), |next, floor| {
        let name = match next["name"].as_str() {
            Some("Last") => "Last".to_owned(),
            _ => format!("R{}", floor + 1),
        };
        let mut fields = vec![json!({"name": "f0", "type": next})];
        fields.extend((1..wide).map(|field| json!({"name": format!("f{field}"), "type": name})));
        record(&format!("R{floor}"), &fields.into())
    })
}

#[test]
fn items_whose_records_branch_out_are_looked_at_for_a_moment_only() {
    let many =
        schema(&json!({"type": "array", "items": tower(9, 50, &json!([{"name": "x", "type": "int"}]))}));
    assert_eq!(skipped(&many, &[0]), Ok(()));
    // What is found of them counts.
    let fields: Vec<_> = (0..2_000)
        .map(|i| json!({"name": format!("f{i}"), "type": "double"}))
        .collect();
    let wide = schema(&json!({"type": "array", "items": record("Wide", &fields.into())}));
    let payload = [&[4][..], &[0; 9_000]].concat();
    assert!(
        skipped(&wide, &payload)
            .unwrap_err()
            .contains("2 items are announced")
    );
}

#[test]
fn types_that_cannot_be_read_are_tried_once() {
    let next = |floor| format!("W{floor}");
    let bottom = record(&next(40), &json!([{"name": "f", "type": "int"}]));
    let writer = (0..40).rev().fold(bottom, |inner, floor| {
        record(&next(floor), &json!([{"name": "f", "type": inner}]))
    });
    // Either branch may be each of them, down to the last, which is neither.
    let aliases: Vec<_> = (0..=40).map(next).collect();
    let either = |name: &str, field: Value| json!({"type": "record", "name": name, "aliases": aliases, "fields": [{"name": "f", "type": field}]});
    let reader = either("A", json!(["A", either("B", json!(["A", "B"]))]));
    let (writer, reader) = (schema(&writer), schema(&reader));
    let wrong = Reading::of(writer.plan(), reader.plan()).unwrap_err().to_string();
    assert!(wrong.contains("in no branch of the reader's union"), "{wrong}");
}

#[test]
fn types_that_lie_in_each_other_without_end_do_not_fill_the_stack() {
    // Each is defined after the one that it holds, so that the text is flat, and called the same in a namespace of its own.
    let chain = |length: usize| {
        let tree =
            |i: usize, inner: Value| record(&format!("n{i}.Tree"), &json!([{"name": "f", "type": inner}]));
        let all: Vec<_> = (0..length)
            .map(|i| match i {
                0 => tree(0, json!("null")),
                i => tree(i, json!(["null", format!("n{}.Tree", i - 1)])),
            })
            .collect();
        let last = format!("n{}.Tree", length - 1);
        schema(&record(
            "Tree",
            &json!([{"name": "all", "type": all}, {"name": "f", "type": last}]),
        ))
    };
    let reader = schema(&record("Tree", &json!([{"name": "f", "type": ["null", "Tree"]}])));
    let of = |length| Reading::of(chain(length).plan(), reader.plan());
    // A value that ends before is read.
    for length in [100, 3_000] {
        let reading = of(length).unwrap();
        assert_eq!(
            read::read::<Value>(&reading, &[0, 0]).unwrap(),
            json!({"f": {"f": null}})
        );
    }
    let wrong = read::read::<Value>(&of(3_000).unwrap(), &[&[0][..], &[2; 2_999]].concat()).unwrap_err();
    assert!(
        wrong.to_string().contains("lie in each other more than"),
        "{wrong}"
    );
}

#[test]
fn values_without_bytes_are_counted_in_the_whole_payload() {
    let empty = record("Empty", &json!([]));
    let rows = schema(&json!({"type": "array", "items": {"type": "array", "items": empty}}));
    // Each row announces 65 536 items, which take none.
    let row = [0x80, 0x80, 0x08, 0];
    let one = [&[2][..], &row, &[0]].concat();
    assert_eq!(skipped(&rows, &one), Ok(()));
    let many = [&[0x80, 0x80, 1][..], &row.repeat(8_192), &[0]].concat();
    let wrong = skipped(&rows, &many).unwrap_err();
    assert!(wrong.contains("more than 65536 values"), "{wrong}");
    // Records that hold nothing but each other.
    let tower = schema(&tower(9, 50, &json!([])));
    let wrong = skipped(&tower, &[]).unwrap_err();
    assert!(wrong.contains("more than 65536 values"), "{wrong}");
    // Items that have bytes are not counted, where it is not known beforehand that they have.
    let deep = (0..10).fold(json!("int"), |inner, i| {
        record(&format!("D{i}"), &json!([{"name": "f", "type": inner}]))
    });
    let deep = schema(&json!({"type": "array", "items": deep}));
    let payload = [&[0x80, 0x80, 0x10][..], &[2; 131_072], &[0]].concat();
    assert_eq!(skipped(&deep, &payload), Ok(()));
}

#[test]
fn a_decimal_that_is_too_wide_is_its_bytes() {
    let wide = json!({"type": "bytes", "logicalType": "decimal", "precision": 50, "scale": 2});
    let fixed = json!({"type": "fixed", "name": "F", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 2});
    let mut wider = fixed.clone();
    (wider["size"], wider["precision"]) = (json!(20), json!(40));
    let fields = |wide: &Value| json!([{"name": "d", "type": wide}, {"name": "x", "type": "int"}]);
    let just = schema(&record("R", &json!([{"name": "x", "type": "int"}])));
    for (wide, value) in [
        (&wide, &[4, 1, 2, 6][..]),
        (&wider, &[[0; 20].as_slice(), &[6]].concat()),
    ] {
        let writer = schema(&record("R", &fields(wide)));
        assert_eq!(read_as(&writer, &just, value), Ok(json!({"x": 3})));
    }
    let writer = schema(&record("R", &fields(&wide)));
    let bytes = schema(&record("R", &fields(&json!("bytes"))));
    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct R {
        d: Vec<u8>,
        x: i32,
    }
    for reader in [&bytes, &writer] {
        let reading = Reading::of(writer.plan(), reader.plan()).unwrap();
        let read: R = read::read(&reading, &[4, 1, 2, 6]).unwrap();
        assert_eq!(read, R { d: vec![1, 2], x: 3 });
        let mut out = Vec::new();
        write::write(writer.plan(), &read, &mut out).unwrap();
        assert_eq!(out, [4, 1, 2, 6]);
    }
    // Another scale would be another number.
    let narrow = schema(&record(
        "R",
        &fields(&json!({"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 1})),
    ));
    let wrong = read_as(&writer, &narrow, &[4, 1, 2, 6]).unwrap_err();
    assert!(
        wrong.contains("a decimal of more than 38 digits cannot be read as a decimal"),
        "{wrong}"
    );
}

#[test]
fn a_fixed_type_of_more_bytes_than_a_payload_has_is_refused() {
    let of = |size: u64| {
        let decimal = json!({"type": "fixed", "name": "F", "size": size, "logicalType": "decimal", "precision": 4, "scale": 2});
        Schema::of(json!([{"type": "fixed", "name": "P", "size": size}, decimal]))
    };
    of(i32::MAX as u64).unwrap();
    for size in [1 << 31, 1 << 62] {
        let error = of(size).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(&format!("{size} bytes")), "{error}");
    }
    let alone = json!({"type": "fixed", "name": "F", "size": 1_u64 << 62, "logicalType": "decimal", "precision": 4, "scale": 2});
    Schema::of(alone).unwrap_err();
}

#[test]
fn defaults_that_hold_each_other_are_no_more_than_a_schema_may_have() {
    let doubled = |floors: usize| -> Result<Schema> {
        let bottom = record("R0", &json!([{"name": "x", "type": "string", "default": "text"}]));
        let first = json!({"name": "f0", "type": bottom, "default": {}});
        let rest = (1..floors).map(|floor| {
            let name = format!("R{}", floor - 1);
            let fields = json!([{"name": "a", "type": name, "default": {}}, {"name": "b", "type": name, "default": {}}]);
            json!({"name": format!("f{floor}"), "type": record(&format!("R{floor}"), &fields), "default": {}})
        });
        Schema::of(record("Top", &std::iter::once(first).chain(rest).collect()))
    };
    doubled(10).unwrap();
    let error = doubled(60).unwrap_err();
    assert!(
        error.to_string().contains("more than can be worked out"),
        "{error}"
    );
}

#[test]
fn branches_of_one_name_are_passed_over_as_themselves() {
    let branch = |space: &str, of: &str| json!({"type": "record", "name": format!("{space}.R"), "fields": [{"name": "f", "type": of}]});
    let both = json!([branch("a", "int"), branch("b", "string")]);
    let writer = schema(&record(
        "R",
        &json!([{"name": "gone", "type": both}, {"name": "x", "type": "int"}]),
    ));
    let reader = schema(&record("R", &json!([{"name": "x", "type": "int"}])));
    assert_eq!(read_as(&writer, &reader, b"\x02\x02a\x06"), Ok(json!({"x": 3})));
}
