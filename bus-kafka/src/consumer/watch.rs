//! Partitions that are added and topics that are deleted meanwhile.

use super::{
    lookup::Purpose,
    part::{Part, Place, State},
    reader::{Reader, Wait},
};
use crate::{
    admin::{BEGINNING, Lookup, Spec},
    error,
    native::{Code, Failure, TopicInfo},
};
use bus_core::Event;
use std::time::{Duration, Instant};

/// A topic counts as deleted, or as another one, when so many answers in a row say so: brokers learn of changes one after
/// the other.
pub(super) const TWICE: u8 = 2;
/// The longest time between two looks: one request a subscription. A member of a topic that was deleted, or made anew, need
/// not get an error by itself.
const LONGEST: Duration = Duration::from_secs(10);
pub(super) const AGAIN: Duration = Duration::from_millis(200);
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
        // Where partitions wait for it, a late answer is better than none.
        let limit = match self.suspects.is_empty() {
            true => super::lookup::ASK,
            false => LONGEST,
        };
        self.client.describe_topics(names, &self.replies, tag, limit);
    }

    pub(super) fn watched(&mut self, tag: usize, answer: Result<Vec<TopicInfo>, Failure>) {
        let topics = match answer {
            Ok(topics) => topics,
            Err(failure) => {
                tracing::debug!(target: "bus::kafka", code = ?failure.code, "looking at topics: {}", failure.text);
                self.held.unseen = Some(failure.text);
                self.look_soon();
                return;
            }
        };
        self.health.up();
        self.held.unseen = None;
        for info in topics {
            let Some(topic) = self.index(&info.name) else {
                continue;
            };
            match info.failure {
                Some(failure) if failure.code == Code::UNKNOWN_TOPIC_OR_PART => self.absent(topic),
                // Nothing can be read of it either, and librdkafka gives its partitions up without a word.
                Some(failure) if failure.code == Code::TOPIC_AUTHORIZATION => {
                    let what = format!("looking at topic `{}`", info.name);
                    self.fail(error::of_code(what, failure.code));
                    return;
                }
                Some(failure) => {
                    tracing::debug!(
                        target: "bus::kafka", topic = info.name, code = ?failure.code,
                        "looking at a topic: {}", failure.text
                    );
                    self.held.unseen = Some(failure.text);
                    self.look_soon();
                }
                None => self.present(topic, &info, tag),
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
            TWICE => self.topic_lost(topic),
            ..TWICE => self.watch_at = Instant::now() + AGAIN,
            _ => {}
        }
    }

    fn present(&mut self, topic: u32, info: &TopicInfo, tag: usize) {
        let at = topic as usize;
        self.missing[at] = 0;
        let known = self.ids[at];
        let others = match known {
            Some(id) if id != info.id => self.others[at].saturating_add(1),
            _ => 0,
        };
        self.others[at] = others;
        if others > 0 && others < TWICE && self.begun[at] {
            // This broker may not have heard yet of the one that is read.
            self.watch_at = Instant::now() + AGAIN;
            return;
        }
        self.ids[at] = Some(info.id);
        if others > 0 {
            self.others[at] = 0;
            self.counts[at] = self.counts[at].min(info.partitions);
            match self.begun[at] {
                true => self.topic_lost(topic),
                // Nothing was read of the one before, so nothing is lost.
                false => self.look_anew(topic),
            }
        } else {
            self.looked(topic, tag);
            if known.is_none() {
                self.mail.identified(topic, self.id(topic));
            }
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
