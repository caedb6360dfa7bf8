//! Moving a partition that is owned: on request, or because its records are gone.

use super::{
    ask::AGAIN,
    lookup::{ASK, Purpose},
    mailbox::Mailbox,
    part::{Place, State},
    reader::{Reader, Wait},
};
use crate::{
    admin::{BEGINNING, END, Lookup, Spec},
    error,
    native::{Code, Failure, List},
};
use bus_core::{Bytes, Error, Event, Result, Shard, Start};
use std::time::Instant;

/// A shard that is void and will be gained again elsewhere.
pub(super) struct Seek {
    shard: Shard,
    /// The application asked for it, and is to hear of it if it comes to nothing.
    asked: bool,
    stored: bool,
}

impl Seek {
    fn asked(shard: Shard) -> Self {
        Self {
            shard,
            asked: true,
            stored: false,
        }
    }
    fn ours(shard: Shard) -> Self {
        Self {
            asked: false,
            ..Self::asked(shard)
        }
    }
    /// It was gained, or left. Where its position was stored, the group goes on from there.
    pub(super) fn end(self, mail: &Mailbox) {
        if self.asked && !self.stored {
            mail.urgent(Event::SeekFailed(self.shard));
        }
    }
}

impl Reader {
    /// Voids the shard and gains it again elsewhere.
    pub(super) fn seek(&mut self, shard: Shard, to: &Start) -> Result<()> {
        let place = (shard.topic, shard.partition);
        let Some(part) = self
            .parts
            .get_mut(&place)
            .filter(|p| p.is(shard) && p.state == State::Active)
        else {
            return Err(Error::fenced(format_args!("partition {}", shard.partition)));
        };
        if *to == Start::Stored {
            return Err(Error::invalid(
                "seek to a position, a time or an end; `Stored` is where it stands",
            ));
        }
        let spec = Spec::of(to, place.1)?;
        (part.state, part.since) = (State::Finding, Instant::now());
        self.held.failure = None;
        self.mail.lost(shard);
        self.seeks.insert(place, Seek::asked(shard));
        let name = self.topic(place);
        self.look_up(Purpose::Seek(shard), Lookup::new([((name, place.1), spec)]));
        Ok(())
    }

    /// It is not moved any more: it left.
    pub(super) fn end_seek(&mut self, place: Place) {
        if let Some(seek) = self.seeks.remove(&place) {
            let storing = |wait: &Wait| matches!(wait, Wait::SeekStored(of, _) if *of == seek.shard);
            match !seek.stored && self.waits.values().any(storing) {
                true => self.unsure.push(seek),
                false => seek.end(&self.mail),
            }
        }
    }

    /// It is gained, and what came of a seek has to be told before that.
    pub(super) fn end_unsure(&mut self, place: Place) {
        let here = |seek: &mut Seek| (seek.shard.topic, seek.shard.partition) == place;
        for seek in self.unsure.extract_if(.., here) {
            seek.end(&self.mail);
        }
    }

    /// Whether this shard is still being moved, and not another one of its partition.
    fn is_sought(&self, shard: Shard) -> bool {
        let place = (shard.topic, shard.partition);
        let finding = |p: &super::part::Part| p.shard == shard && p.state == State::Finding;
        self.seeks.get(&place).is_some_and(|seek| seek.shard == shard)
            && self.parts.get(&place).is_some_and(finding)
    }

    pub(super) fn store_seek(&mut self, shard: Shard, offset: i64) {
        if !self.is_sought(shard) {
            return;
        }
        if self.group.is_none() {
            self.sought(shard, offset);
            return;
        }
        let place = (shard.topic, shard.partition);
        let mut list = List::new();
        self.list(&mut list, place, offset, &[]);
        let tag = self.tag(Wait::SeekStored(shard, offset));
        if let Err(failure) = self.client.commit(&list, &self.replies, tag) {
            self.waits.remove(&tag);
            self.seek_stored(shard, offset, Some(failure));
        }
    }

    pub(super) fn seek_stored(&mut self, shard: Shard, offset: i64, failure: Option<Failure>) {
        if let Some(at) = self.unsure.iter().position(|seek| seek.shard == shard) {
            let mut seek = self.unsure.swap_remove(at);
            seek.stored = failure.is_none();
            seek.end(&self.mail);
        }
        match failure {
            _ if !self.is_sought(shard) => {}
            None => self.sought(shard, offset),
            Some(failure) if self.refused("storing where to go on", &failure) => {}
            Some(failure) => {
                self.held.failure = Some(failure.text);
                self.seek_again(shard, offset);
            }
        }
    }

    fn seek_again(&mut self, shard: Shard, offset: i64) {
        let name = self.topic((shard.topic, shard.partition));
        let lookup = Lookup::new([((name, shard.partition), Spec::At(offset))]);
        self.again
            .push((Instant::now() + AGAIN, Purpose::Seek(shard), lookup));
    }

    fn sought(&mut self, shard: Shard, offset: i64) {
        let place = (shard.topic, shard.partition);
        if let Some(seek) = self.seeks.get_mut(&place) {
            seek.stored = true;
        }
        if !self.move_to(place, offset, Bytes::new()) {
            self.seek_again(shard, offset);
        }
    }

