//! Defaults: from JSON as serde writes values to JSON as schemas have them.

use super::{
    logical,
    plan::{Scalar, Unit},
    types::Types,
    wrong::Result,
};
use serde_json::Value;

/// The default of a field of this schema, for a value as serde writes it: times are numbers there, and bytes text with a
/// character for each.
pub(super) fn converted(schema: &Value, value: Value, types: &Types) -> Result<Value> {
    match schema {
        Value::String(name) if name == "bytes" => latin(&value).map_or(Ok(value), Ok),
        Value::String(name) => match types.definition(name) {
            Some(definition) => converted(definition, value, types),
            None => Ok(value),
        },
        Value::Array(branches) => {
            let branch = branches.iter().find(|branch| **branch != "null");
            match branch.filter(|_| !value.is_null()) {
                Some(branch) => converted(branch, value, types),
                None => Ok(value),
            }
        }
        Value::Object(schema) => {
            if let (Some(logical), Value::String(text)) = (schema.get("logicalType"), &value) {
                return meant(logical.as_str().unwrap_or_default(), schema, text);
            }
            match (schema.get("type").and_then(Value::as_str), value) {
                (Some("array"), Value::Array(items)) => {
                    let items = items
                        .into_iter()
                        .map(|item| converted(&schema["items"], item, types));
                    Ok(Value::Array(items.collect::<Result<_>>()?))
                }
                (Some("map"), Value::Object(values)) => {
                    let values = values
                        .into_iter()
                        .map(|(key, value)| Ok((key, converted(&schema["values"], value, types)?)));
                    Ok(Value::Object(values.collect::<Result<_>>()?))
                }
                (Some("record"), Value::Object(mut values)) => {
                    for field in schema
                        .get("fields")
                        .and_then(Value::as_array)
                        .into_iter()
                        .flatten()
                    {
                        if let Some(value) = field["name"].as_str().and_then(|name| values.get_mut(name)) {
                            *value = converted(&field["type"], value.take(), types)?;
                        }
                    }
                    Ok(Value::Object(values))
                }
                (Some("bytes"), value) => converted(&Value::from("bytes"), value, types),
                (_, value) => Ok(value),
            }
        }
        _ => Ok(value),
    }
}

fn meant(logical: &str, schema: &serde_json::Map<String, Value>, text: &str) -> Result<Value> {
    let kind = match logical {
        "date" => Scalar::Date,
        "time-millis" => Scalar::TimeMillis,
        "time-micros" => Scalar::TimeMicros,
        "timestamp-millis" => Scalar::Timestamp(Unit::Millis),
        "timestamp-micros" => Scalar::Timestamp(Unit::Micros),
        "local-timestamp-millis" => Scalar::Local(Unit::Millis),
        "decimal" => {
            let digits = |name| {
                schema
                    .get(name)
                    .and_then(Value::as_u64)
                    .and_then(|n| u32::try_from(n).ok())
            };
            let (precision, scale) = (digits("precision").unwrap_or(38), digits("scale").unwrap_or(0));
            let (bytes, start) = logical::shortest(logical::unscaled(text, precision, scale)?);
            return Ok(bytes[start..]
                .iter()
                .map(|byte| char::from(*byte))
                .collect::<String>()
                .into());
        }
        _ => return Ok(text.into()),
    };
    logical::number(kind, text).map(Value::from)
}

/// Numbers as text.
fn latin(value: &Value) -> Option<Value> {
    let byte = |item: &Value| {
        item.as_u64()
            .and_then(|byte| u8::try_from(byte).ok())
            .map(char::from)
    };
    let text: Option<String> = value.as_array()?.iter().map(byte).collect();
    text.map(Value::String)
}
