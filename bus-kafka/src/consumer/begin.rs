//! Where a partition begins.
//!
//! A group's stored offset decides. Where a topic has none at all in this group, the group is new there: the member
//! that owns the topic's first partition looks the start up for *all* its partitions and stores them in one request,
//! and the others wait for that. So there is one start, whoever joins meanwhile; and a partition without a stored
//! offset in a topic that has some was added later, and begins at its beginning.

use super::{
    lookup::Purpose,
    part::{End, Part, Place, State},
    reader::{Reader, Wait},
};
use crate::{
    admin::{Lookup, Spec},
    native::{Code, Event, Failure, List, Offset, Part as NativePart, TopicInfo},
    notes::{self, TopicId},
};
use bus_core::{Bytes, Shard, Start, mutant};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long to wait before the next request.
pub(super) const AGAIN: Duration = Duration::from_millis(100);
/// How long an answer about stored offsets is waited for before the question is sent again, at first; then twice as
/// long each time. It waits for the group's coordinator inside of librdkafka: see [`Client::group_offsets`].
const RESEND: Duration = Duration::from_secs(10);
/// When a group whose coordinator never answers is given up. Before librdkafka gives up, see there.
const GIVE_UP: Duration = Duration::from_secs(3_000);
/// How long a topic's start is left to the owner of its first partition, which may be another library's client.
const LEFT: Duration = Duration::from_secs(10);

/// A question for stored offsets that has no answer yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    tag: usize,
    first: Instant,
    resend: (Instant, Duration),
}

/// A start that is being looked up and stored. Its partition may leave meanwhile, and even come back: then others may
/// have begun there, and read on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    /// The first of the partitions that it is for.
    pub(super) place: Place,
    /// The question that was answered with "nothing is stored".
    asked: usize,
    /// The topic that it was looked up in.
    id: Option<TopicId>,
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
            crate::native::AnswerKind::GroupOffsets => Self::Stored(event.group_parts()),
            crate::native::AnswerKind::Topics => {
                Self::Topics(event.failure().map_or_else(|| Ok(event.topics()), Err))
            }
            crate::native::AnswerKind::Offsets => {
                Self::Offsets(event.failure().map_or_else(|| Ok(event.offsets()), Err))
            }
        }
    }
}