    /// A new epoch of a partition that is assigned already. False: not at the moment.
    pub(super) fn move_to(&mut self, place: Place, offset: i64, notes: Bytes) -> bool {
        if self.parts.get(&place).is_none_or(|p| p.state != State::Finding) {
            return true;
        }
        let mut list = List::new();
        list.add(&self.topic(place), place.1, offset);
        if let Err(failure) = self.client.seek(&mut list, ASK) {
            // A partition that had stopped fetching cannot seek, only start again.
            tracing::debug!(target: "bus::kafka", code = ?failure.code, "seeking by assigning again");
            if !self.take_turn() {
                return false;
            }
            let ours = self.restart(place, offset);
            self.give_turn_back();
            if !ours {
                return true;
            }
        }
        self.gain(place, offset, notes);
        self.nudge();
        true
    }

    /// Starts fetching again by taking the partition out of the assignment and putting it back. Whether it is ours
    /// still: a revocation that came at the same moment would take that for its answer, so whatever it lists counts
    /// as lost already.
    fn restart(&mut self, place: Place, offset: i64) -> bool {
        let topic = self.topic(place);
        let mut list = List::new();
        list.add(&topic, place.1, offset);
        let result = self.client.unassign(&list).and_then(|()| {
            let queue = self.client.split(&topic, place.1);
            if let (Some(queue), Some(part)) = (queue, self.parts.get_mut(&place)) {
                queue.signal(self.wake.fd());
                part.queue = Some(queue);
                part.stray = false;
                part.adrift = false;
            }
            self.client.assign(&list)
        });
        if let Err(failure) = result {
            tracing::warn!(target: "bus::kafka", code = ?failure.code, "starting a partition again: {}", failure.text);
        }
        if self.group.is_some() {
            self.lose_what_is_revoked_now();
        }
        self.parts.get(&place).is_some_and(|p| p.state != State::Void)
    }

    /// A partition cannot go on by itself.
    pub(super) fn trouble(&mut self, place: Place, code: Code) {
        match code {
            Code::AUTO_OFFSET_RESET | Code::OFFSET_OUT_OF_RANGE => {
                let name = self.topic(place);
                let lookup = Lookup::new([((name, place.1), Spec::Ask(BEGINNING))]);
                self.look_up(Purpose::Loss(place), lookup);
            }
            Code::UNKNOWN_TOPIC_OR_PART | Code::UNKNOWN_TOPIC_LOCAL | Code::UNKNOWN_PARTITION_LOCAL => {
                self.watch_at = Instant::now();
            }
            Code::TOPIC_AUTHORIZATION => {
                let what = format!("reading topic `{}`", self.topic(place));
                self.fail(error::of_code(what, code));
            }
            code => tracing::warn!(
                target: "bus::kafka", topic = %self.topic(place), partition = place.1, ?code,
                "fetching: {}", code.text()
            ),
        }
        let Some(part) = self.parts.get_mut(&place) else {
            return;
        };
        if matches!(code, Code::AUTO_OFFSET_RESET | Code::OFFSET_OUT_OF_RANGE) {
            if !std::mem::replace(&mut part.adrift, true) {
                part.since = Instant::now();
            }
        } else {
            part.stray = true;
            self.tell_positions();
        }
    }

    /// librdkafka takes an error that it hands out among records for a record when it remembers the position (one
    /// about the partition itself even counts as offset 0), and would resume behind it after the next rebalance's
    /// pause. So the position is told again, and nothing is read before that has worked.
    pub(super) fn tell_positions(&mut self) {
        let stray: Vec<Place> = self
            .parts
            .iter()
            .filter(|(_, p)| p.stray && p.state == State::Active)
            .map(|(place, _)| *place)
            .collect();
        for place in stray {
            let topic = self.topic(place);
            if let Some(part) = self.parts.get_mut(&place) {
                let mut list = List::new();
                list.add(&topic, place.1, part.expected);
                match self.client.seek(&mut list, ASK) {
                    Ok(()) => part.stray = false,
                    // It does not fetch yet, or not any more: then the next round tries again.
                    Err(failure) => tracing::debug!(
                        target: "bus::kafka", topic = %topic, partition = place.1, code = ?failure.code,
                        "telling a position again: {}", failure.text
                    ),
                }
            }
        }
    }

    /// The position was out of range, and this is the oldest there is.
    pub(super) fn lost_records(&mut self, place: Place, beginning: i64) {
        let Some(part) = self.parts.get_mut(&place).filter(|p| p.state == State::Active) else {
            return;
        };
        if beginning <= part.expected {
            let name = self.topic(place);
            let lookup = Lookup::new([((name, place.1), Spec::Ask(END))]);
            self.look_up(Purpose::Truncated(place), lookup);
            return;
        }
        let (shard, from) = (part.shard, part.expected);
        part.expected = beginning;
        self.mail.urgent(Event::DataLoss {
            shard,
            from: from.max(0) as u128,
            to: beginning as u128,
        });
        self.restart(place, beginning);
    }

    /// The log ends before the position: an unclean election cut it, or the topic was made anew.
    pub(super) fn truncated(&mut self, place: Place, end: i64) {
        self.watch_at = Instant::now();
        let Some(part) = self.parts.get_mut(&place).filter(|p| p.state == State::Active) else {
            return;
        };
        let expected = part.expected;
        if end >= expected {
            self.restart(place, expected);
            return;
        }
        tracing::error!(
            target: "bus::kafka", topic = %self.topics[place.0 as usize], partition = place.1,
            "the log ends at {end}, before position {expected}: records were lost"
        );
        let shard = part.shard;
        (part.state, part.since) = (State::Finding, Instant::now());
        self.mail.urgent(Event::DataLoss {
            shard,
            from: end as u128,
            to: expected as u128,
        });
        self.mail.lost(shard);
        self.seeks.insert(place, Seek::ours(shard));
        self.store_seek(shard, end);
    }
}
