//! A message as fields of a stream entry.
//!
//! `key` (absent: none), `data` (or `null` = `1` for a tombstone), `headers` (absent: none and no timestamp of its
//! own). The headers field: version byte 1, flags (1: a timestamp follows as `i64` little-endian), then the headers in
//! core's encoding.

use crate::{id, wire::encode};
use bus_core::{BatchBuilder, HeadersView, Message};

const VERSION: u8 = 1;
const TIMESTAMP: u8 = 1;

/// How many words [`encode`] writes: names and values.
pub(crate) fn words(message: &Message) -> usize {
    2 + 2 * usize::from(message.key.is_some()) + 2 * usize::from(has_headers(message))
}

/// Writes the fields as words of a command.
pub(crate) fn encode(message: &Message, out: &mut Vec<u8>) {
    if let Some(key) = &message.key {
        out.extend_from_slice(b"$3\r\nkey\r\n");
        encode::bulk(out, key);
    }
    match &message.payload {
        Some(payload) => {
            out.extend_from_slice(b"$4\r\ndata\r\n");
            encode::bulk(out, payload);
        }
        None => out.extend_from_slice(b"$4\r\nnull\r\n$1\r\n1\r\n"),
    }
    if has_headers(message) {
        out.extend_from_slice(b"$7\r\nheaders\r\n");
        encode::bulk(out, &headers(message));
    }
}

fn has_headers(message: &Message) -> bool {
    !message.headers.is_empty() || message.timestamp.is_some()
}

fn headers(message: &Message) -> Vec<u8> {
    let mut field = Vec::with_capacity(16 + message.headers.size() + 8 * message.headers.len());
    match message.timestamp {
        Some(timestamp) => {
            field.extend_from_slice(&[VERSION, TIMESTAMP]);
            field.extend_from_slice(&timestamp.to_le_bytes());
        }
        None => field.extend_from_slice(&[VERSION, 0]),
    }
    if !message.headers.is_empty() {
        message.headers.encode(&mut field);
    }
    field
}

/// The headers field, read in place: the timestamp and core's encoding. `None` where another program wrote it.
fn read_headers(field: &[u8]) -> Option<(Option<i64>, &[u8])> {
    let (timestamp, block) = match field {
        [VERSION, 0, block @ ..] => (None, block),
        [VERSION, TIMESTAMP, rest @ ..] => {
            let (millis, block) = rest.split_first_chunk::<8>()?;
            (Some(i64::from_le_bytes(*millis)), block)
        }
        _ => return None,
    };
    HeadersView::new(block)
        .is_well_formed()
        .then_some((timestamp, block))
}

/// Adds an entry to `batch`. What another program wrote arrives too: with neither `data` nor `null` all of its fields
/// as one JSON object, and fields beside ours as headers.
pub(crate) fn push(batch: &mut BatchBuilder, position: u128, fields: &[(&[u8], &[u8])]) {
    let (mut key, mut data, mut null, mut headers, mut foreign) = (None, None, false, None, false);
    for (name, value) in fields {
        match *name {
            b"key" => key = Some(*value),
            b"data" => data = Some(*value),
            b"null" if *value == b"1" => null = true,
            b"headers" => headers = Some(*value),
            _ => foreign = true,
        }
    }
    if data.is_none() && !null {
        return batch.push_with_headers(
            position,
            id::millis(position),
            None,
            Some(json(fields).as_bytes()),
            &[],
        );
    }
    let read = headers.map_or(Some((None, &[][..])), read_headers);
    match read {
        Some((timestamp, block)) if !foreign => {
            batch.push_with_headers(
                position,
                timestamp.unwrap_or(id::millis(position)),
                key,
                data,
                block,
            );
        }
        _ => {
            let (timestamp, block) = read.unwrap_or_default();
            let own = |name: &[u8]| {
                matches!(name, b"key" | b"data" | b"null") || (name == b"headers" && read.is_some())
            };
            let beside = fields
                .iter()
                .filter(|(name, _)| !own(name))
                .map(|(n, v)| (*n, Some(*v)));
            let timestamp = timestamp.unwrap_or(id::millis(position));
            batch.push(
                position,
                timestamp,
                key,
                data,
                HeadersView::new(block).iter().chain(beside),
            );
        }
    }
}

fn json(fields: &[(&[u8], &[u8])]) -> String {
    let mut out = String::from("{");
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        quote(name, &mut out);
        out.push(':');
        quote(value, &mut out);
    }
    out.push('}');
    out
}

fn quote(bytes: &[u8], out: &mut String) {
    out.push('"');
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus_core::Record;
    use std::sync::Arc;

    fn read(fields: &[(&[u8], &[u8])]) -> Record {
        let mut batch = BatchBuilder::default();
        push(&mut batch, 5 << 64, fields);
        Record::new(Arc::new(batch.finish()), 0)
    }

    #[test]
    fn headers_and_timestamp_come_back() {
        let mut message = Message::new("x").keyed("k").header("a", "1").timestamp(-5);
        message.headers.push_null("a");
        let field = headers(&message);
        let record = read(&[(b"key", b"k"), (b"data", b"x"), (b"headers", &field)]);
        assert_eq!(record.to_message(), message);
    }

    #[test]
    fn foreign_entries_become_json_objects() {
        let record = read(&[(b"a\"", b"1\n"), (b"\xff", b"\x01")]);
        assert_eq!(
            record.payload().unwrap(),
            "{\"a\\\"\":\"1\\n\",\"\u{fffd}\":\"\\u0001\"}".as_bytes()
        );
        assert_eq!((record.key(), record.timestamp()), (None, 5));
    }

    #[test]
    fn fields_beside_ours_become_headers() {
        let record = read(&[(b"data", b"x"), (b"headers", b"not ours"), (b"trace", b"7")]);
        assert_eq!(record.payload(), Some(&b"x"[..]));
        assert_eq!(record.headers().get("headers"), Some(&b"not ours"[..]));
        assert_eq!(record.headers().get("trace"), Some(&b"7"[..]));
    }
}
