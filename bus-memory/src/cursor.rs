//! One shard as its subscriber reads it.

use crate::{
    inbox::{Gain, Inbox},
    log::Log,
    topic::{Partition, Topic},
    wakes::Wakes,
};
use bus_core::{Event, Room, Shard};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) shard: Shard,
    pub(crate) topic: Arc<Topic>,
    pub(crate) partition: Arc<Partition>,
    next: u128,
    /// The end seen at the beginning, until it has been reached.
    catch_up: Option<u128>,
    pub(crate) paused: bool,
    /// Has to leave: nothing more is handed out.
    pub(crate) losing: bool,
    /// Skipped while it was paused, so it is in no queue.
    pub(crate) idle: bool,
}

impl Cursor {
    pub(crate) fn new(gain: &Gain, inbox: &Arc<Inbox>) -> Self {
        let mut log = gain.partition.log.lock();
        log.register(gain.shard.epoch, gain.next, inbox.clone());
        Self {
            shard: gain.shard,
            topic: gain.topic.clone(),
            partition: gain.partition.clone(),
            next: gain.next,
            catch_up: Some(gain.end),
            paused: false,
            losing: false,
            idle: false,
        }
    }

    /// Reports positions that were removed before they were read.
    pub(crate) fn skip_missing(&mut self, events: &mut Vec<Event>) {
        let partition = self.partition.clone();
        self.skip_missing_in(&mut partition.log.lock(), events);
    }

    fn skip_missing_in(&mut self, log: &mut Log, events: &mut Vec<Event>) {
        let (from, to) = (self.next, log.first());
        if from < to && !self.losing {
            self.next = to;
            log.told(self.shard.epoch, to);
            events.push(Event::DataLoss {
                shard: self.shard,
                from,
                to,
            });
        }
    }

    /// Hands out as many records as `room` has. Whether there may be more without a new publish.
    pub(crate) fn read(
        &mut self,
        now: i64,
        room: &mut Room,
        alone: &mut bool,
        events: &mut Vec<Event>,
    ) -> bool {
        let mut wakes = Wakes::default();
        let _gone = self.topic.expire(&self.partition, now, &mut wakes);
        let (shard, partition) = (self.shard, self.partition.clone());
        let mut log = partition.log.lock();
        // Under the lock under which it is read: what goes in between would be passed without a word.
        self.skip_missing_in(&mut log, events);
        let next = log.read(self.next, room, alone, |batch, range| {
            events.push(Event::Records { shard, batch, range });
        });
        self.next = next;
        let at_end = log.moved(shard.epoch, next);
        drop(log);
        if self.catch_up.take_if(|end| *end <= next).is_some() {
            events.push(Event::CaughtUp(shard));
        }
        !at_end
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.partition.log.lock().deregister(self.shard.epoch);
    }
}
