//! The form of a message while it waits, and what becomes of it.

use super::{marks, tiers};
use crate::{Bytes, Message, Record, Result, dead_letters::marks::ORIGIN_ID, position};

/// What a message to be published says of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    not_before: i64,
    asked: Option<i64>,
}

impl Wish {
    /// `None`: it says nothing.
    /// # Errors
    /// `Invalid`: it says something that is no time.
    pub(super) fn of(message: &Message) -> Result<Option<Self>> {
        let headers = &message.headers;
        let Some(not_before) = marks::number(headers, marks::NOT_BEFORE)? else {
            return Ok(None);
        };
        let asked = marks::number(headers, marks::DELAY)?;
        Ok(Some(Self { not_before, asked }))
    }
    pub(super) fn is_due(&self, now: i64) -> bool {
        self.not_before <= now
    }
    /// What is left now. The way is that of what was asked for, where a wait was.
    pub(super) fn left(&self, now: i64) -> i64 {
        self.not_before.saturating_sub(now).max(0)
    }
    /// The form in which it waits. Which partition and timestamp it is to have stands in headers.
    pub(super) fn waiting(&self, mut message: Message, now: i64, tiers: u32) -> Message {
        let remaining = self.asked.unwrap_or(self.left(now)).max(0);
        let mut set = |name: &'static str, value: i64| message.headers.set(name, value.to_string());
        set(marks::NOT_BEFORE, self.not_before);
        set(marks::DELAY, remaining);
        if let Some(partition) = message.partition {
            set(marks::PARTITION, i64::from(partition));
        }
        if let Some(timestamp) = message.timestamp {
            set(marks::TIMESTAMP, timestamp);
        }
        message.timestamp = None;
        message.partition = Some(tiers::tier(remaining, tiers));
        message
    }
}

/// What is due, as it is published.
pub(super) fn due(mut message: Message) -> Message {
    marks::clear(&mut message.headers);
    message
}

/// A record of a tier: how long it stays there, and what follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    not_before: i64,
    left: Option<i64>,
    /// When its tier lets go.
    pub(super) until: i64,
}

/// Where a record goes next.
#[derive(Debug)]
pub(super) enum Next {
    /// Into this partition of the topic of delays.
    Tier(Message),
    /// To where it was sent.
    Target(Message),
}

impl Ticket {
    /// Reads a record of this tier. What says nothing of its time, such as a foreign program's, is due.
    pub(super) fn read(record: &Record, tier: u32, now: i64) -> Self {
        let headers = record.headers();
        let not_before = marks::read(headers, marks::NOT_BEFORE).unwrap_or(0);
        let actual = not_before.saturating_sub(now).max(0);
        let remaining = marks::read(headers, marks::DELAY).unwrap_or(actual).max(0);
        let stay = tiers::stay(not_before, remaining, tier);
        Self {
            not_before,
            left: stay.left,
            until: stay.until.min(now.saturating_add(tiers::longest(tier))),
        }
    }
    /// What follows now that its tier lets go.
    pub(super) fn next(&self, from: Origin<'_>, now: i64) -> Next {
        // Let go before it is due, because somebody's clock is wrong: it takes the way of what is left by ours.
        let early = (self.left.is_none() && self.not_before > now).then(|| self.not_before - now);
        let mut message = from.message();
        match self.left.or(early) {
            Some(remaining) => {
                let (not_before, partition) = (self.not_before, tiers::tier(remaining, from.tiers));
                message.headers.set(marks::NOT_BEFORE, not_before.to_string());
                message.headers.set(marks::DELAY, remaining.to_string());
                message.partition = Some(partition);
                Next::Tier(message)
            }
            None => {
                let headers = &message.headers;
                let partition = marks::number(headers, marks::PARTITION).ok().flatten();
                message.partition = partition.and_then(|p| u32::try_from(p).ok());
                message.timestamp = marks::number(headers, marks::TIMESTAMP).ok().flatten();
                marks::clear(&mut message.headers);
                Next::Target(message)
            }
        }
    }
}

