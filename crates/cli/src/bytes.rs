//! Bytes of messages, as JSON and for people.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

/// Key and value of a message as JSON: text as it is, and what is no text as `key_base64` and `value_base64`.
pub(crate) fn key_and_value<M: SerializeMap>(
    map: &mut M,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<(), M::Error> {
    entry(map, ["key", "key_base64"], key)?;
    entry(map, ["value", "value_base64"], value)
}

fn entry<M: SerializeMap>(
    map: &mut M,
    [text, base64]: [&'static str; 2],
    bytes: Option<&[u8]>,
) -> Result<(), M::Error> {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        Some((bytes, Err(_))) => map.serialize_entry(base64, &STANDARD.encode(bytes)),
        Some((_, Ok(value))) => map.serialize_entry(text, value),
        None => map.serialize_entry(text, &None::<&str>),
    }
}

/// Headers as JSON: a list of pairs.
pub(crate) struct Pairs<F>(pub(crate) F);

impl<'a, F, I> Serialize for Pairs<F>
where
    F: Fn() -> I,
    I: Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
{
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut pairs = to.serialize_seq(None)?;
        for (name, value) in self.0() {
            pairs.serialize_element(&(Text(name), value.map(Text)))?;
        }
        pairs.end()
    }
}

/// Text, or `{"base64": …}`.
struct Text<'a>(&'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => to.serialize_str(text),
            Err(_) => {
                let mut map = to.serialize_map(Some(1))?;
                map.serialize_entry("base64", &STANDARD.encode(self.0))?;
                map.end()
            }
        }
    }
}

/// Text without what would move a terminal's cursor or worse.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        if c.is_control() && c != '\t' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_cannot_steer_the_terminal() {
        assert_eq!(shown(b"a\x1b[2Jb\n\tc"), "a\\u{1b}[2Jb\\n\tc");
    }
}
