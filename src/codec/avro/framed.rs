//! The codec with a registry.

use super::{
    AvroSchema, Schema,
    codec::{tombstone, undecodable, unwritable},
    kept::Kept,
    read,
    readings::Readings,
    write,
};
use crate::{
    codec::scratch::written,
    registry::{self, Framing, Registry, Writer, frame, no_topic},
};
use bus_core::{BoxFuture, Bytes, Codec, Encoded, Error, Need, Record, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// Avro with its schemas in a registry, framed as Confluent's serializers do it: a zero byte, the schema's id, the value. What is
/// read was written with the schema of its id, and becomes the payload's type by the rules of schema resolution: readers of one
/// version read another, as long as the two are compatible. Content type `avro/binary`. A tombstone reads as `None`, if the payload
/// is an `Option`.
///
/// ```no_run
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use bus::{AvroSchema, Bus, RegistryAvro, Topic, registry::Registry};
/// use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, AvroSchema)]
/// #[avro(namespace = "com.mycompany.users")]
/// struct UserEvent {
///     user_id: i64,
///     action: String,
/// }
/// let registry = Registry::from_env()?;             // KAFKA_SCHEMA_REGISTRY_URL
/// let users: Topic<UserEvent, _> = Topic::with_codec("users", RegistryAvro::of::<UserEvent>(&registry)?);
/// let bus = Bus::from_env().await?;
/// bus.publish(&users, &UserEvent { user_id: 1, action: "login".into() }).key("user-1").await?;
/// # Ok::<_, bus::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct RegistryAvro(Framing);

impl RegistryAvro {
    /// Writes with this schema, under the subject `<topic>-value`: fields go by their names, those that it has not are left out,
    /// and those that the payload has not take its defaults. [`with`](Self::with) says it otherwise.
    pub fn new(registry: &Registry, schema: &Schema) -> Self {
        Self(Framing::new(registry, registered(schema)))
    }
    /// Writes with the schema of a Rust type, [`T::avro_schema()`](AvroSchema::avro_schema). Where the namespace stands in a file of
    /// settings, `new` takes [`T::avro_schema_in(…)`](AvroSchema::avro_schema_in).
    /// # Errors
    /// As [`AvroSchema::avro_schema`].
    pub fn of<T: AvroSchema>(registry: &Registry) -> Result<Self> {
        Ok(Self::new(registry, &T::avro_schema()?))
    }
    /// Writes with this schema instead, and keeps everything else.
    #[must_use]
    pub fn schema(self, schema: &Schema) -> Self {
        self.with(|framing| framing.schema(registered(schema)))
    }
    /// Changes how subjects are named, and who registers: see [`Framing`].
    #[must_use]
    pub fn with(self, change: impl FnOnce(Framing) -> Framing) -> Self {
        Self(change(self.0))
    }
}

/// What is made once of a schema's text, or why nothing is.
type Parsed = std::result::Result<Known, Error>;

struct Known {
    schema: Schema,
    readings: Readings,
}

impl Known {
    fn of(schema: Schema) -> Self {
        Self {
            schema,
            readings: Readings::default(),
        }
    }
}

/// A schema for the registry, which need not be parsed again.
fn registered(schema: &Schema) -> registry::Schema {
    let text = registry::Schema::avro(schema.as_str());
    let named = match schema.name() {
        Some(name) => text.named(name),
        None => text,
    };
    let _ = named.parsed(|_| Ok(Parsed::Ok(Known::of(schema.clone()))));
    named
}

fn parsed(schema: &registry::Schema) -> Result<Arc<Parsed>> {
    schema.parsed(|text| Ok(Schema::parse(text).map(Known::of)))
}

fn framed<T: Serialize + ?Sized>(writer: &Writer, value: &T) -> Result<Bytes> {
    let parsed = parsed(&writer.schema)?;
    let known = Result::as_ref(&parsed).map_err(Error::duplicate)?;
    let write = |out: &mut Vec<u8>| {
        out.extend_from_slice(&frame::head(writer.id));
        write::write(known.schema.plan(), value, out)
    };
    written(write).map_err(unwritable)
}

impl<T: AvroSchema + Serialize + DeserializeOwned> Codec<T> for RegistryAvro {
    fn encode(&self, _: &T) -> Result<Bytes> {
        Err(no_topic())
    }
    fn encode_for(&self, topic: &str, value: &T) -> Result<Encoded> {
        if let Some(writer) = self.0.writer(topic) {
            return framed(&writer, value).map(Encoded::Now);
        }
        // The schema may not be known yet either.
        let kept = Kept::of(value).map_err(unwritable)?;
        let writer = self.0.find_writer(topic);
        Ok(Encoded::Later(Box::pin(
            async move { framed(&writer.await?, &kept) },
        )))
    }
    fn decode(&self, record: &Record) -> Result<T> {
        if record.payload().is_none() {
            return tombstone();
        }
        let (writer, body) = self.0.decode(record)?;
        let parsed = parsed(&writer)?;
        let unknown = |why: &Error| undecodable().source(format!("of the writer's schema: {why}"));
        let known = Result::as_ref(&parsed).map_err(unknown)?;
        let reading = known.readings.of::<T>(&known.schema)?;
        read::read(reading, body).map_err(|e| undecodable().source(e))
    }
    fn content_type(&self) -> Option<&'static str> {
        Some("avro/binary")
    }
    fn ready(&self, need: &Need) -> Option<BoxFuture<'static, Result<()>>> {
        self.0.ready(need)
    }
}
