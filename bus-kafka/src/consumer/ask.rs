//! Where the group stands: its stored offsets, which are asked for until they are known.

use super::{
    lookup::Purpose,
    part::{Place, State},
    reader::{Reader, Wait},
    starts::LEFT,
};
use crate::{
    admin::{Lookup, Spec},
    error,
    native::{AnswerKind, Code, Event, Failure, List, Offset, Part as NativePart, TopicInfo},
    notes,
};
use bus_core::{Start, mutant};
use std::time::{Duration, Instant};

/// How long to wait before the next request.
pub(super) const AGAIN: Duration = Duration::from_millis(100);
/// How long an answer about stored offsets is waited for before the question is sent again, at first; then twice as
/// long each time. It waits for the group's coordinator inside of librdkafka: see [`Client::group_offsets`].
const RESEND: Duration = Duration::from_secs(10);
/// When a group whose coordinator never answers is given up. Before librdkafka gives up, see there.
const GIVE_UP: Duration = Duration::from_secs(3_000);

/// A question for stored offsets that has no answer yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    tag: usize,
    /// When it was sent, and when first.
    sent: Instant,
    pub(super) first: Instant,
    resend: (Instant, Duration),
}

/// An answer, copied out of librdkafka.
pub(super) enum Answer {
    Stored(Result<Vec<NativePart>, Failure>),
    Offsets(Result<Vec<Offset>, Failure>),
    Topics(Result<Vec<TopicInfo>, Failure>),
}

impl Answer {
    pub(super) fn read(event: &Event<'_>) -> Self {
        match event.answer_kind() {
            AnswerKind::GroupOffsets => Self::Stored(event.group_parts()),
            AnswerKind::Topics => Self::Topics(event.failure().map_or_else(|| Ok(event.topics()), Err)),
            AnswerKind::Offsets => Self::Offsets(event.failure().map_or_else(|| Ok(event.offsets()), Err)),
        }
    }
}

impl Reader {
    pub(super) fn ask_timers(&mut self, now: Instant) {
        match self.asking {
            None if self.ask_at.is_some_and(|at| at <= now) => {
                self.ask_at = None;
                self.ask(now, now, RESEND);
            }
            Some(asking) if now > asking.first + GIVE_UP => {
                self.asking = None;
                let minutes = GIVE_UP.as_secs() / 60;
                let why = format!("the group's coordinator has not answered for {minutes} minutes");
                self.fail(bus_core::Error::unavailable(why));
            }
            Some(Asking {
                first,
                resend: (at, wait),
                ..
            }) if now > at => self.ask(now, first, wait * 2),
            _ => {}
        }
        if self.nudge_at.is_some_and(|at| at <= now) {
            self.nudge();
        }
        while let Some(i) = self.again.iter().position(|(at, ..)| *at <= now) {
            let (_, purpose, lookup) = self.again.swap_remove(i);
            self.look_up(purpose, lookup);
        }
    }

    /// How many partitions the topic has at least.
    pub(super) fn count(&self, topic: u32) -> u32 {
        let own = self
            .parts
            .keys()
            .filter(|place| place.0 == topic)
            .map(|place| place.1 + 1);
        own.max().unwrap_or(0).max(self.counts[topic as usize])
    }

    /// Asks for the stored offsets of every topic that has a partition waiting for its own.
    fn ask(&mut self, now: Instant, first: Instant, wait: Duration) {
        self.asking = None;
        let Some(group) = self.group.clone() else {
            return;
        };
        let tag = self.tag(Wait::Stored);
        let mut topics = Vec::new();
        for (place, part) in self.parts.iter_mut().filter(|(_, p)| p.state == State::Asking) {
            part.asked = tag;
            topics.push(place.0);
        }
        topics.dedup();
        if topics.is_empty() {
            self.waits.remove(&tag);
            return;
        }
        let mut list = List::new();
        for topic in topics {
            for partition in 0..self.count(topic) {
                list.add(&self.topics[topic as usize], partition, -1001);
            }
        }
        let resend = (now + wait, wait);
        self.asking = Some(Asking {
            tag,
            sent: now,
            first,
            resend,
        });
        self.client
            .group_offsets(&group, Some(&list), true, &self.replies, tag);
    }

    pub(super) fn answered(&mut self, tag: usize, answer: Answer) {
        match (self.waits.remove(&tag), answer) {
            (Some(Wait::Stored), Answer::Stored(answer)) => self.stored(tag, answer),
            (Some(Wait::Lookup(purpose, lookup)), Answer::Offsets(answer)) => {
                self.looked_up(purpose, lookup, answer)
            }
            (Some(Wait::Ends), Answer::Offsets(answer)) => self.ends(answer),
            (Some(Wait::Topics), Answer::Topics(answer)) => self.watched(tag, answer),
            _ => {}
        }
    }

