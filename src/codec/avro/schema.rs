//! A schema, as text and as what it means.

use super::plan::Plan;
use bus_core::{Error, Result};
use std::{
    fmt::{self, Display},
    str::FromStr,
    sync::Arc,
};

/// An Avro schema. Cheap to clone.
///
/// ```
/// let schema = bus::avro::Schema::parse(r#"{"type": "array", "items": "long"}"#)?;
/// assert!(bus::avro::Schema::parse(r#"{"type": "arrow"}"#).is_err());
/// # Ok::<_, bus::Error>(())
/// ```
#[derive(Clone)]
pub struct Schema(Arc<Parsed>);

struct Parsed {
    text: Box<str>,
    json: serde_json::Value,
    name: Option<Box<str>>,
    plan: Plan,
}

impl Schema {
    /// Reads the JSON of a schema.
    /// # Errors
    /// `Invalid`: what the text is instead.
    pub fn parse(text: &str) -> Result<Self> {
        let json =
            serde_json::from_str(text).map_err(|e| Error::invalid("the Avro schema is no JSON").source(e))?;
        Self::made(text.into(), json)
    }
    pub(super) fn of(json: serde_json::Value) -> Result<Self> {
        Self::made(json.to_string().into(), json)
    }
    fn made(text: Box<str>, json: serde_json::Value) -> Result<Self> {
        let parsed = apache_avro::Schema::parse(&json)
            .map_err(|e| Error::invalid(format!("this is no Avro schema: {e}")))?;
        let plan =
            Plan::of(&parsed).map_err(|e| Error::invalid(format!("this Avro schema cannot be used: {e}")))?;
        let name = parsed.name().map(|name| name.fullname(None).into());
        Ok(Self(Arc::new(Parsed {
            text,
            json,
            name,
            plan,
        })))
    }
    /// Its JSON.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
    /// Its JSON as a value.
    pub fn json(&self) -> &serde_json::Value {
        &self.0.json
    }
    /// The full name of the record, enum or fixed type that it is.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }
    pub(super) fn plan(&self) -> &Plan {
        &self.0.plan
    }
}

/// As its JSON.
impl Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.0.text).finish()
    }
}

impl FromStr for Schema {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// Whether they are the same JSON; the order of keys and spaces apart.
impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.0.json == other.0.json
    }
}
