//! The schema of a Rust type.

use super::{Schema, cell::Cell, types::Types};
use crate::Settings;
use bus_core::Result;
use serde_json::{Value, json};
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    hash::BuildHasher,
    rc::Rc,
    sync::Arc,
};

/// A type that has an Avro schema: by `#[derive(AvroSchema)]`, or by one's own [`describe`](Self::describe).
///
/// | Rust | Avro |
/// |---|---|
/// | `i8` to `i64`, `u8` to `u64` | `long`; a value above `i64::MAX` is an error where it is published |
/// | `f32`, `f64`, `bool`, `String`, `char` | `float`, `double`, `boolean`, `string`, `string` |
/// | `Vec<u8>`, `Bytes` | `bytes` |
/// | `Vec<T>` | `array` |
/// | `HashMap<String, T>`, `BTreeMap<String, T>` | `map` |
/// | `Option<T>` | `["null", T]`, as a field with the default `null` |
/// | `jiff::Timestamp` | `timestamp-millis`; what is finer is cut off |
/// | `jiff::civil::Date`, `civil::Time` | `date`, `time-millis` |
/// | `uuid::Uuid` | `uuid`, as text |
/// | a field with `#[avro(decimal(precision = 12, scale = 2))]` | `decimal` |
/// | a struct with named fields | `record` |
/// | a struct with one field without a name | what the field is |
/// | an enum without values | `enum` |
///
/// Box, `Rc`, `Arc` and `Cow` are what they hold.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no Avro schema",
    label = "has no Avro schema",
    note = "derive `bus::AvroSchema` for a type of yours; for a field of another's type, say which schema it has: `#[avro(schema_of = String)]`"
)]
pub trait AvroSchema: 'static {
    /// The schema. Types whose attribute names no namespace have that of the setting `avro_default_namespace` in the process's
    /// environment or `.env`, else `com.core.events`.
    /// # Errors
    /// `Invalid`: settings that cannot be read, a namespace that is none, or two types of one name.
    fn avro_schema() -> Result<Schema> {
        Self::avro_schema_in(Settings::from_env()?.avro_namespace())
    }
    /// The schema, with this namespace for types whose attribute names none: that of settings from elsewhere.
    ///
    /// ```
    /// use bus::{AvroSchema, Settings};
    /// #[derive(AvroSchema)]
    /// struct Login { user_id: i64 }
    ///
    /// let settings = Settings::new().avro_default_namespace("com.shop");
    /// assert_eq!(Login::avro_schema_in(settings.avro_namespace())?.name(), Some("com.shop.Login"));
    /// # Ok::<_, bus::Error>(())
    /// ```
    /// # Errors
    /// `Invalid`: a namespace that is none, or two types of one name.
    fn avro_schema_in(namespace: &str) -> Result<Schema> {
        let mut types = Types::new(namespace);
        let json = Self::describe(&mut types);
        types.check()?;
        Schema::of(json)
    }
    /// The schema's JSON, in which a named type that `types` has already seen is only named.
    fn describe(types: &mut Types) -> Value;
    /// The schema of a row of these.
    #[doc(hidden)]
    fn describe_row(types: &mut Types) -> Value {
        json!({ "type": "array", "items": Self::describe(types) })
    }
    /// What is worked out once for the type.
    #[doc(hidden)]
    fn cell() -> &'static Cell {
        Cell::of::<Self>()
    }
}

macro_rules! plain {
    ($($schema:tt: $($rust:ty),+;)*) => {$($(
        impl AvroSchema for $rust {
            fn describe(_: &mut Types) -> Value {
                json!($schema)
            }
        }
    )+)*};
}

plain! {
    "long": i8, i16, i32, i64, isize, u16, u32, u64, usize;
    "double": f64;
    "float": f32;
    "boolean": bool;
    "string": String, char, Box<str>, Arc<str>, Rc<str>, Cow<'static, str>;
    "null": ();
    "bytes": bus_core::Bytes;
    {"type": "long", "logicalType": "timestamp-millis"}: jiff::Timestamp;
    {"type": "long", "logicalType": "local-timestamp-millis"}: jiff::civil::DateTime;
    {"type": "int", "logicalType": "date"}: jiff::civil::Date;
    {"type": "int", "logicalType": "time-millis"}: jiff::civil::Time;
    {"type": "string", "logicalType": "uuid"}: uuid::Uuid;
}

impl AvroSchema for u8 {
    fn describe(_: &mut Types) -> Value {
        json!("long")
    }
    fn describe_row(_: &mut Types) -> Value {
        json!("bytes")
    }
}

impl<T: AvroSchema> AvroSchema for Vec<T> {
    fn describe(types: &mut Types) -> Value {
        T::describe_row(types)
    }
}

impl<T: AvroSchema> AvroSchema for Box<[T]> {
    fn describe(types: &mut Types) -> Value {
        T::describe_row(types)
    }
}

/// A map's keys are text.
impl<T: AvroSchema> AvroSchema for BTreeMap<String, T> {
    fn describe(types: &mut Types) -> Value {
        json!({ "type": "map", "values": T::describe(types) })
    }
}

/// A map's keys are text.
impl<T: AvroSchema, S: BuildHasher + 'static> AvroSchema for HashMap<String, T, S> {
    fn describe(types: &mut Types) -> Value {
        json!({ "type": "map", "values": T::describe(types) })
    }
}

impl<T: AvroSchema> AvroSchema for Option<T> {
    fn describe(types: &mut Types) -> Value {
        match T::describe(types) {
            // An option of an option has one null.
            Value::Array(branches) => Value::Array(branches),
            branch => json!(["null", branch]),
        }
    }
}

macro_rules! holders {
    ($($holder:ident),+) => {$(
        impl<T: AvroSchema> AvroSchema for $holder<T> {
            fn describe(types: &mut Types) -> Value {
                T::describe(types)
            }
            fn describe_row(types: &mut Types) -> Value {
                T::describe_row(types)
            }
        }
    )+};
}

holders!(Box, Rc, Arc);
