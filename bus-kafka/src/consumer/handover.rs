//! Rebalances: partitions come, leave within a grace, or are lost at once.

use super::{
    part::{Part, Place, State},
    reader::{Reader, Wait},
};
use crate::native::{List, Part as NativePart};
use bus_core::Shard;
use std::time::{Duration, Instant};

/// Beyond the grace: a commit in flight gets that long.
const SLACK: Duration = Duration::from_secs(2);

/// A revocation that is not answered yet. Until it is, nothing is fetched on this member, and members that have
/// rejoined cannot commit: it should be short.
pub(super) struct Revoke {
    places: Vec<Place>,
    pub(super) deadline: Instant,
    last: Instant,
}

impl Wait {
    /// Whether this is a commit that is not answered and may store one of these. Without a coordinator librdkafka keeps a
    /// commit back, and sends it as whatever member there is then.
    fn may_store(&self, places: &[Place]) -> bool {
        match self {
            Wait::SeekStored(shard, _) => places.contains(&(shard.topic, shard.partition)),
            Wait::StartStored(begun) => places.contains(&begun.place),
            // Of everything that was owned when it was sent.
            Wait::Proof => true,
            // Those are counted as in flight.
            Wait::Commit(_) | Wait::Vouched(_) | Wait::Tidy(_) => false,
            Wait::Stored | Wait::Lookup(..) | Wait::Ends | Wait::Topics => false,
        }
    }
}

impl Reader {
    fn places(&self, parts: &[NativePart]) -> Vec<Place> {
        parts
            .iter()
            .filter_map(|p| Some((self.index(&p.topic)?, p.partition)))
            .collect()
    }

    /// Answered at once, with nothing: each partition is assigned when its position is known, and the loop goes on.
    pub(super) fn assigned(&mut self, parts: &[NativePart]) {
        self.joined();
        if let Err(failure) = self.client.assign(&List::new()) {
            tracing::warn!(target: "bus::kafka", code = ?failure.code, "answering an assignment: {}", failure.text);
        }
        let places = self.places(parts);
        // Whatever librdkafka still has of them from before goes first.
        self.unassign(&places);
        for place in places {
            self.end_seek(place);
            if place.1 >= self.counts[place.0 as usize] {
                // The group's leader knows of added partitions; how many there are is told when that is known here.
                self.watch_at = Instant::now();
            }
            self.parts.insert(place, Part::new(place, State::Asking));
        }
        self.first_has_come();
        self.left_since.clear();
        self.suspects.clear();
        self.ask_at = Some(Instant::now());
        self.nudge();
    }

    pub(super) fn revoked(&mut self, parts: &[NativePart]) {
        let places = self.places(parts);
        let now = Instant::now();
        if self.client.lost() {
            tracing::warn!(target: "bus::kafka", group = ?self.group, "partitions were lost: {places:?}");
            self.session.since = self.next_tag();
            places.iter().for_each(|place| self.void(*place));
            self.answer(&places);
            return;
        }
        let grace = self.config.rebalance_grace;
        for place in &places {
            if let Some(part) = self.parts.get_mut(place) {
                match part.state {
                    State::Active => {
                        part.state = State::Leaving;
                        self.mail.losing(part.shard, grace);
                    }
                    State::Leaving => {}
                    _ => self.void(*place),
                }
            }
        }
        // One that is not answered yet is answered together with this one.
        let before = self.revoke.take().map(|r| r.places).unwrap_or_default();
        self.revoke = Some(Revoke {
            places: before.into_iter().chain(places).collect(),
            deadline: now + grace,
            last: now + grace + SLACK,
        });
        self.revoke_timer(now);
    }

    /// Answers a revocation when everything in it was released, or its time is over.
    pub(super) fn revoke_timer(&mut self, now: Instant) {
        let Some(revoke) = &mut self.revoke else {
            return;
        };
        // Being lost meanwhile brings no event of its own. Whoever was put out of the group is fenced by the brokers.
        if self.client.lost() {
            self.put_out();
            return;
        }
        let owned = |place: &Place| self.parts.get(place).is_some_and(Part::is_owned);
        if now < revoke.deadline && revoke.places.iter().any(owned) {
            return;
        }
        let storing = |wait: &Wait| wait.may_store(&revoke.places);
        let waits_for_commit = now < revoke.last
            && (self.commits.in_flight_for(&revoke.places) || self.waits.values().any(storing));
        // A transaction has bounds of its own.
        let turn = !waits_for_commit && self.take_turn();
        let Some(revoke) = &mut self.revoke else {
            return;
        };
        // A commit of this thread's own that gets no answer is of a generation that will be over.
        let late = self.my_turn && now >= revoke.last;
        if !turn && !late {
            revoke.deadline = now + Duration::from_millis(20);
            return;
        }
        self.answer_revocation();
        if turn {
            self.give_turn_back();
        }
    }

