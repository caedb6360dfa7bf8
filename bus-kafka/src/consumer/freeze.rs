//! A process that was stopped and wakes: is it still the owner?

use super::{
    mailbox::FROZEN,
    part::Part,
    reader::{Reader, Wait},
};
use crate::{
    native::{Failure, List},
    notes,
};
use std::time::{Duration, Instant};

const AGAIN: Duration = Duration::from_millis(200);

/// Ownership is in doubt until a commit has succeeded: only the group's coordinator knows.
pub(super) struct Doubt {
    pub(super) try_at: Instant,
    in_flight: bool,
}

impl Doubt {
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight
    }
}

impl Reader {
    /// If this thread has not been round for long, others may own its partitions by now.
    pub(super) fn notice_freeze(&mut self, now: Instant) {
        let away = now - self.last_round;
        self.last_round = now;
        if away < FROZEN || self.group.is_none() || !self.parts.values().any(Part::is_owned) {
            return;
        }
        tracing::warn!(target: "bus::kafka", group = ?self.group, "was away for {away:?}; asking whether partitions are still ours");
        for part in self.parts.values().filter(|p| p.is_owned()) {
            self.mail.suspend(part.shard, true);
        }
        if self.doubt.is_none() {
            self.doubt = Some(Doubt {
                try_at: now,
                in_flight: false,
            });
        }
    }

    pub(super) fn doubt_timer(&mut self, now: Instant) {
        let Some(doubt) = &mut self.doubt else {
            return;
        };
        // One commit at a time, or the older of two could be stored last.
        if doubt.in_flight || doubt.try_at > now || self.commits.is_busy() {
            return;
        }
        if !self.take_turn() {
            return;
        }
        let mut list = List::new();
        for (place, part) in self.parts.iter().filter(|(_, p)| p.is_owned()) {
            let topic = &self.topics[place.0 as usize];
            if let Some((stored, noted)) = self.stored_of(part) {
                list.add_with(&self.client, topic, place.1, stored, &notes::encode(&noted));
            }
        }
        let Some(doubt) = &mut self.doubt else {
            return;
        };
        if list.is_empty() {
            self.doubt = None;
            self.give_turn_back();
            return;
        }
        doubt.in_flight = true;
        let tag = self.tag(Wait::Proof);
        if let Err(failure) = self.client.commit(&list, &self.replies, tag) {
            self.waits.remove(&tag);
            self.give_turn_back();
            self.proven(Some(failure));
        }
    }

    /// The commit was answered. A member that is out of its group is dealt with by whoever calls this.
    pub(super) fn proven(&mut self, failure: Option<Failure>) {
        match failure {
            None => {
                self.doubt = None;
                for part in self.parts.values().filter(|p| p.is_owned()) {
                    self.mail.suspend(part.shard, false);
                }
            }
            Some(failure) => {
                tracing::debug!(target: "bus::kafka", code = ?failure.code, "still in doubt: {}", failure.text);
                self.doubt = Some(Doubt {
                    try_at: Instant::now() + AGAIN,
                    in_flight: false,
                });
            }
        }
    }
}