    /// Whether this is refused, which ends the subscription: waiting does not help, and nobody else says so.
    pub(super) fn refused(&mut self, what: impl std::fmt::Display, failure: &Failure) -> bool {
        let refused = matches!(
            failure.code,
            Code::TOPIC_AUTHORIZATION | Code::GROUP_AUTHORIZATION
        );
        if refused {
            let what = what.to_string();
            let of = match (&self.group, failure.code) {
                (Some(group), Code::GROUP_AUTHORIZATION) => format!(" as group `{group}`"),
                _ if what.contains("topic `") => String::new(),
                _ => {
                    let topics: Vec<_> = self.topics.iter().map(|name| format!("`{name}`")).collect();
                    format!(" (topic {})", topics.join(", "))
                }
            };
            self.fail(error::classify(format_args!("{what}{of}"), failure));
        }
        refused
    }

    fn stored(&mut self, tag: usize, answer: Result<Vec<NativePart>, Failure>) {
        let Some(Asking { sent, .. }) = self.asking.take_if(|asking| asking.tag == tag) else {
            return;
        };
        let now = Instant::now();
        let mut parts = match answer {
            Ok(parts) => parts,
            Err(failure) if self.refused("reading stored positions", &failure) => return,
            Err(failure) => {
                // A failure must never look like "nothing stored": ask again.
                tracing::warn!(target: "bus::kafka", group = ?self.group, "reading stored positions: {}", failure.text);
                self.held.failure = Some(failure.text);
                self.ask_at = Some(now + AGAIN);
                return;
            }
        };
        if let Some(part) = parts.iter().find(|part| part.code == Code::TOPIC_AUTHORIZATION) {
            let what = format!("reading stored positions in topic `{}`", part.topic);
            self.refused(what, &Failure::new(part.code));
            return;
        }
        let failed = parts.iter().find(|part| !part.code.is_ok());
        self.held.failure = failed.map(|part| part.code.text());
        self.judge(&mut parts);
        let mut begin = Vec::new();
        let mut missing = Vec::new();
        let asking: Vec<Place> = self
            .parts
            .iter()
            .filter(|(_, p)| p.state == State::Asking && p.asked == tag)
            .map(|(place, _)| *place)
            .collect();
        for place in asking {
            let topic = self.topic(place);
            match parts.iter().find(|p| p.topic == *topic && p.partition == place.1) {
                Some(part) if part.code.is_ok() && part.offset >= 0 && mutant("reset-to-latest") => {
                    if let Ok(spec) = Spec::of(&Start::Latest, place.1) {
                        self.look_up(Purpose::Open, Lookup::new(vec![((topic, place.1), spec)]));
                    }
                }
                Some(part) if part.code.is_ok() && part.offset >= 0 => {
                    begin.push((place, part.offset, notes::decode(&part.metadata).notes));
                }
                Some(part) if part.code.is_ok() => missing.push(place),
                // A former owner's open transaction, a coordinator that moves, or a count that grew meanwhile.
                Some(_) | None => self.ask_at = Some(now + AGAIN),
            }
        }
        let held = self.parts.iter().find(|(place, part)| {
            let unstable = |p: &&NativePart| p.code == Code::UNSTABLE_OFFSET_COMMIT;
            let here = |p: &&NativePart| p.topic == *self.topics[place.0 as usize] && p.partition == place.1;
            part.state == State::Asking && parts.iter().filter(unstable).any(|p| here(&p))
        });
        self.held.transaction = held.map(|(place, _)| *place);
        for place in missing {
            let topic = self.topic(place);
            let begun = parts
                .iter()
                .any(|p| p.topic == *topic && p.code.is_ok() && p.offset >= 0);
            let unclear = parts.iter().any(|p| p.topic == *topic && !p.code.is_ok());
            if unclear {
                self.ask_at = Some(now + AGAIN);
            } else if let Some(found) = self.take_found(place) {
                let stored = |p: &NativePart| p.topic == *topic && p.code.is_ok() && p.offset >= 0;
                let stored = parts.iter().filter(|p| stored(p)).map(|p| p.partition).collect();
                self.start_found(place, sent, found, &stored);
            } else if begun {
                self.start_topic(place, sent, vec![place.1], &Start::Earliest);
            } else if place.1 == 0 {
                let all = (0..self.count(place.0)).collect();
                self.start_topic(place, sent, all, &self.start.clone());
            } else if self.begins_topic(place.0) {
                // What comes of that asks again.
            } else if now > *self.left_since.entry(place.0).or_insert(now) + LEFT {
                self.start_topic(place, sent, vec![place.1], &self.start.clone());
            } else {
                self.ask_at = Some(now + AGAIN);
            }
        }
        self.begin(begin);
    }
}
