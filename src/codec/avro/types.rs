//! What a schema in the making has defined.

use super::{AvroSchema, presets};
use bus_core::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{any::TypeId, collections::HashMap};

/// The named types that a schema has defined so far: each is defined where it first appears, and then named.
#[derive(Debug)]
pub struct Types {
    namespace: String,
    known: HashMap<String, Known>,
    wrong: Option<String>,
    /// The types without a name that are being described, since the last one that has a name.
    nameless: Vec<TypeId>,
}

#[derive(Debug)]
struct Known {
    of: TypeId,
    rust: &'static str,
    /// Not yet there inside of itself.
    definition: Value,
}

impl Types {
    pub(super) fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            known: HashMap::new(),
            wrong: None,
            nameless: Vec::new(),
        }
    }
    pub(super) fn check(self) -> Result<()> {
        match self.wrong {
            None => Ok(()),
            Some(wrong) => Err(Error::invalid(wrong)),
        }
    }
    pub(super) fn definition(&self, name: &str) -> Option<&Value> {
        self.known.get(name).map(|known| &known.definition)
    }
    /// The named type `T`: what `define` says, to which its name is added; or only its name, if it is known. Without a namespace
    /// it has the default one.
    pub fn named<T: AvroSchema + ?Sized>(
        &mut self,
        namespace: Option<&str>,
        name: &str,
        define: impl FnOnce(&mut Self) -> Map<String, Value>,
    ) -> Value {
        let namespace = namespace.unwrap_or(&self.namespace).to_owned();
        let full = match &*namespace {
            "" => name.to_owned(),
            namespace => format!("{namespace}.{name}"),
        };
        let rust = std::any::type_name::<T>();
        if let Some(known) = self.known.get(&full) {
            if known.of != TypeId::of::<T>() {
                let other = known.rust;
                self.wrong.get_or_insert(format!(
                    "`{other}` and `{rust}` would both be `{full}` in one Avro schema; give one of them `#[avro(namespace = \"…\")]`, or another name"
                ));
            }
            return Value::String(full);
        }
        let known = Known {
            of: TypeId::of::<T>(),
            rust,
            definition: Value::Null,
        };
        self.known.insert(full.clone(), known);
        let outside = std::mem::take(&mut self.nameless);
        let mut definition = define(self);
        self.nameless = outside;
        definition.insert("name".to_owned(), name.into());
        definition.insert("namespace".to_owned(), namespace.into());
        let definition = Value::Object(definition);
        if let Some(known) = self.known.get_mut(&full) {
            known.definition = definition.clone();
        }
        definition
    }
    /// A type that is what its one field is. If that leads back to it before any type with a name, no schema can say so.
    #[doc(hidden)]
    pub fn nameless<T: AvroSchema + ?Sized>(&mut self, describe: impl FnOnce(&mut Self) -> Value) -> Value {
        let of = TypeId::of::<T>();
        if self.nameless.contains(&of) {
            let rust = std::any::type_name::<T>();
            self.wrong.get_or_insert(format!(
                "`{rust}` lies in itself, and only a type with a name can do so in Avro: make it a struct with a named field"
            ));
            return Value::from("null");
        }
        self.nameless.push(of);
        let schema = describe(self);
        self.nameless.pop();
        schema
    }
    /// Looks at the default of a field that serde leaves out at times, which is null in what is written then.
    #[doc(hidden)]
    pub fn left_out(&mut self, name: &str, preset: &Option<Value>) {
        if preset.as_ref().is_some_and(|preset| !preset.is_null()) {
            self.wrong.get_or_insert(format!(
                "the field `{name}` is left out at times, and its default is not null then: give it `#[serde(default)]`"
            ));
        }
    }
    /// A default that is a value of Rust's, as serde writes it.
    #[doc(hidden)]
    pub fn preset(&mut self, value: &impl Serialize) -> Option<Value> {
        let json = serde_json::to_value(value);
        json.map_err(|e| {
            self.wrong
                .get_or_insert(format!("a default cannot be written: {e}"))
                .clone()
        })
        .ok()
    }
    /// A field of a record. A union's first branch is that of its default.
    #[doc(hidden)]
    pub fn field(
        &mut self,
        name: &str,
        mut schema: Value,
        preset: Option<Value>,
        doc: &str,
        aliases: &[&str],
    ) -> Value {
        let is_null = |branch: &Value| *branch == "null";
        let preset = match (&mut schema, preset) {
            (Value::Array(branches), preset) if branches.iter().any(is_null) => {
                let preset = preset.unwrap_or(Value::Null);
                branches.sort_by_key(|branch| is_null(branch) != preset.is_null());
                Some(preset)
            }
            (_, preset) => preset,
        };
        let mut field = json!({ "name": name });
        if let Some(preset) = preset {
            match presets::converted(&schema, preset, self) {
                Ok(preset) => field["default"] = preset,
                Err(e) => {
                    self.wrong.get_or_insert(format!(
                        "the default of the field `{name}` does not fit its schema: {e}"
                    ));
                }
            }
        }
        field["type"] = schema;
        if !doc.is_empty() {
            field["doc"] = doc.into();
        }
        if !aliases.is_empty() {
            field["aliases"] = aliases.into();
        }
        field
    }
}