impl Reader {
    pub(super) fn begin_timers(&mut self, now: Instant) {
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
    fn count(&self, topic: u32) -> u32 {
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
        self.asking = Some(Asking { tag, first, resend });
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

    fn stored(&mut self, tag: usize, answer: Result<Vec<NativePart>, Failure>) {
        if self.asking.is_none_or(|asking| asking.tag != tag) {
            return;
        }
        self.asking = None;
        let now = Instant::now();
        let mut parts = match answer {
            Ok(parts) => parts,
            Err(failure) => {
                // A failure must never look like "nothing stored": ask again.
                tracing::warn!(target: "bus::kafka", group = ?self.group, "reading stored positions: {}", failure.text);
                self.ask_at = Some(now + AGAIN);
                return;
            }
        };
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
        self.tell_held(held.map(|(place, _)| *place));
        for place in missing {
            let topic = self.topic(place);
            let begun = parts
                .iter()
                .any(|p| p.topic == *topic && p.code.is_ok() && p.offset >= 0);
            let unclear = parts.iter().any(|p| p.topic == *topic && !p.code.is_ok());
            if unclear {
                self.ask_at = Some(now + AGAIN);
            } else if begun {
                self.start_topic(place.0, vec![place.1], &Start::Earliest);
            } else if self.parts.contains_key(&(place.0, 0)) {
                if place.1 == 0 {
                    let all = (0..self.count(place.0)).collect();
                    self.start_topic(place.0, all, &self.start.clone());
                }
            } else if now > *self.left_since.entry(place.0).or_insert(now) + LEFT {
                self.start_topic(place.0, vec![place.1], &self.start.clone());
            } else {
                self.ask_at = Some(now + AGAIN);
            }
        }
        self.begin(begin);
    }

    /// Positions of another topic of the same name are none: the group is new in this one. Where that has to be looked
    /// at, it is as if they had not been answered.
    fn judge(&mut self, parts: &mut [NativePart]) {
        for part in parts.iter_mut().filter(|p| p.code.is_ok() && p.offset >= 0) {
            let (Some(topic), Some(id)) = (self.index(&part.topic), notes::decode(&part.metadata).topic)
            else {
                continue;
            };
            let looked = self.suspects.get(&topic) == Some(&0);
            match self.id(topic) {
                Some(now) if now == id => {}
                None if looked => {}
                Some(_) if looked => {
                    tracing::warn!(
                        target: "bus::kafka", group = ?self.group, topic = part.topic, partition = part.partition,
                        "position {} is of a topic of this name that was deleted: the group begins anew", part.offset
                    );
                    part.offset = -1001;
                }
                // It may be this member that has not noticed that the topic is another one.
                _ => {
                    part.code = Code::TRANSPORT;
                    if !self.suspects.contains_key(&topic) {
                        self.suspects.insert(topic, self.next_tag());
                        self.watch_at = Instant::now();
                    }
                }
            }
        }
    }

    /// Says which partition a former owner's open transaction holds up, or that none is any more.
    pub(super) fn tell_held(&self, place: Option<Place>) {
        let why = place.map(|place| {
            format!(
                "partition {} of topic `{}` waits for a transaction that a former owner left open; it ends at its \
                 `transaction.timeout.ms`, 10 s later at most, or when that process comes back under its `instance`",
                place.1, self.topics[place.0 as usize]
            )
        });
        let who = Arc::as_ptr(&self.mail) as usize;
        if self.health.held(who, why.clone())
            && let Some(why) = why
        {
            tracing::warn!(target: "bus::kafka", group = ?self.group, "{why}");
        }
    }

    /// Looks up and stores where the group begins in these partitions.
    fn start_topic(&mut self, topic: u32, partitions: Vec<u32>, start: &Start) {
        let name = self.topics[topic as usize].clone();
        let mut specs = Vec::new();
        for partition in partitions {
            match Spec::of(start, partition) {
                Ok(spec) => specs.push(((name.clone(), partition), spec)),
                Err(error) => {
                    self.fail(error.context(format_args!("topic `{name}`")));
                    return;
                }
            }
        }
        let Some(place) = specs.first().map(|((_, partition), _)| (topic, *partition)) else {
            return;
        };
        let Some(part) = self.parts.get_mut(&place) else {
            return;
        };
        part.state = State::Finding;
        let begun = Beginning {
            place,
            asked: part.asked,
            id: self.id(topic),
        };
        self.look_up(Purpose::Start(begun), Lookup::new(specs));
    }

    /// Whether nothing has happened since that would make a start one of another owner's, or of another topic.
    pub(super) fn is_beginning(&self, begun: &Beginning) -> bool {
        let ours = |p: &Part| p.state == State::Finding && p.asked == begun.asked;
        self.parts.get(&begun.place).is_some_and(ours) && self.id(begun.place.0) == begun.id
    }

    /// The stored offsets are to be asked for again, whatever came of a start.
    pub(super) fn begun(&mut self, begun: &Beginning, at: Instant) {
        let part = self.parts.get_mut(&begun.place);
        if let Some(part) = part.filter(|p| p.state == State::Finding && p.asked == begun.asked) {
            part.state = State::Asking;
        }
        // Also where it left: others of the topic may have waited for it.
        self.ask_at = Some(self.ask_at.map_or(at, |other| other.min(at)));
    }

    /// A new group's start was stored, or not; either way the stored offsets say how it is.
    pub(super) fn start_stored(&mut self, begun: &Beginning, failure: Option<Failure>) {
        let now = Instant::now();
        match failure {
            None => self.begun(begun, now),
            Some(failure) => {
                tracing::debug!(target: "bus::kafka", code = ?failure.code, "storing a start: {}", failure.text);
                self.begun(begun, now + AGAIN);
            }
        }
    }

    /// Owns these from here on, and reads them from these offsets.
    pub(super) fn begin(&mut self, begin: Vec<(Place, i64, Bytes)>) {
        if begin.is_empty() {
            return;
        }
        let mut list = List::new();
        let mut ours = Vec::new();
        let mut reread = Vec::new();
        for (place, offset, notes) in begin {
            let topic = self.topic(place);
            let Some(part) = self.parts.get_mut(&place) else {
                continue;
            };
            if part.assigned {
                part.state = State::Finding;
                reread.push((place, offset, notes));
                continue;
            }
            // Before it is assigned, or its records may already be on their way to the main queue.
            let Some(queue) = self.client.split(&topic, place.1) else {
                continue;
            };
            queue.signal(self.wake.fd());
            part.queue = Some(queue);
            list.add(&topic, place.1, offset);
            ours.push((place, offset, notes));
        }
        for (place, offset, notes) in reread {
            if !self.move_to(place, offset, notes)
                && let Some(part) = self.parts.get_mut(&place)
            {
                part.state = State::Asking;
                self.ask_at = Some(Instant::now() + AGAIN);
            }
        }
        if list.is_empty() {
            return;
        }
        if let Err(failure) = self.client.assign(&list) {
            tracing::warn!(target: "bus::kafka", code = ?failure.code, "assigning partitions: {}", failure.text);
            self.ask_at = Some(Instant::now() + AGAIN);
            return;
        }
        for (place, offset, notes) in ours {
            if let Some(part) = self.parts.get_mut(&place) {
                part.assigned = true;
            }
            self.gain(place, offset, notes);
        }
        self.nudge();
    }

    /// A new epoch.
    pub(super) fn gain(&mut self, place: Place, offset: i64, notes: Bytes) {
        let (topic, id) = (self.topic(place), self.id(place.0));
        self.suspects.remove(&place.0);
        // What is gained while a seek is not stored is not where that would have led.
        self.end_seek(place);
        let Some(part) = self.parts.get_mut(&place) else {
            return;
        };
        self.epoch += 1;
        part.shard = Shard {
            topic: place.0,
            partition: place.1,
            epoch: self.epoch,
        };
        part.state = State::Active;
        part.stray = false;
        part.adrift = false;
        part.tidied = offset;
        part.expected = offset;
        part.stored = offset;
        part.notes = notes.clone();
        part.end = End::Unknown;
        part.gauge = self
            .mail
            .gained(part.shard, topic, id, (offset.max(0) as u128, notes));
    }
}
