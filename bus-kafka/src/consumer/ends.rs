//! Where partitions end, and whether that was reached.

use super::{
    begin::ASK,
    part::{End, State},
    reader::{Reader, Wait},
};
use crate::{
    admin::END,
    native::{List, Offset},
};

impl Reader {
    /// Asks where the owned partitions end. Besides, it wakes librdkafka's broker threads, which a rebalance paused
    /// and which would otherwise notice that it is over only after a second.
    pub(super) fn nudge(&mut self) {
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

    /// Looks whether ends were reached that no record lies before.
    pub(super) fn check_ends(&mut self) {
        let mut list = List::new();
        for (place, part) in &self.parts {
            if part.state == State::Active && !part.stray && matches!(part.end, End::At(_)) {
                list.add(&self.topics[place.0 as usize], place.1, -1001);
            }
        }
        if list.is_empty() {
            return;
        }
        for read in self.client.positions(&mut list) {
            let Some(topic) = self.index(&read.topic) else {
                continue;
            };
            if let Some(part) = self.parts.get_mut(&(topic, read.partition)) {
                super::intake::reached(part, read.offset, &self.mail);
            }
        }
    }

    pub(super) fn ends(&mut self, ends: &[Offset]) {
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
    }
}
