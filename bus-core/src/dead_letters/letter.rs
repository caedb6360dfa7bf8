//! One dead letter.

use super::marks::{
    ATTEMPTS, ERROR, GROUP, ORIGIN_ID, ORIGIN_PARTITION, ORIGIN_POSITION, ORIGIN_TOPIC, REASON, REPLAY_FOR,
    REPLAYS, TIME, TOLD,
};
use crate::{HeadersView, Message, Name, Record, position};

/// A message that a group gave up, and why. What another program put among dead letters, or what had no room for all
/// that there is to say, says less: such fields are `None`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The id of the message (`bus-origin-id`), which stays through every replay; where it has none, the place of the
    /// dead letter, as `topic/partition/position`.
    pub id: String,
    /// A word: `max-attempts`, `rejected`, `undecodable`, `expired`.
    pub reason: Option<String>,
    /// What went wrong; 1 024 bytes at most.
    pub error: Option<String>,
    /// How often the handler was called in the last round.
    pub attempts: Option<u32>,
    /// Where the copy of the message was that was given up: after a replay, that is where the replay had put it.
    pub origin: Option<Origin>,
    /// The group that gave it up.
    pub group: Option<String>,
    /// When it was given up, in milliseconds since 1970 UTC.
    pub time: Option<i64>,
    /// How often it was replayed before.
    pub replays: u32,
    /// The partition in which the dead letter lies.
    pub partition: u32,
    /// Its position there.
    pub position: u128,
    /// The message: key, payload and headers as they were sent, without those of the dead letter; no partition.
    pub message: Message,
}

/// A place in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The topic.
    pub topic: Name,
    /// The partition's number.
    pub partition: u32,
    /// The position there.
    pub position: u128,
}

impl DeadLetter {
    /// Reads a record of a topic of dead letters.
    pub(super) fn read(topic: &str, partition: u32, record: &Record) -> Self {
        let headers = record.headers();
        let text = |name| headers.text(name).map(str::to_owned);
        let mut message = record.to_message();
        for name in TOLD.into_iter().chain([ORIGIN_ID, REPLAYS, REPLAY_FOR]) {
            message.headers.remove(name);
        }
        Self {
            id: text(ORIGIN_ID)
                .unwrap_or_else(|| format!("{topic}/{partition}/{}", position::format(record.position()))),
            reason: text(REASON),
            error: text(ERROR),
            attempts: number(headers, ATTEMPTS),
            origin: Origin::read(headers),
            group: text(GROUP),
            time: number(headers, TIME),
            replays: number(headers, REPLAYS).unwrap_or(0),
            partition,
            position: record.position(),
            message,
        }
    }
}

impl Origin {
    fn read(headers: HeadersView<'_>) -> Option<Self> {
        Some(Self {
            topic: headers.text(ORIGIN_TOPIC)?.into(),
            partition: number(headers, ORIGIN_PARTITION)?,
            position: position::parse(headers.text(ORIGIN_POSITION)?).ok()?,
        })
    }
    /// As an id says it.
    pub(super) fn id(&self) -> String {
        format!(
            "{}/{}/{}",
            self.topic,
            self.partition,
            position::format(self.position)
        )
    }
}

fn number<N: std::str::FromStr>(headers: HeadersView<'_>, name: &str) -> Option<N> {
    headers.text(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BatchBuilder;
    use std::sync::Arc;

    fn read(message: &Message) -> DeadLetter {
        let mut batch = BatchBuilder::default();
        let (key, payload) = (message.key.as_deref(), message.payload.as_deref());
        batch.push(7, 99, key, payload, message.headers.iter());
        DeadLetter::read("t.g.dlq", 3, &Record::new(Arc::new(batch.finish()), 0))
    }

    #[test]
    fn what_it_says_stands_apart_from_the_message() {
        let letter = read(
            &Message::new("x")
                .header("a", "1")
                .header("a", "2")
                .header(ORIGIN_ID, "t/1/5")
                .header(REASON, "rejected")
                .header(ORIGIN_TOPIC, "t")
                .header(ORIGIN_PARTITION, "1")
                .header(ORIGIN_POSITION, "9-2")
                .header(REPLAYS, "2")
                .header(REPLAY_FOR, "t/g"),
        );
        assert_eq!((&*letter.id, letter.replays), ("t/1/5", 2));
        assert_eq!(letter.origin.unwrap().id(), "t/1/9-2");
        let message = Message::new("x").header("a", "1").header("a", "2").timestamp(99);
        assert_eq!(letter.message, message);
    }

    #[test]
    fn a_foreign_one_says_where_it_lies() {
        let letter = read(&Message::new("x").header(ORIGIN_PARTITION, "many"));
        assert_eq!(
            (&*letter.id, letter.origin, letter.reason),
            ("t.g.dlq/3/7", None, None)
        );
    }
}
