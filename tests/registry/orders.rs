//! What is written in the checks, and the codecs that write it.
#![allow(dead_code)]

use super::apps::unique;
use bus::{
    AvroSchema, Codec, RegistryAvro, RegistryJson, RegistryProtobuf, Topic,
    registry::{Framing, Registry, Schema, SchemaKind},
};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// The same for every language.
#[derive(Clone, PartialEq, Serialize, Deserialize, AvroSchema, prost::Message)]
pub(crate) struct Order {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(string, tag = "2")]
    pub(crate) item: String,
}

pub(crate) fn order(id: u64) -> Order {
    Order {
        id,
        item: "tea".into(),
    }
}

/// A codec with a registry, and what a check has to know of it.
pub(crate) trait Framed: Codec<Order> + Clone + Debug {
    const KIND: SchemaKind;
    const CONTENT_TYPE: &str;
    /// A body that is none.
    const BROKEN: &[u8];
    fn schema() -> Schema;
    /// One whose readers cannot read what the other has written.
    fn changed() -> Schema;
    fn writing(registry: &Registry, schema: Schema) -> Self;
    /// What stands behind the frame's head, for an order below 64.
    fn body(order: &Order) -> Vec<u8>;
    fn changing(self, change: impl FnOnce(Framing) -> Framing) -> Self;

    fn own(registry: &Registry) -> Self {
        Self::writing(registry, Self::schema())
    }
    /// A topic of its own.
    fn topic(registry: &Registry) -> Topic<Order, Self> {
        Topic::with_codec(unique("registry"), Self::own(registry))
    }
}

const JSON: &str = r#"{"type":"object","properties":{"id":{"type":"integer"},"item":{"type":"string"}},"required":["id","item"]}"#;

impl Framed for RegistryJson {
    const KIND: SchemaKind = SchemaKind::Json;
    const CONTENT_TYPE: &str = "application/json";
    const BROKEN: &[u8] = b"{\"id\":";
    fn schema() -> Schema {
        Schema::json(JSON).named("Order")
    }
    fn changed() -> Schema {
        let (text, number) = (r#""item":{"type":"string"}"#, r#""item":{"type":"integer"}"#);
        Schema::json(JSON.replace(text, number))
    }
    fn writing(registry: &Registry, schema: Schema) -> Self {
        Self::new(registry, schema)
    }
    fn body(order: &Order) -> Vec<u8> {
        format!(r#"{{"id":{},"item":"{}"}}"#, order.id, order.item).into()
    }
    fn changing(self, change: impl FnOnce(Framing) -> Framing) -> Self {
        self.with(change)
    }
}

const AVRO: &str = r#"{"type":"record","name":"Order","namespace":"com.shop","fields":[{"name":"id","type":"long"},{"name":"item","type":"string"}]}"#;

impl Framed for RegistryAvro {
    const KIND: SchemaKind = SchemaKind::Avro;
    const CONTENT_TYPE: &str = "avro/binary";
    /// Text of 5 bytes, of which one is there.
    const BROKEN: &[u8] = b"\x00\x0at";
    fn schema() -> Schema {
        Schema::avro(AVRO).named("com.shop.Order")
    }
    fn changed() -> Schema {
        Schema::avro(AVRO.replace(r#""item","type":"string""#, r#""item","type":"long""#))
    }
    fn writing(registry: &Registry, schema: Schema) -> Self {
        Self::new(registry, &schema.text().parse().unwrap())
    }
    fn body(order: &Order) -> Vec<u8> {
        let (id, length) = (2 * order.id as u8, 2 * order.item.len() as u8);
        [&[id, length], order.item.as_bytes()].concat()
    }
    fn changing(self, change: impl FnOnce(Framing) -> Framing) -> Self {
        self.with(change)
    }
}

const PROTOBUF: &str =
    "syntax = \"proto3\";\npackage com.shop;\n\nmessage Order {\n  uint64 id = 1;\n  string item = 2;\n}\n";

impl Framed for RegistryProtobuf {
    const KIND: SchemaKind = SchemaKind::Protobuf;
    const CONTENT_TYPE: &str = "application/protobuf";
    const BROKEN: &[u8] = b"\x00\x12\x05t";
    fn schema() -> Schema {
        Schema::protobuf(PROTOBUF).named("com.shop.Order")
    }
    fn changed() -> Schema {
        Schema::protobuf(PROTOBUF.replace("string item", "int64 item"))
    }
    fn writing(registry: &Registry, schema: Schema) -> Self {
        Self::new(registry, schema)
    }
    fn body(order: &Order) -> Vec<u8> {
        [vec![0], prost::Message::encode_to_vec(order)].concat()
    }
    fn changing(self, change: impl FnOnce(Framing) -> Framing) -> Self {
        self.with(change)
    }
}
