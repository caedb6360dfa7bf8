//! What librdkafka has to say, copied and acted upon.

use super::reader::Reader;
use crate::{
    events,
    native::{Code, Event, Failure, Kind, Part},
};
use std::time::{Duration, Instant};

/// An event, copied.
enum Heard {
    Nothing,
    Assigned(Vec<Part>),
    Revoked(Vec<Part>),
    Committed(usize, Option<Failure>, Vec<Part>),
    Answer(usize, super::ask::Answer),
    /// Some topic or partition is unknown to a broker.
    TopicDoubt,
    /// The group or a topic of the subscription may not be read.
    Refused(Failure),
    Fatal(Failure),
}

impl Reader {
    /// Everything librdkafka has to say, until it has no more: it signals only what comes after a queue was read.
    pub(super) fn serve(&mut self) {
        for _ in 0..1_000 {
            let mut idle = true;
            // An event borrows from its queue, which lies beside what handles it.
            if let Some(heard) = self.main.poll(Duration::ZERO).map(|e| self.hear(&e)) {
                idle = false;
                self.act(heard);
            }
            if let Some(heard) = self.replies.poll(Duration::ZERO).map(|e| self.hear(&e)) {
                idle = false;
                self.act(heard);
            }
            if idle && self.main.is_empty() && self.replies.is_empty() {
                return;
            }
        }
    }

    /// Copies an event out of librdkafka.
    fn hear(&self, event: &Event<'_>) -> Heard {
        match event.kind() {
            Kind::Rebalance if event.code() == Code::ASSIGN_PARTITIONS => Heard::Assigned(event.parts()),
            Kind::Rebalance => Heard::Revoked(event.parts()),
            Kind::Commit => Heard::Committed(event.tag(), event.failure(), event.parts()),
            Kind::Answer => Heard::Answer(event.tag(), super::ask::Answer::read(event)),
            Kind::Error if event.code() == Code::UNKNOWN_TOPIC_OR_PART => Heard::TopicDoubt,
            Kind::Error if event.code() == Code::TOPIC_AUTHORIZATION => {
                event.failure().map_or(Heard::Nothing, Heard::Refused)
            }
            // Whoever reads without a group needs no right on the one that librdkafka wants named.
            Kind::Error if event.code() == Code::GROUP_AUTHORIZATION && self.group.is_some() => {
                event.failure().map_or(Heard::Nothing, Heard::Refused)
            }
            _ => {
                let client = self.group.as_deref().unwrap_or("everyone");
                match events::common(event, client, &self.health) {
                    Some(fatal) => Heard::Fatal(fatal),
                    None => Heard::Nothing,
                }
            }
        }
    }

    fn act(&mut self, heard: Heard) {
        match heard {
            Heard::Nothing => {}
            Heard::Assigned(parts) => self.assigned(&parts),
            Heard::Revoked(parts) => self.revoked(&parts),
            Heard::Committed(tag, failure, parts) => self.committed(tag, failure, &parts),
            Heard::Answer(tag, answer) => self.answered(tag, answer),
            Heard::TopicDoubt => self.watch_at = Instant::now(),
            Heard::Refused(failure) => {
                self.refused("subscribing", &failure);
            }
            Heard::Fatal(fatal) => self.fail(crate::error::classify(
                "the kafka consumer failed for good",
                &fatal,
            )),
        }
    }
}
