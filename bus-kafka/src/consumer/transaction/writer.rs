//! The thread: one commit after the other, each as one transaction, or as several where something gets in the way.

use super::{
    attempt::{Attempt, End},
    producer::Transactional,
};
use crate::{
    consumer::{Command, Line, commits, mailbox::Mailbox, turn::Turn},
    native::List,
    producer::Producer,
};
use bus_core::{Done, Error, ErrorKind, Name, Result, Shard};
use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

pub(crate) type Job = (Vec<Done>, oneshot::Sender<Vec<Result<()>>>);

/// How long to wait before a transaction that was aborted is tried again, and between tries to make a new producer.
const AGAIN: Duration = Duration::from_millis(20);
const REOPEN: Duration = Duration::from_secs(1);

/// What the thread has in common with the reader.
pub(crate) struct Place {
    pub(crate) topics: Vec<Name>,
    pub(crate) mail: Arc<Mailbox>,
    pub(crate) line: Line,
    pub(crate) turn: Arc<Turn>,
}

pub(crate) struct Writer {
    producer: Transactional,
    patience: Duration,
    place: Place,
    inbox: mpsc::Receiver<Job>,
    /// What an unclear end has left. Before there is a new producer, late requests of the old one can still change what
    /// is stored; afterwards they are fenced.
    unclear: Vec<Shard>,
}

impl Writer {
    pub(crate) fn new(
        producer: Transactional,
        patience: Duration,
        place: Place,
        inbox: mpsc::Receiver<Job>,
    ) -> Self {
        Self {
            producer,
            patience,
            place,
            inbox,
            unclear: Vec::new(),
        }
    }

    /// Runs until nobody can send a commit any more.
    pub(crate) fn run(mut self) {
        loop {
            let job = if self.producer.is_open() {
                self.inbox
                    .recv()
                    .map_err(|_| mpsc::RecvTimeoutError::Disconnected)
            } else {
                self.inbox.recv_timeout(REOPEN)
            };
            match job {
                Ok((done, reply)) => {
                    let results = self.commit(&done);
                    let _ = reply.send(results);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            // A transaction whose end is unclear holds its readers up until there is a new producer.
            if !self.producer.is_open()
                && let Err(error) = self.ready(Instant::now() + REOPEN)
            {
                tracing::warn!(target: "bus::kafka", %error, "no transactional producer yet");
            }
        }
    }

    fn ready(&mut self, deadline: Instant) -> Result<Arc<Producer>> {
        let producer = self.producer.ready(deadline)?;
        if !self.unclear.is_empty() {
            let shards = std::mem::take(&mut self.unclear);
            let _ = self.place.line.send(Command::Reread(shards));
        }
        Ok(producer)
    }

    fn commit(&mut self, done: &[Done]) -> Vec<Result<()>> {
        let deadline = Instant::now() + self.patience;
        let mut results: Vec<Option<Result<()>>> = done.iter().map(|_| None).collect();
        // Whose output a broker does not take is found out by sending each alone.
        let mut alone = false;
        while let Some(first) = results.iter().position(Option::is_none) {
            let only = if alone {
                first..first + 1
            } else {
                first..done.len()
            };
            let Err(error) = self.try_once(&done[only.clone()], &mut results[only.clone()], deadline) else {
                continue;
            };
            let left = results[only.clone()].iter().flatten().count() < only.len();
            if left && error.is_transient() && Instant::now() < deadline {
                std::thread::sleep(AGAIN);
            } else if left && !error.is_transient() && only.len() > 1 {
                alone = true;
            } else {
                for result in results[only].iter_mut().filter(|r| r.is_none()) {
                    *result = Some(Err(error.duplicate()));
                }
            }
        }
        results.into_iter().flatten().collect()
    }

    /// One transaction with whatever of `done` has no result yet. An error belongs to all that have none afterwards.
    fn try_once(
        &mut self,
        done: &[Done],
        results: &mut [Option<Result<()>>],
        deadline: Instant,
    ) -> Result<()> {
        let producer = self.ready(deadline)?;
        for (done, result) in done.iter().zip(results.iter_mut()).filter(|(_, r)| r.is_none()) {
            if let Some(error) = Transactional::refuses(&producer, &done.outputs, deadline) {
                *result = Some(Err(error));
            }
        }
        let turn = self.place.turn.clone();
        if !turn.take_until(deadline) {
            return Err(Error::unavailable("partitions are being handed over"));
        }
        let end = self.transact(&producer, done, results);
        turn.give_back();
        end
    }

    /// While it is our turn: nothing that is owned now leaves before this returns.
    fn transact(
        &mut self,
        producer: &Arc<Producer>,
        done: &[Done],
        results: &mut [Option<Result<()>>],
    ) -> Result<()> {
        let mut offsets = List::new();
        let mut whole = Vec::new();
        for (i, result) in results.iter_mut().enumerate().filter(|(_, r)| r.is_none()) {
            match commits::vet(
                &done[i],
                self.place.mail.stored(done[i].shard).map(|s| s.0),
                &self.place.topics,
            ) {
                Err(error) => *result = Some(Err(error)),
                Ok(next) => {
                    let shard = done[i].shard;
                    let topic = &self.place.topics[shard.topic as usize];
                    let metadata = self.place.mail.metadata(shard, &done[i].notes);
                    offsets.add_with(producer.client(), topic, shard.partition, next, &metadata);
                    whole.push((i, next));
                }
            }
        }
        if whole.is_empty() {
            return Ok(());
        }
        let attempt = Attempt {
            producer,
            deadline: Instant::now() + self.patience,
            mercy: self.patience / 6,
        };
        let parts: Vec<&Done> = whole.iter().map(|(i, _)| &done[*i]).collect();
        let shards: Vec<Shard> = parts.iter().map(|d| d.shard).collect();
        // Asked for before looking whether all is ours still: whoever loses a partition later is fenced by the brokers,
        // because it has to join again before it is a member of another generation.
        let membership = || {
            let member = self.place.turn.membership();
            let ours = shards.iter().all(|s| self.place.mail.owns(*s));
            member.filter(|_| ours)
        };
        match attempt.run(&parts, &offsets, membership) {
            End::Committed => {
                for (i, next) in whole {
                    self.place.mail.store(done[i].shard, next, &done[i].notes);
                    results[i] = Some(Ok(()));
                }
                Ok(())
            }
            End::NotBegun(error) => {
                self.producer.replace();
                Err(error)
            }
            End::Aborted(error) if error.kind() == ErrorKind::Fenced => {
                tracing::warn!(target: "bus::kafka", %error, "this member was put out of its group");
                self.lose(shards, Command::Out);
                Err(error)
            }
            End::Aborted(error) => {
                tracing::debug!(target: "bus::kafka", %error, "a transaction was aborted");
                Err(error)
            }
            End::Unclear(error) => {
                tracing::warn!(
                    target: "bus::kafka", %error,
                    "a transaction has an unclear end: its partitions are read again from where they are stored"
                );
                self.producer.replace();
                self.unclear.extend(&shards);
                self.lose(shards, Command::Lose);
                Err(Error::new(
                    ErrorKind::Fenced,
                    format!(
                        "unknown whether stored, so the partition is read again from its stored position: {error}"
                    ),
                ))
            }
        }
    }

    /// These are ours no more in this epoch, from this moment; the reader does the rest.
    fn lose(&self, shards: Vec<Shard>, command: impl FnOnce(Vec<Shard>) -> Command) {
        for shard in &shards {
            self.place.mail.lost(*shard);
        }
        let _ = self.place.line.send(command(shards));
    }
}
