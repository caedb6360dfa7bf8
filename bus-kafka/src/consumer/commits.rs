//! Commits: offsets and notes, one request in flight, checked against what is owned now.
//!
//! Brokers check a commit for membership and generation but not for ownership, and a stale one moves the position
//! back. So it is checked here, by epoch, on the thread that also gives partitions up.

use super::{
    part::Place,
    reader::{Reader, Wait},
};
use crate::{
    error,
    native::{Code, Failure, List, Part as NativePart},
    notes,
};
use bus_core::{Bytes, Done, Error, ErrorKind, Name, Result, Shard, mutant};
use std::collections::VecDeque;
use tokio::sync::oneshot;

type Reply = oneshot::Sender<Vec<Result<()>>>;

/// What waits to be committed, and what is on its way.
#[derive(Default)]
pub(super) struct Commits {
    queue: VecDeque<(Vec<Done>, Reply)>,
    /// Places of the request in flight.
    in_flight: Option<Vec<Place>>,
}

/// A request in flight: its results so far (`None`: what the answer says), and what it stores.
pub(super) struct Flight {
    results: Vec<Option<Result<()>>>,
    stores: Vec<(usize, Shard, i64, Bytes)>,
    reply: Reply,
}

impl Commits {
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.queue.is_empty()
    }
    pub(super) fn begin(&mut self, places: Vec<Place>) {
        self.in_flight = Some(places);
    }
    pub(super) fn end(&mut self) {
        self.in_flight = None;
    }
    pub(super) fn in_flight_for(&self, places: &[Place]) -> bool {
        self.in_flight.iter().flatten().any(|p| places.contains(p))
    }
}

impl Reader {
    pub(super) fn commit(&mut self, done: Vec<Done>, reply: Reply) {
        self.commits.queue.push_back((done, reply));
        self.pump_commits();
    }

    pub(super) fn pump_commits(&mut self) {
        while self.commits.in_flight.is_none()
            && !self.doubt.as_ref().is_some_and(super::freeze::Doubt::is_busy)
            && let Some((done, reply)) = self.commits.queue.pop_front()
        {
            self.send_commit(done, reply);
        }
    }

    fn send_commit(&mut self, done: Vec<Done>, reply: Reply) {
        let mut list = List::new();
        let mut results = Vec::with_capacity(done.len());
        let mut stores = Vec::new();
        for (i, done) in done.into_iter().enumerate() {
            let place = (done.shard.topic, done.shard.partition);
            results.push(match self.check(&done) {
                Err(error) => Some(Err(error)),
                Ok(_) if self.group.is_none() => Some(Ok(())),
                Ok(next) => {
                    self.list(&mut list, place, next, &done.notes);
                    stores.push((i, done.shard, next, done.notes));
                    None
                }
            });
        }
        if stores.is_empty() {
            let _ = reply.send(results.into_iter().flatten().collect());
            return;
        }
        self.commits
            .begin(stores.iter().map(|(_, s, ..)| (s.topic, s.partition)).collect());
        let tag = self.tag(Wait::Commit(Flight {
            results,
            stores,
            reply,
        }));
        if let Err(failure) = self.client.commit(&list, &self.replies, tag) {
            self.committed(tag, Some(failure), &[]);
        }
    }

    fn check(&self, done: &Done) -> Result<i64> {
        let part = self.parts.get(&(done.shard.topic, done.shard.partition));
        let stored = part
            .filter(|p| p.is(done.shard) || mutant("commit-unfenced"))
            .map(|p| p.stored);
        match self.group {
            Some(_) => vet(done, stored, &self.topics),
            // Nothing is stored, so nothing can go back.
            None => vet(done, stored.map(|_| 0), &self.topics),
        }
    }

