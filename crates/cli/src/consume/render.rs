//! One message as a line.

use crate::{
    bytes::{Pairs, key_and_value, shown},
    output::coloured,
    position::Form,
    time,
};
use bus::{Bytes, Delivery};
use clap::builder::styling::AnsiColor;
use serde::{Serialize, Serializer, ser::SerializeMap};
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
        key_and_value(&mut map, delivery.key(), delivery.payload())?;
        map.serialize_entry("headers", &Pairs(|| delivery.headers().iter()))?;
        map.serialize_entry("timestamp", &delivery.timestamp())?;
        map.serialize_entry("attempt", &delivery.attempt())?;
        map.end()
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
