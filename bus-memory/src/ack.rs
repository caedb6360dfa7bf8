//! Settling: outputs, position and notes of a shard take effect under the group's lock, or not at all.

use crate::{
    group::{Group, not_owner},
    hub::Hub,
    queue::{self, InLine},
    stock::footprint_of,
    topic::{Partition, Topic},
    wakes::Wakes,
};
use async_trait::async_trait;
use bus_core::{Ack, Done, Error, ErrorKind, Message, Name, Result, Shard};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    pin::pin,
    sync::Arc,
};
use tokio::time::{Instant, timeout_at};

/// Bytes of notes that a commit may carry, as on Redis.
pub(crate) const MAX_NOTES: usize = 65_536;

#[derive(Debug)]
pub(crate) struct MemberAck {
    pub(crate) hub: Arc<Hub>,
    pub(crate) group: Arc<Group>,
    pub(crate) member: u64,
    pub(crate) topics: Vec<Arc<Topic>>,
}

/// An output whose place is known.
#[derive(Debug)]
struct Output<'a> {
    topic: Arc<Topic>,
    partition: Arc<Partition>,
    message: &'a Message,
    /// The group reads this topic too: waiting for room would wait for the group itself.
    own: bool,
}

#[async_trait]
impl Ack for MemberAck {
    async fn commit(&self, done: Vec<Done>) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(done.len());
        for done in &done {
            results.push(self.settle(done).await);
        }
        results
    }
    async fn release(&self, shard: Shard) -> Result<()> {
        self.group.release(&self.hub, self.member, shard);
        Ok(())
    }
}

impl MemberAck {
    async fn settle(&self, done: &Done) -> Result<()> {
        let outputs = self.outputs(&done.outputs)?;
        let deadline = Instant::now() + self.hub.config.publish_timeout;
        let mut lines = Vec::new();
        while let Some(full) = self.store(done, &outputs)? {
            if Instant::now() >= deadline {
                let slowest = self.hub.slowest(&full);
                return Err(Error::unavailable(queue::full(&full.name, slowest.as_deref())));
            }
            if !lines.iter().any(|line: &InLine| line.is_for(&full)) {
                lines.push(InLine::new(self.hub.clone(), full.clone()));
            }
            self.wait_for_room(&full, &outputs, deadline).await;
        }
        if let Some(topic) = self.topics.get(done.shard.topic as usize)
            && !topic.queue.is_empty()
        {
            topic.serve_queue(&self.hub);
        }
        Ok(())
    }

    fn outputs<'a>(&self, outputs: &'a [(Name, Message)]) -> Result<Vec<Output<'a>>> {
        let place = |(name, message): &'a (Name, Message)| {
            let topic = self.hub.topic(name)?;
            let number = topic.place(
                message,
                topic.count(),
                topic.turn(),
                self.hub.config.message_limit(),
            )?;
            Ok(Output {
                partition: topic
                    .partition(number)
                    .ok_or_else(|| Error::topic_missing(name))?,
                own: self.topics.iter().any(|t| Arc::ptr_eq(t, &topic)),
                topic,
                message,
            })
        };
        outputs.iter().map(place).collect()
    }

    /// All checks, then all writes. Answers the topic that has no room for an output; nothing is stored then.
    fn store(&self, done: &Done, outputs: &[Output<'_>]) -> Result<Option<Arc<Topic>>> {
        let hub = &*self.hub;
        let shard = done.shard;
        let mut wakes = Wakes::default();
        let mut state = self.group.state.lock();
        state.expire(hub, &mut wakes);
        let (_, topic, slot) = state.owned(self.member, shard).ok_or_else(|| not_owner(shard))?;
        let mark = fingerprint(&done.outputs);
        let Some(owner) = &mut slot.owner else {
            return Err(not_owner(shard));
        };
        if owner.outputs == Some(mark) && slot.next == done.next && slot.notes == done.notes {
            return Ok(None);
        }
        check(done, slot.next, &topic)?;
        for (at, output) in outputs.iter().enumerate() {
            let bytes = footprint_of(output.message);
            if output.own {
                output.topic.stock.force(1, bytes);
            } else if !output.topic.stock.reserve(1, bytes) {
                for reserved in &outputs[..at] {
                    reserved.topic.stock.release(1, footprint_of(reserved.message));
                }
                return Ok(Some(output.topic.clone()));
            }
        }
        let now = hub.clock.millis();
        for output in outputs {
            let mut log = output.partition.log.lock();
            log.append(now, output.message);
            log.alarm(&mut wakes);
        }
        owner.outputs = Some(mark);
        slot.next = done.next;
        slot.notes = done.notes.clone();
        Ok(None)
    }

    /// Returns when another try may succeed, or the shard may have been lost in the meantime.
    async fn wait_for_room(&self, full: &Topic, outputs: &[Output<'_>], deadline: Instant) {
        let mut room = pin!(full.queue.room.notified());
        room.as_mut().enable();
        let mine = outputs.iter().filter(|o| std::ptr::eq(&*o.topic, full));
        let sizes: Vec<usize> = mine.map(|o| footprint_of(o.message)).collect();
        if !full.make_room(&self.hub, sizes.len(), sizes.iter().sum()) {
            let _ = timeout_at(deadline.min(Instant::now() + queue::LOOK), room).await;
        }
    }
}

fn check(done: &Done, stored: u128, topic: &Topic) -> Result<()> {
    if done.notes.len() > MAX_NOTES {
        let (size, limit) = (done.notes.len(), MAX_NOTES);
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("notes of {size} bytes are over the limit of {limit} bytes"),
        ));
    }
    let partition = done.shard.partition;
    if done.next < stored {
        return Err(Error::invalid(format!(
            "position of topic `{}` partition {partition} cannot go back from {stored} to {}; use `seek`",
            topic.name, done.next
        )));
    }
    let end = topic.partition(partition).map_or(0, |p| p.bounds().1);
    if done.next > end {
        return Err(Error::invalid(format!(
            "position {} of topic `{}` partition {partition} is behind its end {end}",
            done.next, topic.name
        )));
    }
    Ok(())
}

/// Tells a commit that is sent again from one that only looks like it, without keeping its messages.
fn fingerprint(outputs: &[(Name, Message)]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (topic, m) in outputs {
        (topic, &m.key, &m.payload, m.timestamp, m.partition).hash(&mut hasher);
        m.headers.iter().for_each(|header| header.hash(&mut hasher));
    }
    hasher.finish()
}
