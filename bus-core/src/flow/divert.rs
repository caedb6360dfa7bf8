//! The message a dead letter becomes: raw bytes, key and headers as they were, and behind them why it is here.

use super::config::DeadLetter;
use crate::{Message, Name, Record};

/// Why, for whom and from where.
#[derive(Clone, Debug)]
pub struct Reason<'a> {
    /// A word: `max-attempts`, `rejected`, `undecodable`.
    pub reason: &'a str,
    /// What went wrong; cut at [`ERROR_BYTES`].
    pub error: &'a str,
    /// How often it was called.
    pub attempts: u32,
    /// The group that gave it up.
    pub group: &'a str,
    /// Where it was.
    pub topic: &'a str,
    /// Where it was.
    pub partition: u32,
    /// Milliseconds since 1970 UTC.
    pub time: i64,
}

/// The most an error message may take in a header: a dead letter must not outgrow what its origin was allowed.
pub const ERROR_BYTES: usize = 1024;

/// The dead letter of `record`. It keeps its partition number, modulo the dead-letter topic's.
pub fn dead_letter(to: &DeadLetter, record: &Record, why: &Reason<'_>) -> (Name, Message) {
    let mut message = record.to_message();
    message.partition = Some(why.partition % to.partitions.max(1));
    let position = crate::position::format(record.position());
    let headers = &mut message.headers;
    if headers.get("bus-origin-id").is_none() {
        headers.set(
            "bus-origin-id",
            format!("{}/{}/{position}", why.topic, why.partition),
        );
    }
    headers.set("bus-reason", why.reason.to_owned());
    headers.set("bus-error", cut(why.error, ERROR_BYTES).to_owned());
    headers.set("bus-attempts", why.attempts.to_string());
    headers.set("bus-origin-topic", why.topic.to_owned());
    headers.set("bus-origin-partition", why.partition.to_string());
    headers.set("bus-origin-position", position);
    headers.set("bus-group", why.group.to_owned());
    headers.set("bus-time", why.time.to_string());
    (to.topic.clone(), message)
}

fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BatchBuilder;
    use std::sync::Arc;

    #[test]
    fn bytes_and_headers_stay_and_the_reason_follows() {
        let mut batch = BatchBuilder::default();
        let headers = [(&b"n"[..], Some(&b"\xff"[..])), (b"n", None)];
        batch.push(7, 99, Some(b""), None, headers.into_iter());
        let record = Record::new(Arc::new(batch.finish()), 0);
        let to = DeadLetter {
            topic: "t.g.dlq".into(),
            partitions: 2,
        };
        let error = "é".repeat(ERROR_BYTES);
        let why = Reason {
            reason: "rejected",
            error: &error,
            attempts: 4,
            group: "g",
            topic: "t",
            partition: 5,
            time: 1,
        };
        let (topic, message) = dead_letter(&to, &record, &why);
        assert_eq!(
            (&*topic, message.partition, message.timestamp),
            ("t.g.dlq", Some(1), Some(99))
        );
        assert_eq!((message.key.as_deref(), message.payload), (Some(&b""[..]), None));
        assert_eq!(message.headers.iter().take(2).collect::<Vec<_>>(), headers);
        assert_eq!(message.headers.get("bus-origin-id"), Some(&b"t/5/7"[..]));
        assert_eq!(message.headers.get("bus-error").unwrap().len(), ERROR_BYTES);
    }
}
