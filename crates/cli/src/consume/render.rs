//! One message as a line.

use crate::{output::coloured, position::Form, time};
use base64::{Engine, engine::general_purpose::STANDARD};
use bus::{Bytes, Delivery, HeadersView};
use clap::builder::styling::AnsiColor;
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use std::io::{self, Write};

/// The JSON line of `bus consume --json`, with its end.
pub(super) fn json(delivery: &Delivery<Bytes>, form: Form, out: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Json(delivery, form))?;
    out.push(b'\n');
    Ok(())
}

struct Json<'a>(&'a Delivery<Bytes>, Form);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(delivery, form) = self;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("topic", delivery.topic())?;
        map.serialize_entry("partition", &delivery.partition())?;
        map.serialize_entry("position", &form.show(delivery.position()))?;
        match delivery.key().map(std::str::from_utf8) {
            Some(Err(_)) => {
                map.serialize_entry("key_base64", &delivery.key().map(|key| STANDARD.encode(key)))?
            }
            key => map.serialize_entry("key", &key.and_then(Result::ok))?,
        }
        match delivery.payload().map(std::str::from_utf8) {
            Some(Err(_)) => {
                map.serialize_entry("value_base64", &delivery.payload().map(|p| STANDARD.encode(p)))?
            }
            payload => map.serialize_entry("value", &payload.and_then(Result::ok))?,
        }
        map.serialize_entry("headers", &Pairs(delivery.headers()))?;
        map.serialize_entry("timestamp", &delivery.timestamp())?;
        map.serialize_entry("attempt", &delivery.attempt())?;
        map.end()
    }
}

struct Pairs<'a>(HeadersView<'a>);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut pairs = to.serialize_seq(None)?;
        for (name, value) in self.0.iter() {
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

/// A line for a person.
pub(super) fn plain(delivery: &Delivery<Bytes>, form: Form, out: &mut Vec<u8>) -> io::Result<()> {
    let place = format!(
        "{}/{}/{}",
        delivery.topic(),
        delivery.partition(),
        form.show(delivery.position())
    );
    let time = time::stamp(delivery.timestamp());
    write!(
        out,
        "{} {}",
        coloured(&place, AnsiColor::Cyan),
        coloured(&time, AnsiColor::BrightBlack)
    )?;
    if let Some(key) = delivery.key() {
        write!(out, " {}", coloured(&shown(key), AnsiColor::Yellow))?;
    }
    for (name, value) in delivery.headers().iter() {
        let header = format!("{}={}", shown(name), value.map(shown).unwrap_or_default());
        write!(out, " {}", coloured(&header, AnsiColor::BrightBlack))?;
    }
    match delivery.payload() {
        Some(payload) => writeln!(out, " {}", shown(payload)),
        None => writeln!(out, " {}", coloured("(tombstone)", AnsiColor::BrightBlack)),
    }
}

/// Text without what would move a terminal's cursor or worse.
fn shown(bytes: &[u8]) -> String {
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
