//! Payloads as every codec reads them, and events in the body. The first byte is how much of the rest is headers.
#![no_main]

use bus::{Avro, AvroSchema, Codec, Json, MessagePack, Protobuf, Record, event::Envelope};
use libfuzzer_sys::fuzz_target;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize, AvroSchema)]
struct Order {
    number: i64,
    small: i32,
    price: f64,
    ratio: f32,
    paid: bool,
    customer: String,
    raw: Vec<u8>,
    note: Option<String>,
    lines: Vec<Line>,
    tags: BTreeMap<String, i32>,
    state: State,
}

#[derive(Debug, Serialize, Deserialize, AvroSchema)]
struct Line {
    article: String,
    pieces: u32,
}

#[derive(Debug, Serialize, Deserialize, AvroSchema)]
enum State {
    Open,
    Sent,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sent {
    #[prost(string, tag = "1")]
    to: String,
    #[prost(message, repeated, tag = "2")]
    parts: Vec<Sent>,
    #[prost(map = "string, bytes", tag = "3")]
    marks: std::collections::HashMap<String, Vec<u8>>,
}

fuzz_target!(|bytes: &[u8]| {
    let Some((split, rest)) = bytes.split_first() else {
        return;
    };
    let (headers, payload) = rest.split_at((*split as usize).min(rest.len()));
    let headers = if bus_core::HeadersView::new(headers).is_well_formed() {
        headers
    } else {
        &[]
    };
    let record = bus_fuzz::record(payload, headers);
    both::<Order>(&Json, &record);
    both::<Order>(&MessagePack, &record);
    both::<Order>(&Avro::new(), &record);
    both::<Sent>(&Protobuf, &record);
    let _ = Envelope::read(&record);
});

/// What is read can be written, and read again.
fn both<T: Serialized>(codec: &impl Codec<T>, record: &Record) {
    if let Ok(value) = codec.decode(record) {
        let written = codec.encode(&value).unwrap();
        codec.decode(&bus_fuzz::record(&written, &[])).unwrap();
    }
}

trait Serialized {}
impl Serialized for Order {}
impl Serialized for Sent {}
