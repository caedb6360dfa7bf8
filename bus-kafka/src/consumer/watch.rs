//! Partitions that are added and topics that are deleted meanwhile.

use super::{
    lookup::Purpose,
    part::{Part, Place, State},
    reader::{Reader, Wait},
};
use crate::{
    admin::{BEGINNING, Lookup, Spec},
    native::{Code, Failure, TopicInfo},
};
use bus_core::Event;
use std::time::{Duration, Instant};

/// A topic counts as deleted when so many answers in a row say so: brokers learn of changes one after the other.
const MISSING: u8 = 2;
/// The longest time between two looks: one request a subscription. A member of a topic that was deleted, or made anew, need
/// not get an error by itself.
const LONGEST: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(200);
/// How soon a topic that could not be looked at is looked at again.
const SOON: Duration = Duration::from_secs(1);

impl Reader {
    pub(super) fn watch_timer(&mut self, now: Instant) {
        if now < self.watch_at {
            return;
        }
        self.watch_at = now + self.config.metadata_refresh.min(LONGEST);
        let tag = self.tag(Wait::Topics);
        let names = self.topics.iter().map(|t| &**t);
        self.client
            .describe_topics(names, &self.replies, tag, super::lookup::ASK);
    }

    pub(super) fn watched(&mut self, tag: usize, answer: Result<Vec<TopicInfo>, Failure>) {
        let topics = match answer {
            Ok(topics) => topics,
            Err(failure) => {
                tracing::debug!(target: "bus::kafka", code = ?failure.code, "looking at topics: {}", failure.text);
                self.look_soon();
                return;
            }
        };
        self.health.up();
        for info in topics {
            let Some(topic) = self.index(&info.name) else {
                continue;
            };
            match info.failure {
                Some(failure) if failure.code == Code::UNKNOWN_TOPIC_OR_PART => self.absent(topic),
                Some(failure) => {
                    tracing::debug!(
                        target: "bus::kafka", topic = info.name, code = ?failure.code,
                        "looking at a topic: {}", failure.text
                    );
                    self.look_soon();
                }
                None => {
                    if let Some(after) = self.suspects.get_mut(&topic).filter(|after| tag >= **after) {
                        *after = 0;
                    }
                    self.present(topic, &info);
                }
            }
        }
    }

    /// What could not be seen is looked at again before the interval is over.
    fn look_soon(&mut self) {
        self.watch_at = self.watch_at.min(Instant::now() + SOON);
    }

    fn absent(&mut self, topic: u32) {
        let seen = &mut self.missing[topic as usize];
        *seen = seen.saturating_add(1);
        match *seen {
            MISSING => self.topic_lost(topic),
            ..MISSING => self.watch_at = Instant::now() + AGAIN,
            _ => {}
        }
    }

    fn present(&mut self, topic: u32, info: &TopicInfo) {
        let at = topic as usize;
        self.missing[at] = 0;
        let before = self.ids[at].replace(info.id);
        if before.is_some_and(|id| id != info.id) {
            self.topic_lost(topic);
        }
        if info.partitions > self.counts[at] {
            let old = std::mem::replace(&mut self.counts[at], info.partitions);
            self.mail.urgent(Event::PartitionsChanged {
                topic: self.topics[at].clone(),
                partitions: info.partitions,
            });
            if self.all {
                self.open_more(topic, old..info.partitions);
            }
        }
    }

    /// A reader of everything also reads what is added, from its beginning.
    fn open_more(&mut self, topic: u32, partitions: std::ops::Range<u32>) {
        let name = self.topics[topic as usize].clone();
        let mut specs = Vec::new();
        for partition in partitions {
            self.parts
                .insert((topic, partition), Part::new((topic, partition), State::Finding));
            specs.push(((name.clone(), partition), Spec::Ask(BEGINNING)));
        }
        self.look_up(Purpose::Open, Lookup::new(specs));
    }

    fn topic_lost(&mut self, topic: u32) {
        let places: Vec<Place> = self.parts.keys().filter(|p| p.0 == topic).copied().collect();
        places.into_iter().for_each(|place| self.void(place));
        self.mail
            .urgent(Event::TopicLost(self.topics[topic as usize].clone()));
    }
}
