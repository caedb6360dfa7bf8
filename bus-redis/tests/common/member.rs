//! One member of a group, with everything it was told.

use super::in_time;
use bus_core::{Ack, Backend, Bytes, Done, Event, Message, Record, Result, Room, Shard, Source, Subscriber};
use bus_redis::Redis;
use std::{collections::BTreeMap, sync::Arc};

pub const ROOM: Room = Room {
    messages: 1024,
    bytes: 16 * 1024 * 1024,
};

pub struct Member {
    pub subscriber: Box<dyn Subscriber>,
    pub ack: Arc<dyn Ack>,
    /// Shards that are ours, with the first position that was not delivered.
    pub owned: BTreeMap<u32, (Shard, u128)>,
    pub records: Vec<(Shard, Record)>,
    pub events: Vec<Event>,
}

impl Member {
    pub async fn join(backend: &Redis, source: Source) -> Self {
        let (subscriber, ack) = in_time(backend.subscribe(source)).await.unwrap();
        Self {
            subscriber,
            ack,
            owned: BTreeMap::new(),
            records: Vec::new(),
            events: Vec::new(),
        }
    }

    /// One `receive`.
    pub async fn step(&mut self, room: Room) -> Result<()> {
        let mut events = Vec::new();
        self.subscriber.receive(room, &mut events).await?;
        for event in events {
            match &event {
                Event::Gained { shard, next, .. } => {
                    assert!(
                        self.owned.insert(shard.partition, (*shard, *next)).is_none(),
                        "gained twice: {shard:?}"
                    );
                }
                Event::Lost(shard) => {
                    assert_eq!(
                        self.owned.remove(&shard.partition).map(|o| o.0),
                        Some(*shard),
                        "lost what was not ours"
                    );
                }
                Event::Records { shard, batch, range } => {
                    for index in range.clone() {
                        let record = Record::new(batch.clone(), index);
                        let owned = self
                            .owned
                            .get_mut(&shard.partition)
                            .expect("records of an owned shard");
                        assert_eq!(owned.0, *shard);
                        assert!(record.position() >= owned.1, "positions grow");
                        owned.1 = record.position() + 1;
                        self.records.push((*shard, record));
                    }
                    continue;
                }
                _ => {}
            }
            self.events.push(event);
        }
        Ok(())
    }

    /// Receives until `done` says so.
    #[track_caller]
    pub fn until(&mut self, done: impl Fn(&Member) -> bool) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let end = tokio::time::Instant::now() + super::DEADLINE;
            while !done(self) {
                match tokio::time::timeout_at(end, self.step(ROOM)).await {
                    Ok(result) => result.unwrap(),
                    Err(_) => panic!(
                        "gave up at {caller}: owned {:?}, {} records, events {:?}",
                        self.owned,
                        self.records.len(),
                        self.events
                    ),
                }
            }
        }
    }

    /// Receives while `future` runs.
    pub async fn during<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(in_time(future));
        loop {
            tokio::select! {
                output = &mut future => return output,
                result = self.step(ROOM) => result.unwrap(),
            }
        }
    }

    pub fn shard(&self, partition: u32) -> Shard {
        self.owned[&partition].0
    }

    /// Everything that was delivered of a shard, as a `Done`.
    pub fn done(&self, partition: u32) -> Done {
        let (shard, next) = self.owned[&partition];
        Done {
            shard,
            next,
            notes: Bytes::new(),
            outputs: Vec::new(),
        }
    }

    /// Settles everything that was delivered.
    pub async fn commit_all(&mut self) {
        let done = self.owned.keys().map(|p| self.done(*p)).collect();
        for result in in_time(self.ack.commit(done)).await {
            result.unwrap();
        }
    }

    pub fn messages(&self) -> Vec<Message> {
        self.records
            .iter()
            .map(|(_, record)| record.to_message())
            .collect()
    }
    pub fn payloads(&self) -> Vec<String> {
        self.records
            .iter()
            .map(|(_, r)| String::from_utf8_lossy(r.payload().unwrap_or_default()).into_owned())
            .collect()
    }
    pub fn saw(&self, pattern: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(pattern)
    }
    /// Notes and position of the last `Gained` of a partition.
    pub fn gained(&self, partition: u32) -> Option<(u128, Bytes)> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Gained {
                shard, next, notes, ..
            } if shard.partition == partition => Some((*next, notes.clone())),
            _ => None,
        })
    }
}

/// Messages that say their number.
pub fn numbered(from: usize, to: usize) -> Vec<Message> {
    (from..to).map(|i| Message::new(format!("{i}"))).collect()
}

/// The ranges of `DataLoss` that a member was told.
pub fn losses(member: &Member) -> Vec<(u128, u128)> {
    let loss = |e: &Event| match e {
        Event::DataLoss { from, to, .. } => Some((*from, *to)),
        _ => None,
    };
    member.events.iter().filter_map(loss).collect()
}
