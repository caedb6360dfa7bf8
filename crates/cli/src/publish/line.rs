//! One line of `bus publish --json` as a message.

use super::{compact::compact, defaults::Defaults, headers};
use base64::{Engine, engine::general_purpose::STANDARD};
use bus::{Bytes, Message};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::value::RawValue;

/// The fields, unread. A misspelt one is an error, because a message without its payload would be a tombstone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "said")]
    key: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "said")]
    key_base64: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "said")]
    value: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "said")]
    value_base64: Option<&'a RawValue>,
    #[serde(borrow, default)]
    headers: Option<&'a RawValue>,
    partition: Option<u32>,
    timestamp: Option<i64>,
    #[serde(rename = "topic")]
    _topic: Option<IgnoredAny>,
    #[serde(rename = "position")]
    _position: Option<IgnoredAny>,
    #[serde(rename = "attempt")]
    _attempt: Option<IgnoredAny>,
}

/// A field that is null was said; one that is absent was not.
fn said<'a, D: Deserializer<'a>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// Reads a line that lies in `arena`: payloads and keys are sliced out of it where their text is what is sent.
pub(crate) fn message(arena: &Bytes, line: &[u8], defaults: &Defaults) -> Result<Message, String> {
    let fields: Fields<'_> =
        serde_json::from_slice(line).map_err(|e| format!("not a message: {}", reason(&e)))?;
    let key = match (fields.key, fields.key_base64) {
        (None, None) => None,
        (Some(key), None) => Some(key_of(arena, key.get())?),
        (None, Some(key)) => Some(Some(base64("key_base64", key.get())?)),
        (Some(_), Some(_)) => return Err("both `key` and `key_base64`; give one".to_owned()),
    };
    let payload = match (fields.value, fields.value_base64) {
        (Some(value), None) => payload(arena, value.get())?,
        (None, Some(value)) => Some(base64("value_base64", value.get())?),
        (None, None) => {
            return Err("neither `value` nor `value_base64`; a tombstone is \"value\":null".to_owned());
        }
        (Some(_), Some(_)) => return Err("both `value` and `value_base64`; give one".to_owned()),
    };
    let said = key.is_some();
    let message = Message {
        key: key.flatten(),
        payload,
        headers: fields
            .headers
            .map(|h| headers::read(h.get()))
            .transpose()?
            .unwrap_or_default(),
        timestamp: fields.timestamp,
        partition: fields.partition,
    };
    Ok(defaults.complete(message, said))
}

fn key_of(arena: &Bytes, raw: &str) -> Result<Option<Bytes>, String> {
    match raw {
        "null" => Ok(None),
        _ => string(arena, raw)
            .unwrap_or_else(|| Err("`key` is neither a string nor null".to_owned()))
            .map(Some),
    }
}

fn payload(arena: &Bytes, raw: &str) -> Result<Option<Bytes>, String> {
    match raw {
        "null" => Ok(None),
        _ => string(arena, raw)
            .unwrap_or_else(|| Ok(compact(arena, raw)))
            .map(Some),
    }
}

/// The text of a JSON string; `None` where it is no string.
fn string(arena: &Bytes, raw: &str) -> Option<Result<Bytes, String>> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !inside.contains('\\') {
        return Some(Ok(arena.slice_ref(inside.as_bytes())));
    }
    let text = serde_json::from_str::<String>(raw);
    Some(
        text.map(Bytes::from)
            .map_err(|e| format!("a string that is none: {}", reason(&e))),
    )
}

fn base64(field: &str, raw: &str) -> Result<Bytes, String> {
    let text: String = serde_json::from_str(raw).map_err(|_| format!("`{field}` is not a string"))?;
    STANDARD
        .decode(text)
        .map(Bytes::from)
        .map_err(|e| format!("`{field}` is not base64: {e}"))
}

/// What is wrong and where. Each line is parsed alone, so the parser's own line number says nothing.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((reason, _)) => format!("{reason} at column {}", error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn read(line: &str) -> Result<Message, String> {
        let Command::Publish(args) =
            Cli::parse_from(["bus", "publish", "t", "--key", "k", "--header", "h=1"]).command
        else {
            panic!("not publish");
        };
        let arena = Bytes::copy_from_slice(line.as_bytes());
        message(&arena, &arena.clone(), &Defaults::new(&args))
    }

    #[test]
    fn values_are_sent_as_documented() {
        let payload = |line| read(line).unwrap().payload;
        assert_eq!(payload(r#"{"value":"a b"}"#), Some(Bytes::from_static(b"a b")));
        assert_eq!(
            payload(r#"{"value":"\u00e9\n"}"#),
            Some(Bytes::from_static("é\n".as_bytes()))
        );
        assert_eq!(
            payload(r#"{"value":{"z":1.0, "a":[ ]}}"#),
            Some(Bytes::from_static(br#"{"z":1.0,"a":[]}"#))
        );
        assert_eq!(payload(r#"{"value":""}"#), Some(Bytes::new()));
        assert_eq!(payload(r#"{"value":null}"#), None);
        assert_eq!(
            payload(r#"{"value_base64":"AP8="}"#),
            Some(Bytes::from_static(b"\0\xff"))
        );
    }

    #[test]
    fn keys_headers_and_the_rest() {
        assert_eq!(read(r#"{"value":1}"#).unwrap().key.unwrap(), "k");
        assert_eq!(
            read(r#"{"key":null,"value":1}"#).unwrap().key,
            None,
            "null was said"
        );
        assert_eq!(read(r#"{"key":"","value":1}"#).unwrap().key.unwrap(), "");
        assert_eq!(
            read(r#"{"key_base64":"/w==","value":1}"#).unwrap().key.unwrap(),
            &b"\xff"[..]
        );
        let message = read(
            r#"{"value":1,"headers":[["a","x"],["a",null],["b",{"base64":"/w=="}]],"partition":3,"timestamp":9}"#,
        );
        let message = message.unwrap();
        let headers: Vec<_> = message.headers.iter().collect();
        let expected: [(&[u8], Option<&[u8]>); 4] = [
            (b"a", Some(b"x")),
            (b"a", None),
            (b"b", Some(b"\xff")),
            (b"h", Some(b"1")),
        ];
        assert_eq!(headers, expected);
        assert_eq!((message.partition, message.timestamp), (Some(3), Some(9)));
        assert_eq!(
            read(r#"{"value":1,"headers":{"z":"1","a":"2"}}"#)
                .unwrap()
                .headers
                .iter()
                .next()
                .unwrap()
                .0,
            b"z"
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, said) in [
            ("", "EOF"),
            ("x", "column 1"),
            (r#"{"valeu":1}"#, "unknown field `valeu`"),
            (r#"{"key":"a"}"#, "neither `value`"),
            (r#"{"key":1,"value":1}"#, "neither a string"),
            (r#"{"value":1,"value_base64":""}"#, "both"),
            (r#"{"value":1} {"value":2}"#, "trailing"),
            (r#"{"value":"\ud800"}"#, "string"),
            (r#"{"value":1,"headers":[["a"]]}"#, "headers"),
            (r#"{"value_base64":"%"}"#, "base64"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}
