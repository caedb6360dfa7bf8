//! What one codec needs of a registry beside its own bytes.

use super::{Naming, Registry, Schema, client::How, frame};
use bus_core::{BoxFuture, Error, ErrorKind, Need, Record, Result};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// The schema that something is written with, and its id.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Writer {
    /// Its id in the registry.
    pub id: u32,
    /// The schema.
    pub schema: Schema,
}

/// The half of a codec that knows the registry: under which id its schema goes, and with which schema a record was written.
/// Cheap to clone; clones share what they know.
///
/// For codecs of one's own: `encode_for` asks [`writer`](Self::writer), and where that is not known yet returns
/// [`Encoded::Later`](crate::Encoded::Later) with [`find_writer`](Self::find_writer); `decode` asks [`decode`](Self::decode);
/// `ready` is [`ready`](Self::ready).
#[derive(Clone)]
pub struct Framing {
    registry: Registry,
    own: Schema,
    naming: Naming,
    how: How,
    writers: Arc<RwLock<HashMap<String, Writer>>>,
}

impl Framing {
    /// Of a codec whose own schema is this.
    pub fn new(registry: &Registry, own: Schema) -> Self {
        Self {
            registry: registry.clone(),
            own,
            naming: Naming::default(),
            how: How::Register { check: false },
            writers: Arc::default(),
        }
    }
    fn with(self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = Self {
            writers: Arc::default(),
            ..self
        };
        change(&mut changed);
        changed
    }
    /// How subjects are named (default: `<topic>-value`).
    pub fn naming(self, naming: Naming) -> Self {
        self.with(|this| this.naming = naming)
    }
    /// Whether the schema is registered when it is first written (default yes). Otherwise it must be there, and where it is
    /// not, nothing is published: what a deployment does that reviews its schemas.
    pub fn auto_register(self, register: bool) -> Self {
        let how = if register {
            How::Register { check: false }
        } else {
            How::LookUp
        };
        self.with(|this| this.how = how)
    }
    /// Registers the schema when it is first written, and asks before whether it is compatible with the subject's latest
    /// (default no: a registry refuses what its own rule forbids). An error then has the registry's reasons one by one.
    pub fn check(self, check: bool) -> Self {
        self.with(|this| this.how = How::Register { check })
    }
    /// Writes with the subject's latest schema instead of the codec's own, and registers nothing. The latest is that of the
    /// first publish; a process keeps to it.
    pub fn latest(self) -> Self {
        self.with(|this| this.how = How::Latest)
    }
    /// Changes the codec's own schema, and keeps everything else.
    pub fn schema(self, own: Schema) -> Self {
        self.with(|this| this.own = own)
    }
    /// The codec's own schema.
    pub fn own(&self) -> &Schema {
        &self.own
    }
    /// The registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
    /// What is written to this topic, if that is known already: no question, no wait, no allocation.
    pub fn writer(&self, topic: &str) -> Option<Writer> {
        self.writers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(topic)
            .cloned()
    }
    /// What is written to this topic. However many ask, the registry is asked once.
    /// # Errors
    /// As [`Registry::register`], and `Invalid` where the subject goes by a name that the schema has not.
    pub fn find_writer(&self, topic: &str) -> BoxFuture<'static, Result<Writer>> {
        let (this, topic) = (self.clone(), topic.to_owned());
        Box::pin(async move {
            let subject = this.naming.subject(&topic, &this.own)?;
            let writer = this.registry.find(&subject, &this.own, this.how).await?;
            if writer.schema.kind() != this.own.kind() {
                return Err(Error::invalid(format!(
                    "subject `{subject}` has a schema of another language, {:?}: choose another codec or naming",
                    writer.schema.kind()
                )));
            }
            let mut writers = this.writers.write().unwrap_or_else(PoisonError::into_inner);
            writers.insert(topic, writer.clone());
            Ok(writer)
        })
    }
    /// The schema that a record was written with, and its body.
    /// # Errors
    /// `Undecodable`: it is no frame, or of another language; what has to be fetched first
    /// ([`Error::needs`](crate::Error::needs)).
    pub fn decode<'a>(&self, record: &'a Record) -> Result<(Schema, &'a [u8])> {
        let undecodable = |what: String| Error::new(ErrorKind::Undecodable, what);
        let payload = record
            .payload()
            .ok_or_else(|| undecodable("a tombstone is no frame of a schema registry".to_owned()))?;
        let (id, body) = frame::split(payload)?;
        let schema = self
            .registry
            .cached(id)
            .ok_or_else(|| Error::needs(Need::Schema(id)))?;
        if schema.kind() != self.own.kind() {
            return Err(undecodable(format!(
                "schema {id} is one of {:?}, and this topic is read as {:?}",
                schema.kind(),
                self.own.kind()
            )));
        }
        Ok((schema, body))
    }
    /// Fetches what [`decode`](Self::decode) says it needs.
    pub fn ready(&self, need: &Need) -> Option<BoxFuture<'static, Result<()>>> {
        let Need::Schema(id) = need else { return None };
        let schema = self.registry.schema(*id);
        Some(Box::pin(async move { schema.await.map(drop) }))
    }
}

/// An error of a codec that is asked to write without a topic, where its frame depends on it.
pub(crate) fn no_topic() -> Error {
    Error::invalid(
        "what this codec writes depends on the topic; publish to a `Topic`, or call `Codec::encode_for`",
    )
}

impl fmt::Debug for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framing")
            .field("registry", &self.registry)
            .field("own", &self.own)
            .field("naming", &self.naming)
            .finish_non_exhaustive()
    }
}
