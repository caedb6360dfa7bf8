//! The driver's own traits, used raw: what a backend does without the core's help.

use super::{Failure, Lab, Proof};
use crate::{
    Ack, Backend, Done, Error, Event, Name, Record, Result as BusResult, Room, Scope, Shard, Source, Start,
    Subscriber,
};
use bytes::Bytes;
use std::{collections::VecDeque, sync::Arc};

/// Room for whatever a check publishes.
pub(crate) const MUCH: Room = Room {
    messages: 10_000,
    bytes: 64 << 20,
};
/// Events, but no records.
pub(crate) const NONE: Room = Room {
    messages: 0,
    bytes: 0,
};

/// A shard that was gained.
#[derive(Clone, Debug)]
pub(crate) struct Gain {
    pub(crate) shard: Shard,
    pub(crate) topic: Name,
    pub(crate) next: u128,
    pub(crate) notes: Bytes,
}

/// A raw subscriber and its other half.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) subscriber: Box<dyn Subscriber>,
    pub(crate) ack: Arc<dyn Ack>,
    lab: Lab,
    /// Received, and not asked for yet.
    waiting: VecDeque<Event>,
}

impl Lab {
    /// Subscribes raw, as a member of this group from the earliest record.
    pub(crate) async fn seat(
        &self,
        backend: &Arc<dyn Backend>,
        topic: &str,
        group: &str,
    ) -> Result<Seat, Failure> {
        self.open(backend, topic, Scope::Group(group.into()), Start::Earliest)
            .await
    }
    /// Subscribes raw.
    pub(crate) async fn open(
        &self,
        backend: &Arc<dyn Backend>,
        topic: &str,
        scope: Scope,
        start: Start,
    ) -> Result<Seat, Failure> {
        let source = Source {
            topics: vec![topic.into()],
            scope,
            start,
            exactly_once: false,
        };
        let (subscriber, ack) = self
            .within_time(self.takeover(), "subscribing", backend.subscribe(source))
            .await??;
        Ok(Seat {
            subscriber,
            ack,
            lab: self.clone(),
            waiting: VecDeque::new(),
        })
    }
}

impl Seat {
    /// Whatever comes next, in one call.
    pub(crate) async fn receive(&mut self, room: Room) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::new();
        let limit = self.lab.takeover();
        let receiving = self.subscriber.receive(room, &mut events);
        self.lab.within_time(limit, "an event", receiving).await??;
        ensure!(!events.is_empty(), "receive returned without an event");
        Ok(events)
    }
    /// The next event for which `pick` has an answer; the others before it are kept for later.
    pub(crate) async fn find<T>(
        &mut self,
        room: Room,
        what: &str,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> Result<T, Failure> {
        let mut at = 0;
        loop {
            while let Some(event) = self.waiting.get(at) {
                if let Some(found) = pick(event) {
                    self.waiting.remove(at);
                    return Ok(found);
                }
                at += 1;
            }
            let events = self
                .receive(room)
                .await
                .map_err(|f| f.context(format_args!("waiting for {what}")))?;
            let records = events.iter().any(|e| matches!(e, Event::Records { .. }));
            ensure!(
                room.messages > 0 || !records,
                "records were handed out without room"
            );
            self.waiting.extend(events);
        }
    }
    /// The next `count` shards that are gained, by partition.
    pub(crate) async fn gained(&mut self, count: usize) -> Result<Vec<Gain>, Failure> {
        let mut gains = Vec::with_capacity(count);
        while gains.len() < count {
            let what = format!("shard {} of {count} to be gained", gains.len() + 1);
            gains.push(self.gain(&what).await?);
        }
        gains.sort_by_key(|gain| gain.shard.partition);
        Ok(gains)
    }
    async fn gain(&mut self, what: &str) -> Result<Gain, Failure> {
        let gained = |event: &Event| match event {
            Event::Gained {
                shard,
                topic,
                next,
                notes,
            } => Some(Gain {
                shard: *shard,
                topic: topic.clone(),
                next: *next,
                notes: notes.clone(),
            }),
            _ => None,
        };
        self.find(NONE, what, gained).await
    }
    /// Waits until this shard is lost.
    pub(crate) async fn lost(&mut self, shard: Shard) -> Proof {
        let lost = |event: &Event| matches!(event, Event::Lost(lost) if *lost == shard).then_some(());
        self.find(NONE, "a shard to be lost", lost).await
    }
    /// The next records, at least `count`, in the order of their arrival.
    pub(crate) async fn records(&mut self, count: usize) -> Result<Vec<(Shard, Record)>, Failure> {
        let mut all = Vec::new();
        while all.len() < count {
            let what = format!("record {} of {count}", all.len() + 1);
            all.extend(self.find(MUCH, &what, records_of).await?);
        }
        Ok(all)
    }
    /// Commits these, and expects an answer for each.
    pub(crate) async fn commit(&mut self, done: Vec<Done>) -> Result<Vec<BusResult<()>>, Failure> {
        let count = done.len();
        let results = self.lab.within("a commit", self.ack.commit(done)).await?;
        ensure_eq!(results.len(), count, "answers of a commit");
        Ok(results)
    }
    /// Commits one, and expects it to be stored.
    pub(crate) async fn store(&mut self, done: Done) -> Proof {
        self.commit(vec![done])
            .await?
            .into_iter()
            .try_for_each(|r| r.map_err(Failure::from))
    }
    /// Commits one, and expects it to be refused.
    pub(crate) async fn refused(&mut self, what: &str, done: Done) -> Result<Error, Failure> {
        match self.commit(vec![done]).await?.pop() {
            Some(Err(error)) => Ok(error),
            other => Err(Failure::new(format_args!(
                "{what}: expected a refusal, got {other:?}"
            ))),
        }
    }
    /// Gives everything up and leaves.
    pub(crate) async fn close(&mut self) -> Proof {
        Ok(self.lab.within("closing", self.subscriber.close()).await??)
    }
}

/// The records of an event.
pub(crate) fn records_of(event: &Event) -> Option<Vec<(Shard, Record)>> {
    match event {
        Event::Records { shard, batch, range } => Some(
            range
                .clone()
                .map(|index| (*shard, Record::new(batch.clone(), index)))
                .collect(),
        ),
        _ => None,
    }
}

/// Everything below `next` is settled, and nothing beyond it.
pub(crate) fn done(shard: Shard, next: u128) -> Done {
    Done {
        shard,
        next,
        notes: Bytes::new(),
        outputs: Vec::new(),
    }
}
