//! Commits that store something else than they were given.

use super::{Fault, publisher::alter, shared::Tracks};
use crate::{Ack, Done, Error, ErrorKind, Name, Publisher, Result, Shard};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct BrokenAck {
    pub(super) tracks: Arc<Tracks>,
    pub(super) publisher: Arc<dyn Publisher>,
}

#[async_trait]
impl Ack for BrokenAck {
    async fn commit(&self, done: Vec<Done>) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(done.len());
        for done in done {
            results.push(self.one(done).await);
        }
        results
    }
    async fn release(&self, shard: Shard) -> Result<()> {
        if self.tracks.is(Fault::NeverLeaves) {
            return Ok(());
        }
        self.tracks.inner.release(shard).await
    }
}

impl BrokenAck {
    async fn one(&self, mut done: Done) -> Result<()> {
        let tracks = &self.tracks;
        let replays = |group: &Name| group.ends_with(".replay");
        let fault = match tracks.shared.fault {
            Fault::InReplays(fault) if tracks.group.as_ref().is_some_and(replays) => *fault,
            fault => fault,
        };
        let observes = tracks.group.is_none();
        self.change(&mut done, fault).await;
        match fault {
            Fault::ObserverCommitFails if observes => return Err(Error::invalid("observers commit nothing")),
            Fault::CommitNothing | Fault::CommitOnDelivery => return Ok(()),
            Fault::TornCommits if !done.outputs.is_empty() && self.third() => {
                for (topic, message) in done.outputs {
                    self.publisher.publish_batch(&topic, vec![message]).await;
                }
                return Err(Error::unavailable("the connection was lost in the middle of it"));
            }
            _ => {}
        }
        let result = self.store(done.clone()).await;
        match (fault, &result) {
            (Fault::NoFence, Err(error)) if error.kind() == ErrorKind::Fenced => {
                self.as_the_owner(done).await
            }
            (Fault::GoBack, Err(error)) if error.kind() != ErrorKind::Fenced => Ok(()),
            (Fault::SkipMissingOutputs, Err(error)) if error.kind() == ErrorKind::TopicMissing => {
                self.store(Done {
                    outputs: Vec::new(),
                    ..done
                })
                .await
            }
            _ => {
                if result.is_ok() {
                    self.remember(&done);
                }
                result.map_err(|error| tracks.shared.error(error))
            }
        }
    }
    fn third(&self) -> bool {
        let mut state = self.tracks.shared.state.lock();
        state.published += 1;
        state.published.is_multiple_of(3)
    }
    async fn change(&self, done: &mut Done, fault: Fault) {
        let outputs = std::mem::take(&mut done.outputs);
        done.outputs = outputs
            .into_iter()
            .map(|(topic, message)| (topic, alter(fault, message)))
            .collect();
        match fault {
            Fault::CommitHighest => {
                let highest = self.tracks.seen.lock().highest.get(&done.shard).copied();
                (done.next, done.notes) = (highest.unwrap_or(done.next).max(done.next), Bytes::new());
            }
            Fault::DropNotes => done.notes = Bytes::new(),
            Fault::CutNotes => done.notes.truncate(100),
            Fault::DropOutputs => done.outputs.clear(),
            Fault::DoubleOutputs => done.outputs.extend(done.outputs.clone()),
            Fault::UnfencedOutputs => {
                for (topic, message) in done.outputs.drain(..) {
                    self.publisher.publish_batch(&topic, vec![message]).await;
                }
            }
            _ => {}
        }
    }
    async fn store(&self, done: Done) -> Result<()> {
        let none = || Err(Error::new(ErrorKind::Other, "no answer"));
        self.tracks
            .inner
            .commit(vec![done])
            .await
            .pop()
            .unwrap_or_else(none)
    }
    /// What nobody looked at twice.
    async fn as_the_owner(&self, done: Done) -> Result<()> {
        let place = self.tracks.place(done.shard);
        let owner = place.and_then(|place| self.tracks.shared.state.lock().owners.get(&place).cloned());
        if let Some((shard, ack)) = owner {
            ack.commit(vec![Done { shard, ..done }]).await;
        }
        Ok(())
    }
    fn remember(&self, done: &Done) {
        let Some(place) = self.tracks.place(done.shard) else {
            return;
        };
        let mut state = self.tracks.shared.state.lock();
        if self.tracks.is(Fault::ForgetOnce)
            && !done.notes.is_empty()
            && state.forgotten.insert(place.clone())
        {
            self.tracks.seen.lock().flaps.push((done.shard, done.next));
        }
        state.notes.insert(place, done.notes.clone());
        self.tracks.seen.lock().stored.insert(done.shard, done.next);
    }
}
