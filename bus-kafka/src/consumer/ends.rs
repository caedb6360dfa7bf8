//! Where partitions end, and whether that was reached.

use super::{
    lookup::ASK,
    part::{End, Part, Place, State},
    reader::{Reader, Wait},
};
use crate::{
    admin::END,
    native::{Failure, List, Offset},
};
use bus_core::{Bytes, Shard};
use std::time::{Duration, Instant};

/// How often positions are stored that no record is the reason of.
const TIDY: Duration = Duration::from_secs(1);
/// How soon ends that were not answered are asked for again.
const AGAIN: Duration = Duration::from_millis(500);

impl Reader {
    /// Asks where the owned partitions end. Besides, it wakes librdkafka's broker threads, which a rebalance paused
    /// and which would otherwise notice that it is over only after a second.
    pub(super) fn nudge(&mut self) {
        self.nudge_at = None;
        let mut list = List::new();
        for (place, _) in self.parts.iter().filter(|(_, p)| p.state == State::Active) {
            list.add(&self.topics[place.0 as usize], place.1, END);
        }
        if list.is_empty() {
            return;
        }
        let tag = self.tag(Wait::Ends);
        self.client.list_offsets(&list, &self.replies, tag, ASK);
    }

    /// Looks how far was read beyond the last record: transaction markers and aborted messages take offsets too. So an
    /// end may be reached that no record lies before, and a position may stand before offsets that hold nothing.
    pub(super) fn check_ends(&mut self) {
        let now = Instant::now();
        let tidy =
            self.group.is_some() && self.tidy_at <= now && self.commits.is_idle() && self.doubt.is_none();
        let mut list = List::new();
        for (place, part) in &self.parts {
            let known = part.state == State::Active && !part.stray && !part.adrift;
            if known && (matches!(part.end, End::At(_)) || tidy && self.is_settled(part)) {
                list.add(&self.topics[place.0 as usize], place.1, -1001);
            }
        }
        if list.is_empty() {
            return;
        }
        let mut behind = Vec::new();
        for read in self.client.positions(&mut list) {
            let Some(topic) = self.index(&read.topic) else {
                continue;
            };
            let place = (topic, read.partition);
            if let Some(part) = self.parts.get_mut(&place) {
                super::intake::reached(part, read.offset, &self.mail);
                if read.offset > part.expected.max(part.tidied) {
                    behind.push((place, part.shard, read.offset));
                }
            }
        }
        if tidy && !behind.is_empty() && self.take_turn() {
            // Only now nobody else can store anything.
            behind.retain(|(place, ..)| self.parts.get(place).is_some_and(|p| self.is_settled(p)));
            self.tidy_at = now + TIDY;
            self.tidy(behind);
        }
    }

    /// Whether what is stored is all that was handed out.
    fn is_settled(&self, part: &Part) -> bool {
        self.stored_of(part)
            .is_some_and(|(stored, notes)| stored == part.expected && notes.is_empty())
    }

    /// What the last commit of this epoch stored; `None` where that is not known, because a transaction has an unclear
    /// end.
    pub(super) fn stored_of(&self, part: &Part) -> Option<(i64, Bytes)> {
        match &self.turn {
            Some(_) => self.mail.stored(part.shard),
            None => Some((part.stored, part.notes.clone())),
        }
    }

    /// Stores positions behind what holds no record, so that a group which has settled everything has no lag.
    fn tidy(&mut self, behind: Vec<(Place, Shard, i64)>) {
        let mut list = List::new();
        for (place, _, offset) in &behind {
            self.list(&mut list, *place, *offset, &[]);
        }
        if list.is_empty() {
            self.give_turn_back();
            return;
        }
        self.commits
            .begin(behind.iter().map(|(place, ..)| *place).collect());
        let tag = self.tag(Wait::Tidy(behind));
        if let Err(failure) = self.client.commit(&list, &self.replies, tag) {
            self.committed(tag, Some(failure), &[]);
        }
    }

    pub(super) fn tidied(&mut self, behind: Vec<(Place, Shard, i64)>, failure: Option<&Failure>) {
        self.commits.end();
        self.give_turn_back();
        if let Some(failure) = failure {
            tracing::debug!(target: "bus::kafka", code = ?failure.code, "storing positions behind the last record");
            return;
        }
        for (place, shard, offset) in behind {
            if let Some(part) = self.parts.get_mut(&place).filter(|p| p.is(shard)) {
                part.tidied = offset;
            }
        }
    }

    pub(super) fn ends(&mut self, answer: Result<Vec<Offset>, Failure>) {
        let ends = answer.unwrap_or_default();
        for end in ends.iter().filter(|e| e.code.is_ok()) {
            let Some(topic) = self.index(&end.topic) else {
                continue;
            };
            if let Some(part) = self.parts.get_mut(&(topic, end.partition))
                && part.state == State::Active
                && part.end == End::Unknown
            {
                part.end = End::At(end.offset);
                super::intake::reached(part, -1, &self.mail);
            }
        }
        // Without an answer nobody would ever be told of the end.
        let open = |p: &Part| p.state == State::Active && p.end == End::Unknown;
        if self.parts.values().any(open) {
            self.nudge_at = Some(Instant::now() + AGAIN);
        }
    }
}
