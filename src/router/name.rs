//! The type of an event.

use crate::event::header;
use bus_core::Record;
use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;
use std::fmt;

/// What the header says, else a field of the body, if one was named.
pub(super) fn of(record: &Record, field: Option<&str>) -> Option<String> {
    let said = record
        .headers()
        .text(header::TYPE)
        .filter(|name| !name.is_empty());
    said.map(str::to_owned)
        .or_else(|| in_body(record.payload()?, field?))
}

/// The text in a field of a JSON object, without decoding the others.
fn in_body(body: &[u8], field: &str) -> Option<String> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let found = Pick(field).deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    found.filter(|name| !name.is_empty())
}

struct Pick<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Pick<'_> {
    type Value = Option<String>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Option<String>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == self.0 {
                found = match map.next_value()? {
                    Value::String(name) => Some(name),
                    _ => None,
                };
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::in_body;

    #[test]
    fn only_a_text_in_a_whole_object_is_a_name() {
        let name = |body: &str| in_body(body.as_bytes(), "event");
        assert_eq!(
            name(r#"{"data":{"event":"x"},"event":"a.b","z":[1]}"#).as_deref(),
            Some("a.b")
        );
        for none in [
            "",
            "{",
            "[]",
            r#"{"event":1}"#,
            r#"{"event":""}"#,
            r#"{"e":"x"}"#,
            r#"{"event":"a"} x"#,
        ] {
            assert_eq!(name(none), None, "{none}");
        }
    }
}