    /// Whatever is being revoked is lost now.
    pub(super) fn answer_revocation(&mut self) {
        if let Some(revoke) = self.revoke.take() {
            revoke.places.iter().for_each(|place| self.void(*place));
            self.answer(&revoke.places);
        }
    }

    /// Gives partitions back to librdkafka.
    fn answer(&mut self, places: &[Place]) {
        if !self.unassign(places) {
            // An answer is owed even where none of them had been assigned yet.
            let _ = self.client.unassign(&List::new());
        }
        for place in places {
            self.parts.remove(place);
        }
        self.nudge();
    }

    /// Takes those out of librdkafka's assignment that are in it. Whether there were any.
    fn unassign(&mut self, places: &[Place]) -> bool {
        let mut list = List::new();
        for place in places {
            if let Some(part) = self.parts.get_mut(place) {
                if std::mem::take(&mut part.assigned) {
                    list.add(&self.topics[place.0 as usize], place.1, -1001);
                }
                part.queue = None;
            }
        }
        if list.is_empty() {
            return false;
        }
        if let Err(failure) = self.client.unassign(&list) {
            tracing::warn!(target: "bus::kafka", code = ?failure.code, "giving partitions back: {}", failure.text);
        }
        true
    }

    /// No longer ours in this epoch.
    pub(super) fn void(&mut self, place: Place) {
        self.end_seek(place);
        if let Some(part) = self.parts.get_mut(&place) {
            if part.is_owned() {
                self.mail.lost(part.shard);
            }
            part.state = State::Void;
        }
    }

    /// The same, where that is still the epoch. A shard that the application gives up stays in librdkafka's assignment,
    /// unread, until the group takes it away: taking it out by ourselves could be mistaken for the answer to a
    /// revocation.
    pub(super) fn void_shard(&mut self, shard: Shard) {
        let place = (shard.topic, shard.partition);
        if self.parts.get(&place).is_some_and(|p| p.is(shard)) {
            self.void(place);
        }
    }

    /// Ends this epoch; nobody here knows what is stored, nor does the group before [`Self::reread`].
    pub(super) fn lose(&mut self, shard: Shard) {
        let place = (shard.topic, shard.partition);
        let Some(part) = self.parts.get_mut(&place).filter(|p| p.is(shard)) else {
            return;
        };
        self.mail.lost(shard);
        if part.state == State::Leaving {
            part.state = State::Void;
            self.revoke_timer(Instant::now());
        } else {
            (part.state, part.since) = (State::Finding, Instant::now());
        }
    }

    /// Begins another epoch where the group stands, which is to be asked for.
    pub(super) fn reread(&mut self, shard: Shard) {
        let place = (shard.topic, shard.partition);
        let part = self.parts.get_mut(&place);
        if let Some(part) = part.filter(|p| p.shard == shard && p.state == State::Finding) {
            let now = Instant::now();
            (part.state, part.since) = (State::Asking, now);
            self.ask_at = Some(now);
        }
    }

    /// Everything is void for good, and a pending revocation is answered at once.
    pub(super) fn void_all(&mut self) {
        let places: Vec<Place> = self.parts.keys().copied().collect();
        places.into_iter().for_each(|place| self.void(place));
        self.no_doubt();
        self.answer_revocation();
    }

    /// See [`Reader::restart`].
    pub(super) fn lose_what_is_revoked_now(&mut self) {
        let owned: Vec<Place> = self
            .parts
            .iter()
            .filter(|(_, p)| p.is_owned())
            .map(|(place, _)| *place)
            .collect();
        let before = self.revoke.is_some();
        self.serve();
        if !before && let Some(revoke) = self.revoke.take() {
            let places: Vec<Place> = owned.into_iter().filter(|p| revoke.places.contains(p)).collect();
            places.iter().for_each(|place| self.void(*place));
            self.answer(&revoke.places);
        }
    }

    /// Everything that librdkafka has assigned, given back: on leaving.
    pub(super) fn give_back_everything(&mut self) {
        let places: Vec<Place> = self.parts.keys().copied().collect();
        self.answer(&places);
    }
}
