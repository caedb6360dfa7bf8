//! Protocol Buffers behind the frame of a schema registry.

use crate::registry::{Framing, Registry, Schema, frame, no_topic};
use bus_core::{BoxFuture, Bytes, Codec, Encoded, Error, ErrorKind, Need, Record, Result};
use std::sync::Arc;

/// Messages of `prost` with their `.proto` file in a registry, framed as Confluent's Protobuf serializers do it: a zero byte, the
/// schema's id, which message of the file it is, the message.
///
/// ```no_run
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use bus::{Bus, RegistryProtobuf, Topic, registry::{Registry, Schema}};
/// # #[derive(Clone, PartialEq, prost::Message)] struct Reading { #[prost(double, tag = "1")] degrees: f64 }
/// let registry = Registry::from_env()?;
/// let schema = Schema::protobuf("syntax = \"proto3\"; message Reading { double degrees = 1; }"); // include_str!("reading.proto")
/// let readings: Topic<Reading, _> = Topic::with_codec("readings", RegistryProtobuf::new(&registry, schema));
/// let bus = Bus::from_env().await?;
/// bus.publish(&readings, &Reading { degrees: 21.5 }).await?;
/// # Ok::<_, bus::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct RegistryProtobuf {
    framing: Framing,
    path: Arc<[u32]>,
}

impl RegistryProtobuf {
    /// With this `.proto` file, of which the type is the first message, under the subject `<topic>-value`. `prost` keeps no text of
    /// the file that its types were made from, so it is given here.
    pub fn new(registry: &Registry, schema: Schema) -> Self {
        Self {
            framing: Framing::new(registry, schema),
            path: [0].into(),
        }
    }
    /// Which message of the file it is: its index at each level, counted from 0, outermost first. `[1, 0]` is the first message
    /// inside of the second.
    pub fn message(mut self, path: impl Into<Arc<[u32]>>) -> Self {
        self.path = path.into();
        self
    }
    /// Changes how subjects are named, and who registers: see [`Framing`].
    pub fn with(mut self, change: impl FnOnce(Framing) -> Framing) -> Self {
        self.framing = change(self.framing);
        self
    }
}

impl<T: prost::Message + Default> Codec<T> for RegistryProtobuf {
    fn encode(&self, _: &T) -> Result<Bytes> {
        Err(no_topic())
    }
    fn encode_for(&self, topic: &str, value: &T) -> Result<Encoded> {
        let mut frame = frame::begin();
        frame::write_path(&self.path, &mut frame);
        frame.reserve(value.encoded_len());
        value.encode_raw(&mut frame);
        let Some(writer) = self.framing.writer(topic) else {
            let writer = self.framing.find_writer(topic);
            return Ok(Encoded::Later(Box::pin(async move {
                Ok(frame::finish(frame, writer.await?.id))
            })));
        };
        Ok(Encoded::Now(frame::finish(frame, writer.id)))
    }
    fn decode(&self, record: &Record) -> Result<T> {
        let undecodable = |what: String| Error::new(ErrorKind::Undecodable, what);
        let (_, body) = self.framing.decode(record)?;
        let (path, body) = frame::split_path(body)?;
        // Another message of the file may have fields of the same numbers, and would be read as something it is not.
        if *path != *self.path {
            return Err(undecodable(format!(
                "payload is message {path:?} of its file, and this topic is read as {:?}",
                self.path
            )));
        }
        let failed = |e| undecodable("payload is not the expected Protobuf message".to_owned()).source(e);
        T::decode(body).map_err(failed)
    }
    fn content_type(&self) -> Option<&'static str> {
        Some("application/protobuf")
    }
    fn ready(&self, need: &Need) -> Option<BoxFuture<'static, Result<()>>> {
        self.framing.ready(need)
    }
}
