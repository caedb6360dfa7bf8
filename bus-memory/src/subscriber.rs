//! Reading: what is urgent first, then a share of the room for each shard in turn.

use crate::{
    broadcast::Broadcast,
    cursor::Cursor,
    group::Group,
    hub::Hub,
    inbox::{Inbox, Notice},
};
use async_trait::async_trait;
use bus_core::{Error, Event, Result, Room, Shard, Start, Subscriber};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};
use tokio::time::Instant;

/// Records a shard may hand out in its turn at least: many shards must not cut the room into crumbs.
const TURN: usize = 64;

/// Where the subscriber has its shards from.
#[derive(Debug)]
pub(crate) enum Seat {
    Group { group: Arc<Group>, member: u64 },
    Everyone { number: u64, broadcast: Arc<Broadcast> },
}

#[derive(Debug)]
pub(crate) struct MemorySubscriber {
    hub: Arc<Hub>,
    seat: Seat,
    inbox: Arc<Inbox>,
    /// By epoch, which is never given twice.
    cursors: HashMap<u64, Cursor, foldhash::fast::RandomState>,
    /// Epochs of shards with something to read, in the order of their turns.
    ready: VecDeque<u64>,
    closed: bool,
}

impl MemorySubscriber {
    pub(crate) fn new(hub: Arc<Hub>, seat: Seat, inbox: Arc<Inbox>) -> Self {
        Self {
            hub,
            seat,
            inbox,
            cursors: HashMap::default(),
            ready: VecDeque::new(),
            closed: false,
        }
    }

    fn tick(&self) {
        if let Seat::Group { group, .. } = &self.seat
            && self.inbox.deadline().is_some_and(|at| at <= Instant::now())
        {
            group.tick(&self.hub);
        }
    }

    fn urgent(&mut self, events: &mut Vec<Event>) {
        let taken = self.inbox.take(&mut self.ready);
        for notice in taken.notices {
            self.apply(notice, events);
        }
        for epoch in taken.overtaken {
            if let Some(cursor) = self.cursors.get_mut(&epoch) {
                cursor.skip_missing(events);
            }
        }
    }

    fn apply(&mut self, notice: Notice, events: &mut Vec<Event>) {
        match notice {
            Notice::Gained(gain) => {
                let mut cursor = Cursor::new(&gain, &self.inbox);
                events.push(Event::Gained {
                    shard: gain.shard,
                    topic: gain.topic.name.clone(),
                    next: gain.next,
                    notes: gain.notes,
                });
                cursor.skip_missing(events);
                self.ready.push_back(gain.shard.epoch);
                self.cursors.insert(gain.shard.epoch, cursor);
            }
            Notice::Losing { shard, until } => {
                if let Some(cursor) = self.cursors.get_mut(&shard.epoch) {
                    cursor.losing = true;
                    let grace = until.saturating_duration_since(Instant::now());
                    events.push(Event::Losing { shard, grace });
                }
            }
            Notice::Lost(shard) => {
                if self.cursors.remove(&shard.epoch).is_some() {
                    events.push(Event::Lost(shard));
                }
            }
            Notice::TopicLost(topic) => events.push(Event::TopicLost(topic)),
            Notice::PartitionsChanged { topic, partitions } => {
                events.push(Event::PartitionsChanged { topic, partitions });
            }
        }
    }

    fn records(&mut self, mut room: Room, events: &mut Vec<Event>) {
        let now = self.hub.clock.millis();
        let mut alone = true;
        for waiting in (1..=self.ready.len()).rev() {
            if room.messages == 0 || room.bytes == 0 {
                return;
            }
            let Some(epoch) = self.ready.pop_front() else {
                return;
            };
            let Some(cursor) = self.cursors.get_mut(&epoch) else {
                continue;
            };
            if cursor.paused || cursor.losing {
                cursor.idle = true;
                continue;
            }
            let mut share = Room {
                messages: room.messages.div_ceil(waiting).max(TURN).min(room.messages),
                ..room
            };
            let offered = share.messages;
            if cursor.read(now, &mut share, &mut alone, events) {
                self.ready.push_back(epoch);
            }
            room.messages -= offered - share.messages;
            room.bytes = share.bytes;
        }
    }
}

#[async_trait]
impl Subscriber for MemorySubscriber {
    async fn receive(&mut self, room: Room, events: &mut Vec<Event>) -> Result<()> {
        if self.closed {
            return Err(Error::closed("subscriber"));
        }
        // A log that is never empty must not keep other tasks from running.
        tokio::task::coop::consume_budget().await;
        let before = events.len();
        let wants_records = room.messages > 0 && room.bytes > 0;
        loop {
            self.tick();
            self.urgent(events);
            if wants_records {
                self.records(room, events);
            }
            if events.len() > before {
                return Ok(());
            }
            self.inbox.wait(wants_records).await;
        }
    }

    fn pause(&mut self, shard: Shard, paused: bool) {
        let cursor = self.cursors.get_mut(&shard.epoch).filter(|c| c.shard == shard);
        if let Some(cursor) = cursor {
            cursor.paused = paused;
            if !paused && std::mem::take(&mut cursor.idle) {
                self.ready.push_back(shard.epoch);
            }
        }
    }

    async fn seek(&mut self, shard: Shard, to: Start) -> Result<()> {
        if self.closed {
            return Err(Error::closed("subscriber"));
        }
        match &self.seat {
            Seat::Group { group, member } => group.seek(&self.hub, *member, shard, &to),
            Seat::Everyone { broadcast, .. } => broadcast.seek(&self.hub, shard, &to),
        }
    }

    async fn close(&mut self) -> Result<()> {
        if !std::mem::replace(&mut self.closed, true) {
            match &self.seat {
                Seat::Group { group, member } => group.leave(&self.hub, *member),
                Seat::Everyone { number, .. } => drop(self.hub.broadcasts.lock().remove(number)),
            }
            self.cursors.clear();
            self.ready.clear();
        }
        Ok(())
    }
}

impl Drop for MemorySubscriber {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        match &self.seat {
            Seat::Group { group, member } => group.vanish(&self.hub, *member),
            Seat::Everyone { number, .. } => drop(self.hub.broadcasts.lock().remove(number)),
        }
    }
}
