//! One dead letter, as JSON and for people.

use crate::{
    bytes::{Pairs, key_and_value, shown},
    failure::Done,
    output::text,
    position::Form,
    time,
};
use bus::DeadLetter;
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::fmt::Write;

/// The JSON line: what is said of it, and the message as `bus consume --json` prints it.
pub(super) struct Line<'a>(pub(super) &'a DeadLetter, pub(super) Form);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(letter, form) = self;
        let origin = letter.origin.as_ref();
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("id", &letter.id)?;
        map.serialize_entry("reason", &letter.reason)?;
        map.serialize_entry("error", &letter.error)?;
        map.serialize_entry("attempts", &letter.attempts)?;
        map.serialize_entry("replays", &letter.replays)?;
        map.serialize_entry("time", &letter.time)?;
        map.serialize_entry("group", &letter.group)?;
        map.serialize_entry("topic", &origin.map(|origin| &*origin.topic))?;
        map.serialize_entry("partition", &origin.map(|origin| origin.partition))?;
        map.serialize_entry("position", &origin.map(|origin| form.show(origin.position)))?;
        key_and_value(
            &mut map,
            letter.message.key.as_deref(),
            letter.message.payload.as_deref(),
        )?;
        map.serialize_entry("headers", &Pairs(|| letter.message.headers.iter()))?;
        map.serialize_entry("timestamp", &letter.message.timestamp)?;
        map.end()
    }
}

/// What a table shows of it.
pub(super) const HEADS: [&str; 8] = [
    "id", "given up", "reason", "attempts", "replays", "error", "key", "value",
];

pub(super) fn row(letter: &DeadLetter) -> [String; 8] {
    let message = &letter.message;
    [
        letter.id.clone(),
        letter.time.map(time::stamp).unwrap_or_default(),
        letter.reason.clone().unwrap_or_default(),
        letter.attempts.map(|n| n.to_string()).unwrap_or_default(),
        letter.replays.to_string(),
        short(letter.error.as_deref().unwrap_or_default().as_bytes()),
        short(message.key.as_deref().unwrap_or_default()),
        message
            .payload
            .as_deref()
            .map_or_else(|| "(tombstone)".to_owned(), short),
    ]
}

/// As much as a column holds.
fn short(bytes: &[u8]) -> String {
    const COLUMN: usize = 40;
    let all = shown(&bytes[..bytes.len().min(4 * COLUMN)]);
    match all.char_indices().nth(COLUMN) {
        Some((at, _)) => format!("{}…", &all[..at]),
        None => all,
    }
}

/// All of it, for a person.
pub(super) fn whole(letter: &DeadLetter, form: Form) -> Done<()> {
    let mut out = String::new();
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{name:<9} {value}");
        }
    };
    let message = &letter.message;
    say("id", Some(letter.id.clone()));
    say("reason", letter.reason.clone());
    say(
        "error",
        letter.error.as_ref().map(|error| shown(error.as_bytes())),
    );
    say("attempts", letter.attempts.map(|n| n.to_string()));
    say("replays", Some(letter.replays.to_string()));
    say("given up", letter.time.map(time::stamp));
    say("by", letter.group.clone());
    say(
        "from",
        letter.origin.as_ref().map(|origin| {
            let position = form.show(origin.position);
            format!("{}/{}/{position}", origin.topic, origin.partition)
        }),
    );
    say("sent", message.timestamp.map(time::stamp));
    say("key", message.key.as_deref().map(shown));
    for (name, value) in message.headers.iter() {
        let value = value.map_or_else(|| "(null)".to_owned(), shown);
        say("header", Some(format!("{}={value}", shown(name))));
    }
    let tombstone = || "(tombstone)".to_owned();
    say(
        "value",
        Some(message.payload.as_deref().map_or_else(tombstone, shown)),
    );
    text(&format!("{out}\n"))
}
