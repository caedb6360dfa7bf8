//! What the tests of this crate share.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use bus_core::{
    Ack, Backend, Done, Event, Message, Name, Outcome, Publisher, Receipt, Record, Result, Room, Scope,
    Shard, Source, Start, Subscriber, TopicSpec,
};
use bus_memory::{Memory, MemoryConfig};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

pub const T: &str = "orders";
pub const ALL: Room = Room {
    messages: 1_000_000,
    bytes: 1 << 30,
};
pub const NONE: Room = Room {
    messages: 0,
    bytes: 0,
};

pub async fn bus(partitions: u32) -> Memory {
    bus_with(partitions, MemoryConfig::default()).await
}

pub async fn bus_with(partitions: u32, config: MemoryConfig) -> Memory {
    let memory = Memory::with_config(config);
    create(&memory, TopicSpec::new(T).partitions(partitions)).await;
    memory
}

pub async fn create(memory: &Memory, spec: TopicSpec) {
    memory.admin().create(&[spec]).await.unwrap();
}

pub fn source(group: &str) -> Source {
    Source {
        topics: vec![Name::from(T)],
        scope: Scope::Group(Name::from(group)),
        start: Start::Earliest,
        exactly_once: false,
    }
}

pub fn everyone(start: Start) -> Source {
    Source {
        scope: Scope::Everyone { partitions: None },
        start,
        ..source("")
    }
}

/// A subscriber that keeps what it was told.
pub struct Member {
    pub subscriber: Box<dyn Subscriber>,
    pub ack: Arc<dyn Ack>,
}

pub async fn join(memory: &Memory, group: &str) -> Member {
    subscribe(memory, source(group)).await
}

pub async fn subscribe(memory: &Memory, source: Source) -> Member {
    let (subscriber, ack) = memory.subscribe(source).await.unwrap();
    Member { subscriber, ack }
}

impl Member {
    /// One call, or nothing where it waits.
    pub async fn receive(&mut self, room: Room) -> Vec<Event> {
        let mut events = Vec::new();
        let receive = self.subscriber.receive(room, &mut events);
        if let Ok(result) = timeout(Duration::ZERO, receive).await {
            result.unwrap();
        }
        events
    }
    /// Calls until there is nothing more.
    pub async fn drain(&mut self, room: Room) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let more = self.receive(room).await;
            if more.is_empty() {
                return events;
            }
            events.extend(more);
        }
    }
    pub fn commit(&self, shard: Shard, next: u128) -> impl Future<Output = Result<()>> + use<> {
        self.commit_with(shard, next, "", vec![])
    }
    pub fn commit_with(
        &self,
        shard: Shard,
        next: u128,
        notes: &'static str,
        outputs: Vec<(Name, Message)>,
    ) -> impl Future<Output = Result<()>> + use<> {
        let notes = notes.into();
        let done = Done {
            shard,
            next,
            notes,
            outputs,
        };
        let ack = self.ack.clone();
        async move { ack.commit(vec![done]).await.remove(0) }
    }
}

pub async fn publisher(memory: &Memory) -> Arc<dyn Publisher> {
    memory.publisher().await.unwrap()
}

pub async fn publish(memory: &Memory, messages: Vec<Message>) -> Vec<Receipt> {
    publish_to(memory, T, messages).await
}

pub async fn publish_to(memory: &Memory, topic: &str, messages: Vec<Message>) -> Vec<Receipt> {
    let outcomes = publisher(memory).await.publish_batch(topic, messages).await;
    outcomes.into_iter().map(|o| stored(o.unwrap())).collect()
}

pub fn stored(outcome: Outcome) -> Receipt {
    match outcome {
        Outcome::Stored(receipt) => receipt,
        other => panic!("not stored: {other:?}"),
    }
}

/// `n` messages for one partition, numbered.
pub fn numbered(partition: u32, numbers: std::ops::Range<u32>) -> Vec<Message> {
    let message = |n: u32| Message::new(n.to_string()).to_partition(partition);
    numbers.map(message).collect()
}

pub fn records(events: &[Event]) -> Vec<(Shard, Record)> {
    let of = |event: &Event| match event {
        Event::Records { shard, batch, range } => {
            let record = |at| (*shard, Record::new(batch.clone(), at));
            range.clone().map(record).collect()
        }
        _ => Vec::new(),
    };
    events.iter().flat_map(of).collect()
}

pub fn texts(events: &[Event]) -> Vec<String> {
    let text =
        |(_, r): &(Shard, Record)| String::from_utf8_lossy(r.payload().unwrap_or(b"null")).into_owned();
    records(events).iter().map(text).collect()
}

pub fn gained(events: &[Event]) -> Vec<(Shard, u128, String)> {
    let of = |event: &Event| match event {
        Event::Gained {
            shard, next, notes, ..
        } => Some((*shard, *next, String::from_utf8_lossy(notes).into_owned())),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

pub fn lost(events: &[Event]) -> Vec<Shard> {
    let of = |event: &Event| match event {
        Event::Lost(shard) => Some(*shard),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

pub fn losing(events: &[Event]) -> Vec<(Shard, Duration)> {
    let of = |event: &Event| match event {
        Event::Losing { shard, grace } => Some((*shard, *grace)),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

pub fn shards(events: &[Event]) -> Vec<Shard> {
    gained(events).into_iter().map(|(shard, ..)| shard).collect()
}
