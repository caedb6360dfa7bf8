//! Avro schemas of others, and payloads under them: the text, a zero byte, the payload.
#![no_main]

use bus::{Avro, AvroSchema, Codec, avro::Schema};
use libfuzzer_sys::fuzz_target;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, AvroSchema)]
struct Reading {
    sensor: String,
    value: Option<f64>,
    #[serde(default)]
    tags: Vec<String>,
}

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let Ok(text) = std::str::from_utf8(parts.next().unwrap_or_default()) else {
        return;
    };
    let Ok(schema) = Schema::parse(text) else {
        return;
    };
    Schema::parse(schema.as_str()).unwrap();
    let record = bus_fuzz::record(parts.next().unwrap_or_default(), &[]);
    let _: bus::Result<Reading> = Avro::new().schema(&schema).decode(&record);
});
