//! Partitions begin: from here on they are owned and read.

use super::{
    ask::AGAIN,
    lookup::Purpose,
    part::{End, Place, State},
    reader::Reader,
};
use crate::{
    admin::{Lookup, Spec},
    native::List,
};
use bus_core::{Bytes, Shard};
use std::time::Instant;

impl Reader {
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
                tracing::warn!(target: "bus::kafka", topic = &*topic, partition = place.1, "no queue for a partition");
                self.begin_again(place, offset);
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
            for (place, offset, _) in ours {
                self.begin_again(place, offset);
            }
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

    /// It did not work. A group is asked where it stands by then; without one it is still there.
    fn begin_again(&mut self, place: Place, offset: i64) {
        let at = Instant::now() + AGAIN;
        if self.group.is_some() {
            self.ask_at = Some(at);
        } else {
            let lookup = Lookup::new([((self.topic(place), place.1), Spec::At(offset))]);
            self.again.push((at, Purpose::Open, lookup));
        }
    }

    /// A new epoch.
    pub(super) fn gain(&mut self, place: Place, offset: i64, notes: Bytes) {
        let (topic, id) = (self.topic(place), self.id(place.0));
        self.suspects.remove(&place.0);
        // What is gained while a seek is not stored is not where that would have led.
        self.end_seek(place);
        self.end_unsure(place);
        self.begun[place.0 as usize] = true;
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
        part.found = None;
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
