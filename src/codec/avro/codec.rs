//! The codec without a registry.

use super::super::scratch::written;
use super::{AvroSchema, Schema, cell::own, read, readings::Readings, write};
use bus_core::{Bytes, Codec, Error, ErrorKind, Record, Result, Stateless};
use serde::{Serialize, de::DeserializeOwned, de::value::UnitDeserializer};
use std::sync::Arc;

/// [Avro](https://avro.apache.org)'s binary encoding, without a registry: whoever reads has to know the schema. It is that of
/// the payload's type, which derives [`AvroSchema`](crate::AvroSchema) beside `Serialize` and `Deserialize`; content type
/// `avro/binary`. A tombstone reads as `None`, if the payload is an `Option`.
///
/// ```
/// # #[cfg(feature = "memory")] {
/// use bus::{Avro, AvroSchema, Bus, Topic};
/// use serde::{Deserialize, Serialize};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// #[derive(Serialize, Deserialize, AvroSchema)]
/// struct Reading {
///     room: String,
///     degrees: Option<f64>,
/// }
/// const READINGS: Topic<Reading, Avro> = Topic::new("readings");
///
/// let bus = Bus::connect("memory://").await?.create_topics(true);
/// bus.publish(&READINGS, &Reading { room: "kitchen".into(), degrees: Some(21.5) }).await?;
/// let mut readings = bus.subscribe(&READINGS, "display").await?;
/// let reading = readings.next().await.unwrap()?;
/// assert_eq!(reading.degrees, Some(21.5));
/// # Ok::<_, bus::Error>(()) }).unwrap() }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Avro {
    /// What is written, and was, where it is not the type's own schema.
    given: Option<Arc<Given>>,
}

#[derive(Debug)]
struct Given {
    schema: Schema,
    readings: Readings,
}

impl Avro {
    /// The codec; in topics that are constants nobody has to make one.
    pub const fn new() -> Self {
        Self { given: None }
    }
    /// Writes with this schema, and takes what it reads for written with it, instead of the payload's own: fields go by their names,
    /// those that it has not are left out, and those that the payload has not take its defaults. What is read becomes the
    /// payload by the rules of schema resolution.
    ///
    /// ```
    /// use bus::{Avro, AvroSchema, Topic, avro::Schema};
    /// # #[derive(serde::Serialize, serde::Deserialize, AvroSchema)]
    /// # struct Reading { room: String, degrees: Option<f64> }
    /// let first = Schema::parse(r#"{"type": "record", "name": "Reading", "fields": [{"name": "room", "type": "string"}]}"#)?;
    /// let readings: Topic<Reading, Avro> = Topic::with_codec("readings", Avro::new().schema(&first));
    /// let kitchen = Reading { room: "kitchen".into(), degrees: None };
    /// assert_eq!(readings.message(&kitchen)?.payload.unwrap(), &b"\x0ekitchen"[..]);
    /// # Ok::<_, bus::Error>(())
    /// ```
    #[must_use]
    pub fn schema(self, schema: &Schema) -> Self {
        let given = Given {
            schema: schema.clone(),
            readings: Readings::default(),
        };
        Self {
            given: Some(given.into()),
        }
    }
}

impl Stateless for Avro {
    const CODEC: Self = Self::new();
}

pub(super) fn unwritable(wrong: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::invalid("the value cannot be written as Avro").source(wrong)
}

pub(super) fn undecodable() -> Error {
    Error::new(ErrorKind::Undecodable, "payload is not the expected Avro")
}

/// What a tombstone is read as.
pub(super) fn tombstone<T: DeserializeOwned>() -> Result<T> {
    T::deserialize(UnitDeserializer::<serde::de::value::Error>::new())
        .map_err(|_| Error::new(ErrorKind::Undecodable, "a tombstone is no Avro value"))
}

impl<T: AvroSchema + Serialize + DeserializeOwned> Codec<T> for Avro {
    fn encode(&self, value: &T) -> Result<Bytes> {
        let plan = match &self.given {
            None => own::<T>()?.schema.plan(),
            Some(given) => given.schema.plan(),
        };
        written(|out| write::write(plan, value, out)).map_err(unwritable)
    }
    fn decode(&self, record: &Record) -> Result<T> {
        let Some(payload) = record.payload() else {
            return tombstone();
        };
        let reading = match &self.given {
            None => &own::<T>()?.reading,
            Some(given) => given.readings.of::<T>(&given.schema)?,
        };
        read::read(reading, payload).map_err(|e| undecodable().source(e))
    }
    fn content_type(&self) -> Option<&'static str> {
        Some("avro/binary")
    }
}
