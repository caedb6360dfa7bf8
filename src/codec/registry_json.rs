//! JSON behind the frame of a schema registry.

use super::json;
use crate::registry::{Framing, Registry, Schema, frame, no_topic};
use bus_core::{BoxFuture, Bytes, Codec, Encoded, Error, ErrorKind, Need, Record, Result};
use serde::{Serialize, de::DeserializeOwned};

/// JSON with a schema in a registry, framed as Confluent's JSON Schema serializers do it: a zero byte, the schema's id, the text.
/// What is read is what serde takes; the schema tells others what they may expect, and the registry keeps its changes
/// compatible.
///
/// ```no_run
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use bus::{Bus, RegistryJson, Topic, registry::{Registry, Schema}};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Order { id: u64 }
/// let registry = Registry::from_env()?;             // KAFKA_SCHEMA_REGISTRY_URL
/// let schema = Schema::json(r#"{"type": "object", "properties": {"id": {"type": "integer"}}}"#);
/// let orders: Topic<Order, RegistryJson> = Topic::with_codec("orders", RegistryJson::new(&registry, schema));
/// let bus = Bus::from_env().await?;
/// bus.publish(&orders, &Order { id: 7 }).key("customer-1").await?;
/// # Ok::<_, bus::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct RegistryJson(Framing);

impl RegistryJson {
    /// With this schema, under the subject `<topic>-value`. [`with`](Self::with) says it otherwise.
    pub fn new(registry: &Registry, schema: Schema) -> Self {
        Self(Framing::new(registry, schema))
    }
    /// With the schema of a Rust type, as [`schemars`](::schemars) derives it. Its record name is the type's.
    #[cfg(feature = "json-schema")]
    pub fn of<T: schemars::JsonSchema>(registry: &Registry) -> Self {
        let schema = schemars::schema_for!(T);
        Self::new(
            registry,
            Schema::json(schema.as_value().to_string()).named(T::schema_name()),
        )
    }
    /// Changes how subjects are named, and who registers: see [`Framing`].
    pub fn with(self, change: impl FnOnce(Framing) -> Framing) -> Self {
        Self(change(self.0))
    }
}

fn framed(mut frame: Vec<u8>, body: &[u8], id: u32) -> Bytes {
    frame.extend_from_slice(body);
    frame::finish(frame, id)
}

impl<T: Serialize + DeserializeOwned> Codec<T> for RegistryJson {
    fn encode(&self, _: &T) -> Result<Bytes> {
        Err(no_topic())
    }
    fn encode_for(&self, topic: &str, value: &T) -> Result<Encoded> {
        let Some(writer) = self.0.writer(topic) else {
            let (body, writer) = (json(value)?, self.0.find_writer(topic));
            return Ok(Encoded::Later(Box::pin(async move {
                Ok(framed(frame::begin(), &body, writer.await?.id))
            })));
        };
        let mut frame = frame::begin();
        let failed = |e| Error::invalid("the value cannot be written as JSON").source(e);
        serde_json::to_writer(&mut frame, value).map_err(failed)?;
        Ok(Encoded::Now(frame::finish(frame, writer.id)))
    }
    fn decode(&self, record: &Record) -> Result<T> {
        let (_, body) = self.0.decode(record)?;
        let failed = |e| Error::new(ErrorKind::Undecodable, "payload is not the expected JSON").source(e);
        serde_json::from_slice(body).map_err(failed)
    }
    fn content_type(&self) -> Option<&'static str> {
        Some("application/json")
    }
    fn ready(&self, need: &Need) -> Option<BoxFuture<'static, Result<()>>> {
        self.0.ready(need)
    }
}