    /// A commit was answered.
    pub(super) fn committed(&mut self, tag: usize, failure: Option<Failure>, parts: &[NativePart]) {
        let whole = failure.clone();
        match self.waits.remove(&tag) {
            Some(Wait::Commit(flight)) => self.settle(flight, failure, parts),
            Some(Wait::StartStored(begun)) => {
                self.start_stored(&begun, first_failure(failure, parts));
            }
            Some(Wait::SeekStored(shard, offset)) => {
                self.seek_stored(shard, offset, first_failure(failure, parts))
            }
            Some(Wait::Tidy(behind)) => self.tidied(behind, first_failure(failure, parts).as_ref()),
            Some(Wait::Vouched(id)) => self.vouched(id, first_failure(failure, parts).as_ref()),
            Some(Wait::Proof) => {
                self.give_turn_back();
                self.proven(first_failure(failure, parts));
            }
            _ => {}
        }
        let out = whole.is_some_and(|f| is_out(f.code)) || parts.iter().any(|p| is_out(p.code));
        // What another answers to who was here before is no word about who is here now.
        if out && tag >= self.session.since {
            self.put_out();
        }
        self.pump_commits();
    }

    fn settle(&mut self, mut flight: Flight, failure: Option<Failure>, parts: &[NativePart]) {
        self.commits.end();
        let singled_out = parts.iter().any(|p| !p.code.is_ok());
        for (i, shard, next, notes) in flight.stores {
            let topic = self.topics[shard.topic as usize].clone();
            let own = parts
                .iter()
                .find(|p| p.topic == *topic && p.partition == shard.partition);
            let code = match (own, &failure) {
                (Some(part), _) if singled_out => part.code,
                (_, Some(failure)) => failure.code,
                _ => Code::OK,
            };
            flight.results[i] = Some(if code.is_ok() {
                self.session_stored(shard, next, &notes);
                if let Some(part) = self
                    .parts
                    .get_mut(&(shard.topic, shard.partition))
                    .filter(|p| p.is(shard))
                {
                    part.stored = part.stored.max(next);
                    part.notes = notes;
                }
                self.health.up();
                Ok(())
            } else {
                Err(error::of_code(
                    format_args!(
                        "committing position {next} of partition {} of topic `{topic}`",
                        shard.partition
                    ),
                    code,
                ))
            });
        }
        let _ = flight.reply.send(flight.results.into_iter().flatten().collect());
    }

    pub(super) fn answer_commits_with(&mut self, error: impl Fn() -> Error) {
        for (done, reply) in std::mem::take(&mut self.commits.queue) {
            let _ = reply.send(done.iter().map(|_| Err(error())).collect());
        }
    }
}

/// Ours in this epoch, not going back, and small enough. `stored`: the offset that is, if it is ours.
pub(super) fn vet(done: &Done, stored: Option<i64>, topics: &[Name]) -> Result<i64> {
    let partition = done.shard.partition;
    let name = || match topics.get(done.shard.topic as usize) {
        Some(topic) => format!("partition {partition} of topic `{topic}`"),
        None => format!("partition {partition}"),
    };
    let stored = stored.ok_or_else(|| Error::fenced(name()))?;
    let next = i64::try_from(done.next)
        .map_err(|_| Error::invalid(format!("position {} of {} is no kafka offset", done.next, name())))?;
    if next < stored {
        return Err(Error::invalid(format!(
            "position {next} of {} is before {stored}, which is stored already",
            name()
        )));
    }
    if done.notes.len() > notes::LIMIT {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "notes of {} bytes for {} are over the limit of {}",
                done.notes.len(),
                name(),
                notes::LIMIT
            ),
        ));
    }
    Ok(next)
}

/// The failure of a commit of which every part matters.
fn first_failure(failure: Option<Failure>, parts: &[NativePart]) -> Option<Failure> {
    failure.or_else(|| {
        parts
            .iter()
            .find(|p| !p.code.is_ok())
            .map(|p| Failure::new(p.code))
    })
}

/// This member is no member any more; a rebalance in progress is not that.
pub(super) fn is_out(code: Code) -> bool {
    matches!(
        code,
        Code::UNKNOWN_MEMBER_ID | Code::FENCED_INSTANCE_ID | Code::FENCED_MEMBER_EPOCH
    )
}
