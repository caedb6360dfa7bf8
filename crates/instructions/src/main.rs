//! Encodes or decodes one message so many times, by a codec of the bus or by the library under it. It is run under a counter of
//! instructions: `cargo xtask instructions`.
#![allow(clippy::expect_used, reason = "what is encoded here can be")]

mod message;

use apache_avro::{reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use bus::{Avro, AvroSchema, Codec, Json, MessagePack, Protobuf, Record};
use bus_core::BatchBuilder;
use clap::{Parser, ValueEnum};
use message::{Flight, FlightProto};
use prost::Message as _;
use std::{hint::black_box, sync::Arc};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Avro,
    Json,
    Msgpack,
    Protobuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Side {
    /// The library itself.
    Bare,
    /// The codec over it.
    Bus,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    Encode,
    Decode,
}

#[derive(Debug, Parser)]
struct Arguments {
    format: Format,
    side: Side,
    way: Way,
    times: u32,
}

fn main() {
    let run = Arguments::parse();
    match run.format {
        Format::Avro => avro(&run),
        Format::Json => run.with(
            Flight::example(),
            Json,
            |flight| serde_json::to_vec(flight).expect("JSON"),
            |bytes| serde_json::from_slice(bytes).expect("JSON"),
        ),
        Format::Msgpack => run.with(
            Flight::example(),
            MessagePack,
            |flight| rmp_serde::to_vec_named(flight).expect("MessagePack"),
            |bytes| rmp_serde::from_slice(bytes).expect("MessagePack"),
        ),
        Format::Protobuf => run.with(
            FlightProto::example(),
            Protobuf,
            |flight| flight.encode_to_vec(),
            |bytes| FlightProto::decode(bytes).expect("Protobuf"),
        ),
    }
}

/// Reader and writer of the library are made once: they check the schema, which costs more than a message.
fn avro(run: &Arguments) {
    let schema = Flight::avro_schema().expect("a schema");
    let schema = apache_avro::Schema::parse_str(schema.as_str()).expect("a schema");
    let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
    let reader = GenericDatumReader::builder(&schema).build().expect("a reader");
    run.with(
        Flight::example(),
        Avro::new(),
        |flight| writer.write_ser_to_vec(flight).expect("Avro"),
        |mut bytes| reader.read_deser(&mut bytes).expect("Avro"),
    );
}

impl Arguments {
    fn with<T: Send + Sync + 'static>(
        &self,
        value: T,
        codec: impl Codec<T>,
        encode: impl Fn(&T) -> Vec<u8>,
        decode: impl Fn(&[u8]) -> T,
    ) {
        let payload = encode(&value);
        let record = record(&payload);
        for _ in 0..self.times {
            match (self.way, self.side) {
                (Way::Encode, Side::Bare) => drop(black_box(encode(black_box(&value)))),
                (Way::Encode, Side::Bus) => drop(black_box(codec.encode(black_box(&value)))),
                (Way::Decode, Side::Bare) => drop(black_box(decode(black_box(&payload)))),
                (Way::Decode, Side::Bus) => drop(black_box(codec.decode(black_box(&record)))),
            }
        }
    }
}

/// The payload as a consumer has it.
fn record(payload: &[u8]) -> Record {
    let mut batch = BatchBuilder::with_capacity(1, payload.len());
    let none = std::iter::empty::<(&[u8], Option<&[u8]>)>();
    batch.push(1, 0, Some(b"key"), Some(payload), none);
    Record::new(Arc::new(batch.finish()), 0)
}
