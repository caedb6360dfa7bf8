//! Positions that are looked up by what they are: the beginning, the end, a time.

use super::{
    ask::AGAIN,
    part::{Part, Place, State},
    reader::{Reader, Wait},
    starts::Beginning,
};
use crate::{
    admin::{Lookup, Spec},
    error,
    native::{Failure, Offset},
};
use bus_core::{Bytes, ErrorKind, Result, Shard};
use std::time::{Duration, Instant};

/// How long one request may take.
pub(super) const ASK: Duration = Duration::from_secs(2);

/// What a lookup is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// A new group's start in a topic: for all its partitions, or for one that was added.
    Start(Beginning),
    /// Partitions of `Everyone`.
    Open,
    Seek(Shard),
    /// The position is out of range: is the beginning behind it?
    Loss(Place),
    /// It is not: so the end is before it.
    Truncated(Place),
}

impl Reader {
    /// Opens partitions without a group.
    pub(super) fn open(&mut self, only: Option<Vec<u32>>) -> Result<()> {
        let mut specs = Vec::new();
        for topic in 0..self.topics.len() as u32 {
            let partitions = match &only {
                Some(list) => list.clone(),
                None => (0..self.counts[topic as usize]).collect(),
            };
            for partition in partitions {
                let spec = Spec::of(&self.start, partition)?;
                self.parts
                    .insert((topic, partition), Part::new((topic, partition), State::Finding));
                specs.push(((self.topic((topic, partition)), partition), spec));
            }
        }
        self.look_up(Purpose::Open, Lookup::new(specs));
        Ok(())
    }

    /// Asks for positions, or goes on where none is open any more.
    pub(super) fn look_up(&mut self, purpose: Purpose, lookup: Lookup) {
        match lookup.list() {
            Some(list) => {
                let tag = self.tag(Wait::Lookup(purpose, lookup));
                self.client.list_offsets(&list, &self.replies, tag, ASK);
            }
            None => self.found(purpose, lookup),
        }
    }

    pub(super) fn looked_up(
        &mut self,
        purpose: Purpose,
        mut lookup: Lookup,
        answer: Result<Vec<Offset>, Failure>,
    ) {
        let code = match answer {
            Ok(answers) => lookup.merge(answers),
            Err(failure) => Some(failure.code),
        };
        let Some(code) = code else {
            self.held.failure = None;
            self.look_up(purpose, lookup);
            return;
        };
        let error = error::of_code("finding positions", code);
        if matches!(error.kind(), ErrorKind::Denied) {
            self.fail(error);
            return;
        }
        tracing::debug!(target: "bus::kafka", ?code, ?purpose, "finding positions again");
        self.held.failure = Some(error.to_string());
        self.again.push((Instant::now() + AGAIN, purpose, lookup));
    }

    /// Every position of a lookup is known.
    fn found(&mut self, purpose: Purpose, lookup: Lookup) {
        let restarts = matches!(purpose, Purpose::Loss(_) | Purpose::Truncated(_));
        if restarts && !self.take_turn() {
            self.again.push((Instant::now() + AGAIN, purpose, lookup));
            return;
        }
        self.go_on(purpose, lookup);
        if restarts {
            self.give_turn_back();
        }
    }

    fn go_on(&mut self, purpose: Purpose, lookup: Lookup) {
        let found = lookup.found;
        match purpose {
            Purpose::Start(begun) => {
                let at = found
                    .into_iter()
                    .map(|((_, partition), offset)| (partition, offset));
                self.start_is(&begun, at.collect());
            }
            Purpose::Open => {
                let begin = found
                    .into_iter()
                    .filter_map(|((topic, partition), offset)| {
                        Some(((self.index(&topic)?, partition), offset, Bytes::new()))
                    })
                    .collect();
                self.begin(begin);
                self.is_ready(Ok(()));
            }
            Purpose::Seek(shard) => {
                if let Some(offset) = found.into_values().next() {
                    self.store_seek(shard, offset);
                }
            }
            Purpose::Loss(place) => {
                if let Some(beginning) = found.into_values().next() {
                    self.lost_records(place, beginning);
                }
            }
            Purpose::Truncated(place) => {
                if let Some(end) = found.into_values().next() {
                    self.truncated(place, end);
                }
            }
        }
    }
}
