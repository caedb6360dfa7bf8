//! The headers of a JSON line: `[["name", "value"], …]`, or an object.

use base64::{Engine, engine::general_purpose::STANDARD};
use bus::{Bytes, Headers};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// Text, or bytes as `{"base64": "…"}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Coded(Coded),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Coded {
    base64: String,
}

impl Text {
    fn bytes(self) -> Result<Bytes, String> {
        match self {
            Self::Plain(text) => Ok(text.into()),
            Self::Coded(Coded { base64 }) => STANDARD
                .decode(base64)
                .map(Bytes::from)
                .map_err(|e| format!("a header is not base64: {e}")),
        }
    }
}

/// Names and values in their order; an object's order too.
struct Pairs(Vec<(Text, Option<Text>)>);

impl<'a> Deserialize<'a> for Pairs {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'a> Visitor<'a> for Reader {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[[name, value], ...] or an object")
            }
            fn visit_seq<A: SeqAccess<'a>>(self, mut from: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = from.next_element()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
            fn visit_map<A: MapAccess<'a>>(self, mut from: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = from.next_entry::<String, _>()? {
                    pairs.push((Text::Plain(name), value));
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_any(Reader)
    }
}

/// Reads the field `headers`.
pub(crate) fn read(json: &str) -> Result<Headers, String> {
    if json == "null" {
        return Ok(Headers::new());
    }
    let Pairs(pairs) = serde_json::from_str(json)
        .map_err(|_| "`headers` are neither [[name, value], ...] nor an object of strings".to_owned())?;
    let pair = |(name, value): (Text, Option<Text>)| Ok((name.bytes()?, value.map(Text::bytes).transpose()?));
    pairs.into_iter().map(pair).collect()
}
