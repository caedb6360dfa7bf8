//! MessagePack through serde.

use super::scratch::written;
use bus_core::{Bytes, Codec, Error, ErrorKind, Record, Result, Stateless};
use rmp_serde::{Deserializer, decode, encode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// [MessagePack](https://msgpack.org): JSON's types in fewer bytes, and bytes as such. Structs are maps with the names of
/// their fields, so that fields may be added and other languages can read them; content type `application/vnd.msgpack`. A
/// tombstone reads as `nil`, so a topic of `Option<T>` tells it from a value.
///
/// ```
/// # #[cfg(feature = "memory")] {
/// use bus::{Bus, MessagePack, Topic};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// const READINGS: Topic<(String, f64), MessagePack> = Topic::new("readings");
///
/// let bus = Bus::connect("memory://").await?.create_topics(true);
/// bus.publish(&READINGS, &("kitchen".to_owned(), 21.5)).await?;
/// let mut readings = bus.subscribe(&READINGS, "display").await?;
/// let reading = readings.next().await.unwrap()?;
/// assert_eq!(reading.1, 21.5);
/// # Ok::<_, bus::Error>(()) }).unwrap() }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessagePack;

/// `nil`.
const NIL: &[u8] = &[0xc0];

impl Stateless for MessagePack {
    const CODEC: Self = MessagePack;
}

impl<T: Serialize + DeserializeOwned> Codec<T> for MessagePack {
    fn encode(&self, value: &T) -> Result<Bytes> {
        let failed = |e| Error::invalid("the value cannot be written as MessagePack").source(e);
        written(|buffer| encode::write_named(buffer, value)).map_err(failed)
    }
    fn decode(&self, record: &Record) -> Result<T> {
        let undecodable = || Error::new(ErrorKind::Undecodable, "payload is not the expected MessagePack");
        let mut reader = Deserializer::from_read_ref(record.payload().unwrap_or(NIL));
        let value = T::deserialize(&mut reader).map_err(|e| undecodable().source(e))?;
        // Whatever stands behind the value would be lost without a word. The reader does not say what is left; but at the end
        // there is no marker of a further value.
        match <()>::deserialize(&mut reader) {
            Err(decode::Error::InvalidMarkerRead(_)) => Ok(value),
            _ => Err(undecodable()),
        }
    }
    fn content_type(&self) -> Option<&'static str> {
        Some("application/vnd.msgpack")
    }
}
