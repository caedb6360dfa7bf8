//! The message a dead letter becomes: raw bytes, key and headers as they were, and behind them why it is here.

use super::config::DeadLetter;
use crate::{Message, Name, Record, dead_letters::marks};

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

/// The dead letter of `record`. It keeps its partition number, modulo the dead-letter topic's. Where the record leaves
/// less than that of the `limit` of a message, in bytes, the error is cut first, and then what says less is left out:
/// a dead letter that is refused for its size would end the subscription at the same record for ever.
pub fn dead_letter(to: &DeadLetter, record: &Record, why: &Reason<'_>, limit: usize) -> (Name, Message) {
    let mut message = record.to_message();
    message.partition = Some(why.partition % to.partitions.max(1));
    let position = crate::position::format(record.position());
    let mut room = limit.saturating_sub(message.size());
    let known = message.headers.get(marks::ORIGIN_ID).is_some();
    let id = format!("{}/{}/{position}", why.topic, why.partition);
    let [partition, attempts] = [why.partition, why.attempts].map(|number| number.to_string());
    let time = why.time.to_string();
    let told = [
        (marks::ORIGIN_ID, &*id),
        (marks::REASON, why.reason),
        (marks::ORIGIN_TOPIC, why.topic),
        (marks::ORIGIN_PARTITION, &partition),
        (marks::ORIGIN_POSITION, &position),
        (marks::ATTEMPTS, &attempts),
        (marks::GROUP, why.group),
        (marks::TIME, &time),
        (marks::ERROR, why.error),
    ];
    for (name, value) in told.into_iter().skip(usize::from(known)) {
        let left = room.saturating_sub(name.len());
        // Nothing else is cut: half an id or a number would be another one.
        let value = if name == marks::ERROR {
            cut(value, ERROR_BYTES.min(left))
        } else {
            value
        };
        if name.len() + value.len() <= room {
            room -= name.len() + value.len();
            message.headers.set(name, value.to_owned());
        }
    }
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
            by_reason: Vec::new(),
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
        let (topic, message) = dead_letter(&to, &record, &why, usize::MAX);
        assert_eq!(
            (&*topic, message.partition, message.timestamp),
            ("t.g.dlq", Some(1), Some(99))
        );
        assert_eq!((message.key.as_deref(), message.payload), (Some(&b""[..]), None));
        assert_eq!(message.headers.iter().take(2).collect::<Vec<_>>(), headers);
        assert_eq!(message.headers.get("bus-origin-id"), Some(&b"t/5/7"[..]));
        assert_eq!(message.headers.get("bus-error").unwrap().len(), ERROR_BYTES);
    }

    #[test]
    fn it_never_outgrows_the_limit() {
        let mut batch = BatchBuilder::default();
        batch.push(7, 99, Some(b"key"), Some(&[b'x'; 500]), std::iter::empty());
        let record = Record::new(Arc::new(batch.finish()), 0);
        let to = DeadLetter {
            topic: "t.g.dlq".into(),
            partitions: 2,
            by_reason: Vec::new(),
        };
        let error = "e".repeat(2 * ERROR_BYTES);
        let why = Reason {
            reason: "rejected",
            error: &error,
            attempts: 4,
            group: "g",
            topic: "t",
            partition: 5,
            time: 1,
        };
        for limit in 503..2_000 {
            let (_, message) = dead_letter(&to, &record, &why, limit);
            assert!(message.size() <= limit, "{} over {limit}", message.size());
            assert_eq!(message.payload.as_deref(), Some(&[b'x'; 500][..]));
            let told = message.headers.get("bus-origin-id").is_some();
            assert_eq!(told, limit >= 503 + "bus-origin-id".len() + "t/5/7".len());
        }
        let (_, over) = dead_letter(&to, &record, &why, 10);
        assert!(over.headers.is_empty(), "no more than the broker took before");
    }
}
