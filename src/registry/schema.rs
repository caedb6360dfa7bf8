//! A schema as registries keep it: a language and a text.

use bus_core::Result;
use std::{
    any::Any,
    fmt,
    sync::{Arc, OnceLock},
};

/// A language of schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchemaKind {
    /// Apache Avro.
    Avro,
    /// JSON Schema.
    Json,
    /// Protocol Buffers: the text of a `.proto` file.
    Protobuf,
}

impl SchemaKind {
    /// As registries write it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        }
    }
    /// Avro, where a registry says nothing.
    pub(super) fn of(word: Option<&str>) -> Option<Self> {
        match word {
            None | Some("AVRO") => Some(Self::Avro),
            Some("JSON") => Some(Self::Json),
            Some("PROTOBUF") => Some(Self::Protobuf),
            Some(_) => None,
        }
    }
}

/// A schema. Cheap to clone; the text is taken as it is.
#[derive(Clone)]
pub struct Schema(Arc<Inner>);

struct Inner {
    kind: SchemaKind,
    text: Arc<str>,
    name: Option<Arc<str>>,
    parsed: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Schema {
    pub(super) fn new(kind: SchemaKind, text: impl Into<Arc<str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            text: text.into(),
            name: None,
            parsed: OnceLock::new(),
        }))
    }
    /// An Avro schema: its JSON text.
    pub fn avro(text: impl Into<Arc<str>>) -> Self {
        Self::new(SchemaKind::Avro, text)
    }
    /// A JSON Schema.
    pub fn json(text: impl Into<Arc<str>>) -> Self {
        Self::new(SchemaKind::Json, text)
    }
    /// The text of a `.proto` file.
    pub fn protobuf(text: impl Into<Arc<str>>) -> Self {
        Self::new(SchemaKind::Protobuf, text)
    }
    /// Says what the record in it is called, namespace included: what [`Naming::Record`](super::Naming) goes by.
    pub fn named(self, name: impl Into<Arc<str>>) -> Self {
        Self(Arc::new(Inner {
            kind: self.0.kind,
            text: self.0.text.clone(),
            name: Some(name.into()),
            parsed: OnceLock::new(),
        }))
    }
    /// Its language.
    pub fn kind(&self) -> SchemaKind {
        self.0.kind
    }
    /// Its text.
    pub fn text(&self) -> &str {
        &self.0.text
    }
    /// What its record is called, if that was said.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }
    /// What a codec makes of its text: made once, and kept with it. A schema has one codec's; another type is made anew each
    /// time.
    /// # Errors
    /// What `parse` says.
    pub fn parsed<P: Send + Sync + 'static>(&self, parse: impl FnOnce(&str) -> Result<P>) -> Result<Arc<P>> {
        if let Some(parsed) = self.0.parsed.get()
            && let Ok(parsed) = parsed.clone().downcast()
        {
            return Ok(parsed);
        }
        let parsed = Arc::new(parse(self.text())?);
        let _ = self.0.parsed.set(parsed.clone());
        Ok(parsed)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema")
            .field("kind", &self.0.kind)
            .field("name", &self.0.name)
            .field("text", &self.0.text)
            .finish()
    }
}