/// Where a record is, and what the backend takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub(super) record: &'a Record,
    pub(super) topic: &'a str,
    pub(super) tier: u32,
    pub(super) tiers: u32,
    /// Bytes of a message.
    pub(super) limit: usize,
}

impl Origin<'_> {
    /// The message, with the place of its first tier as its id: who copies it after a crash gives it the same.
    fn message(&self) -> Message {
        let mut message = self.record.to_message();
        message.timestamp = None;
        if !message.headers.contains(ORIGIN_ID) {
            let place = position::format(self.record.position());
            let id = format!("{}/{}/{place}", self.topic, self.tier);
            // A message must not outgrow what its publisher was allowed.
            if message.size() + ORIGIN_ID.len() + id.len() <= self.limit {
                message.headers.push(ORIGIN_ID, Bytes::from(id));
            }
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BatchBuilder;
    use std::sync::Arc;

    fn record(message: &Message) -> Record {
        let mut batch = BatchBuilder::default();
        let (key, payload) = (message.key.as_deref(), message.payload.as_deref());
        batch.push(7, 99, key, payload, message.headers.iter());
        Record::new(Arc::new(batch.finish()), 0)
    }

    fn origin(record: &Record, tier: u32) -> Origin<'_> {
        Origin {
            record,
            topic: "t.delay",
            tier,
            tiers: 18,
            limit: 1 << 20,
        }
    }

    #[test]
    fn it_arrives_as_it_was_sent() {
        let mut sent = Message::tombstone().keyed("").header("a", "1").to_partition(3);
        sent.headers.push_null("a");
        sent.timestamp = Some(-5);
        let mut message = sent.clone();
        marks::at(
            &mut message.headers,
            std::time::UNIX_EPOCH + std::time::Duration::from_millis(6_500),
        );
        let wish = Wish::of(&message).unwrap().unwrap();
        let mut message = wish.waiting(message, 0, 18);
        let (mut way, mut now) = (vec![], 0);
        let arrived = loop {
            let tier = message.partition.unwrap();
            assert_eq!(message.timestamp, None, "a tier's retention goes by its own time");
            let record = record(&message);
            let ticket = Ticket::read(&record, tier, now);
            now = ticket.until;
            way.push((tier, now));
            match ticket.next(origin(&record, tier), now) {
                Next::Tier(next) => message = next,
                Next::Target(target) => break target,
            }
        };
        assert_eq!(way, [(2, 4_000), (1, 6_500)]);
        let expected = sent.header("bus-origin-id", "t.delay/2/7");
        assert_eq!(arrived, expected);
    }

    #[test]
    fn a_wrong_clock_neither_stops_a_tier_nor_makes_it_early() {
        let mut message = Message::new("x");
        marks::delay(&mut message.headers, std::time::Duration::from_secs(1));
        let wish = Wish::of(&message).unwrap().unwrap();
        let record = record(&wish.waiting(message, 0, 18));
        let ticket = Ticket::read(&record, 0, 0);
        assert_eq!(ticket.until, 2_000, "our clock is 50 years behind");
        let Next::Tier(next) = ticket.next(origin(&record, 0), ticket.until) else {
            panic!("early")
        };
        assert_eq!(next.partition, Some(17));
    }

    #[test]
    fn what_is_due_or_says_nothing_goes_on_at_once() {
        let past = Message::new("x").header(marks::NOT_BEFORE, "5");
        assert!(Wish::of(&past).unwrap().unwrap().is_due(5));
        assert_eq!(due(past), Message::new("x"));
        let record = record(&Message::new("x"));
        let ticket = Ticket::read(&record, 3, 1_000);
        assert!(ticket.until <= 1_000);
        assert!(matches!(ticket.next(origin(&record, 3), 1_000), Next::Target(_)));
    }
}
