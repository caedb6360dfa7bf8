//! Where a partition begins.
//!
//! A group's stored offset decides. Where a topic has none at all in this group, the group is new there: the member
//! that owns the topic's first partition looks the start up for *all* its partitions and stores them in one request,
//! and the others wait for that. So there is one start, whoever joins meanwhile; and a partition without a stored
//! offset in a topic that has some was added later, and begins at its beginning.
//!
//! Waiting has an end: the first partition's owner may be another library's client, or look the start up for long
//! because a partition has no leader. Then each begins by itself, so whoever has looked a start up for more than a moment
//! asks what is stored once more, and stores its start only where there is still none.

use super::{
    ask::AGAIN,
    lookup::Purpose,
    part::{Part, Place, State},
    reader::{Reader, Wait},
};
use crate::{
    admin::{Lookup, Spec},
    native::{Failure, List},
    notes::TopicId,
};
use bus_core::Start;
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

/// How long a topic's start is left to the owner of its first partition, which may be another library's client.
pub(super) const LEFT: Duration = Duration::from_secs(10);
/// How old the answer that nothing is stored may be when a start that was looked up since is stored over it. Whoever was
/// left waiting may have begun by itself meanwhile, and read on. One that is older is asked for once more; what is known by
/// then is stored where that answer took less than half of [`LEFT`].
const SURE: Duration = Duration::from_secs(1);

/// A start that is being looked up and stored. Its partition may leave meanwhile, and even come back: then others may
/// have begun there, and read on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    /// The first of the partitions that it is for.
    pub(super) place: Place,
    /// The question that was answered with "nothing is stored".
    asked: usize,
    /// When that question was sent.
    sent: Instant,
    /// The topic that it was looked up in.
    id: Option<TopicId>,
}

/// A start that is known and not stored: offsets by partition, and the topic.
#[derive(Debug)]
pub(super) struct Found {
    at: Vec<(u32, i64)>,
    id: Option<TopicId>,
}

impl Reader {
    /// Looks up and stores where the group begins in these partitions.
    pub(super) fn start_topic(&mut self, place: Place, sent: Instant, partitions: Vec<u32>, start: &Start) {
        let topic = place.0;
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
        if let Some(begun) = self.starting(place, sent) {
            self.look_up(Purpose::Start(begun), Lookup::new(specs));
        }
    }

    fn starting(&mut self, place: Place, sent: Instant) -> Option<Beginning> {
        let id = self.id(place.0);
        let part = self.parts.get_mut(&place)?;
        part.state = State::Starting;
        Some(Beginning {
            place,
            asked: part.asked,
            sent,
            id,
        })
    }

    /// The start of these partitions was looked up.
    pub(super) fn start_is(&mut self, begun: &Beginning, at: Vec<(u32, i64)>) {
        if !self.is_beginning(begun) {
            // Stored now, it would go over what the next owner has stored, or be a position of another topic.
            self.begun(begun, Instant::now());
        } else if begun.sent.elapsed() > SURE {
            if let Some(part) = self.parts.get_mut(&begun.place) {
                part.found = Some(Found { at, id: begun.id });
            }
            self.begun(begun, Instant::now());
        } else {
            self.store_start(*begun, &at);
        }
    }

    /// A start that was found for this partition before it was asked once more what is stored.
    pub(super) fn take_found(&mut self, place: Place) -> Option<Found> {
        let id = self.id(place.0);
        let found = self.parts.get_mut(&place)?.found.take();
        found.filter(|found| found.id == id)
    }

    /// Stores what was found, but for the partitions that others have begun in by themselves.
    pub(super) fn start_found(
        &mut self,
        place: Place,
        sent: Instant,
        mut found: Found,
        stored: &HashSet<u32>,
    ) {
        if sent.elapsed() > LEFT / 2 {
            // That may be old news too.
            if let Some(part) = self.parts.get_mut(&place) {
                part.found = Some(found);
            }
            self.ask_at = Some(Instant::now() + AGAIN);
            return;
        }
        found.at.retain(|(partition, _)| !stored.contains(partition));
        if let Some(begun) = self.starting(place, sent) {
            self.store_start(begun, &found.at);
        }
    }

    fn store_start(&mut self, begun: Beginning, at: &[(u32, i64)]) {
        let mut list = List::new();
        for (partition, offset) in at {
            self.list(&mut list, (begun.place.0, *partition), *offset, &[]);
        }
        let tag = self.tag(Wait::StartStored(begun));
        if let Err(failure) = self.client.commit(&list, &self.replies, tag) {
            self.waits.remove(&tag);
            self.start_stored(&begun, Some(failure));
        }
    }

    /// Whether the topic's first partition is here, and is to begin all of it. One that has begun already does not again,
    /// whatever became of the positions that were stored then.
    pub(super) fn begins_topic(&self, topic: u32) -> bool {
        let first = self.parts.get(&(topic, 0));
        first.is_some_and(|first| matches!(first.state, State::Asking | State::Starting))
    }

    /// Whoever was left waiting for the owner of a topic's first partition, and is that now, begins all of it.
    pub(super) fn first_has_come(&mut self) {
        let come: Vec<u32> = self.left_since.keys().copied().collect();
        for topic in come {
            if self.parts.contains_key(&(topic, 0)) {
                for part in self.parts.values_mut().filter(|part| part.shard.topic == topic) {
                    part.found = None;
                    if part.state == State::Starting {
                        part.state = State::Asking;
                    }
                }
            }
        }
    }

    /// Whether nothing has happened since that would make a start one of another owner's, or of another topic.
    pub(super) fn is_beginning(&self, begun: &Beginning) -> bool {
        let ours = |p: &Part| p.state == State::Starting && p.asked == begun.asked;
        self.parts.get(&begun.place).is_some_and(ours) && self.id(begun.place.0) == begun.id
    }

    /// The stored offsets are to be asked for again, whatever came of a start.
    pub(super) fn begun(&mut self, begun: &Beginning, at: Instant) {
        let part = self.parts.get_mut(&begun.place);
        if let Some(part) = part.filter(|p| p.state == State::Starting && p.asked == begun.asked) {
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
            Some(failure) if self.refused("storing where the group starts", &failure) => {}
            Some(failure) => {
                tracing::debug!(target: "bus::kafka", code = ?failure.code, "storing a start: {}", failure.text);
                self.held.failure = Some(failure.text);
                self.begun(begun, now + AGAIN);
            }
        }
    }
}
