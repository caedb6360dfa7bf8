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

/// What a field's default is called while the schema is parsed: the parser works defaults out again for every record that they lie
/// in, which doubles with each, and the plan does it once.
pub(super) const DEFAULT: &str = "bus-default";

/// Renames the fields' defaults, and nothing in them.
fn aside(schema: &mut serde_json::Value) {
    use serde_json::Value;
    match schema {
        Value::Array(branches) => branches.iter_mut().for_each(aside),
        Value::Object(parts) => {
            for part in ["type", "items", "values"] {
                parts.get_mut(part).into_iter().for_each(aside);
            }
            let fields = parts.get_mut("fields").and_then(Value::as_array_mut);
            for field in fields.into_iter().flatten() {
                if let Some(field) = field.as_object_mut() {
                    field.remove(DEFAULT);
                    let default = field.remove("default");
                    default.and_then(|default| field.insert(DEFAULT.to_owned(), default));
                }
                aside(field);
            }
        }
        _ => {}
    }
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
        let mut bare = json.clone();
        aside(&mut bare);
        let parsed = apache_avro::Schema::parse(&bare)
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
