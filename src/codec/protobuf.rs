//! Protocol Buffers through prost.

use bus_core::{Bytes, Codec, Error, ErrorKind, Record, Result, Stateless};

/// [Protocol Buffers](https://protobuf.dev), for messages of [`prost`](::prost), which this crate hands on as `bus::prost`;
/// content type `application/protobuf`. An empty payload is a message whose fields all have their defaults, and a tombstone
/// is no message: it counts as undecodable.
///
/// ```
/// # #[cfg(feature = "memory")] {
/// use bus::{Bus, Protobuf, Topic};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// // As `prost-build` writes it from a .proto file.
/// #[derive(Clone, PartialEq, prost::Message)]
/// struct Reading {
///     #[prost(string, tag = "1")]
///     room: String,
///     #[prost(double, tag = "2")]
///     degrees: f64,
/// }
/// const READINGS: Topic<Reading, Protobuf> = Topic::new("readings");
///
/// let bus = Bus::connect("memory://").await?.create_topics(true);
/// bus.publish(&READINGS, &Reading { room: "kitchen".into(), degrees: 21.5 }).await?;
/// let mut readings = bus.subscribe(&READINGS, "display").await?;
/// let reading = readings.next().await.unwrap()?;
/// assert_eq!(reading.degrees, 21.5);
/// # Ok::<_, bus::Error>(()) }).unwrap() }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protobuf;

impl Stateless for Protobuf {
    const CODEC: Self = Protobuf;
}

impl<T: prost::Message + Default> Codec<T> for Protobuf {
    fn encode(&self, value: &T) -> Result<Bytes> {
        Ok(value.encode_to_vec().into())
    }
    fn decode(&self, record: &Record) -> Result<T> {
        let undecodable = |what| Error::new(ErrorKind::Undecodable, what);
        let payload = record
            .payload()
            .ok_or_else(|| undecodable("a tombstone is no Protobuf message"))?;
        T::decode(payload).map_err(|e| undecodable("payload is not the expected Protobuf message").source(e))
    }
    fn content_type(&self) -> Option<&'static str> {
        Some("application/protobuf")
    }
}
