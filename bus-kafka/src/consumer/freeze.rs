//! Ownership in doubt; and a process that was stopped and wakes: is it still the owner?

use super::{
    mailbox::FROZEN,
    part::Part,
    reader::{Reader, Wait},
};
use crate::native::{Failure, List};
use std::time::{Duration, Instant};

const AGAIN: Duration = Duration::from_millis(200);

/// Ownership is in doubt until a commit has succeeded, or the group has been seen to have this member: only the group's
/// coordinator knows.
pub(super) struct Doubt {
    /// `None`: it is over, but for the answer to the commit.
    since: Option<Instant>,
    try_at: Instant,
    /// When the commit was sent that is to prove it.
    sent: Option<Instant>,
}

impl Doubt {
    pub(super) fn is_busy(&self) -> bool {
        self.sent.is_some()
    }
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
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
        self.doubt_all(now);
    }

    /// No handler is started until it is known whether everything is still ours.
    pub(super) fn doubt_all(&mut self, now: Instant) {
        for part in self.parts.values().filter(|p| p.is_owned()) {
            self.mail.suspend(part.shard, true);
        }
        // What was proven before, or is being proven, proves nothing now.
        self.doubt = Some(Doubt {
            since: Some(now),
            try_at: now,
            sent: self.doubt.take().and_then(|doubt| doubt.sent),
        });
    }

    /// It is known, one way or the other.
    pub(super) fn no_doubt(&mut self) {
        self.doubt = self.doubt.take().filter(Doubt::is_busy);
        if let Some(doubt) = &mut self.doubt {
            doubt.since = None;
        }
        for part in self.parts.values().filter(|p| p.is_owned()) {
            self.mail.suspend(part.shard, false);
        }
    }

    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt.as_ref().is_some_and(|doubt| doubt.since.is_some())
    }

    /// When the next commit is due that is to prove it.
    pub(super) fn proof_at(&self) -> Option<Instant> {
        let doubt = self.doubt.as_ref().filter(|doubt| !doubt.is_busy())?;
        (!self.commits.is_busy()).then_some(doubt.try_at)
    }

    pub(super) fn doubt_timer(&mut self, now: Instant) {
        let Some(doubt) = &mut self.doubt else {
            return;
        };
        // One commit at a time, or the older of two could be stored last.
        if doubt.is_busy() || doubt.try_at > now || self.commits.is_busy() {
            return;
        }
        if !self.take_turn() {
            // It is given back with a wake-up, which may come at once.
            if let Some(doubt) = &mut self.doubt {
                doubt.try_at = now + AGAIN;
            }
            return;
        }
        let mut list = List::new();
        for (place, part) in self.parts.iter().filter(|(_, p)| p.is_owned()) {
            if let Some((stored, noted)) = self.stored_of(part) {
                self.list(&mut list, *place, stored, &noted);
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
        doubt.sent = Some(now);
        let tag = self.tag(Wait::Proof);
        if let Err(failure) = self.client.commit(&list, &self.replies, tag) {
            self.waits.remove(&tag);
            self.give_turn_back();
            self.proven(Some(failure));
        }
    }

    /// The commit was answered. A member that is out of its group is dealt with by whoever calls this.
    pub(super) fn proven(&mut self, failure: Option<Failure>) {
        let Some(doubt) = &mut self.doubt else {
            return;
        };
        let sent = doubt.sent.take();
        match (doubt.since, failure) {
            (None, _) => self.doubt = None,
            (Some(since), None) if sent.is_some_and(|sent| sent >= since) => self.no_doubt(),
            (Some(_), failure) => {
                if let Some(failure) = failure {
                    tracing::debug!(target: "bus::kafka", code = ?failure.code, "still in doubt: {}", failure.text);
                }
                doubt.try_at = Instant::now() + AGAIN;
            }
        }
    }
}
