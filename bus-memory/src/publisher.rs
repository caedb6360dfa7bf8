//! Storing messages.

use crate::{
    hub::Hub,
    queue::{LOOK, Outcomes, Taken, Ticket, Waiting},
    stock::footprint_of,
    topic::{Partition, Topic},
    wakes::Wakes,
};
use async_trait::async_trait;
use bus_core::{Error, Message, Outcome, Pending, Publisher, Receipt, Result, Unsent};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};
use tokio::time::{Instant, timeout_at};

/// Messages without a key that go to the same partition before the next one has its turn.
const RUN: u32 = 64;

#[derive(Debug)]
pub(crate) struct MemoryPublisher {
    hub: Arc<Hub>,
    number: u64,
    closed: AtomicBool,
    taken: Arc<Taken>,
}

/// What became of a single message.
#[derive(Debug)]
enum Placed {
    Stored(Receipt),
    NoRoom(Arc<Topic>, Arc<Partition>),
}

impl MemoryPublisher {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self {
            number: hub.number(),
            hub,
            closed: AtomicBool::new(false),
            taken: Arc::default(),
        }
    }

    /// A single message is the common case, and needs no plan.
    fn one(&self, topic: &str, message: Message) -> Pending {
        let limit = self.hub.config.message_limit();
        let stored = self.hub.with_topic(topic, |topic, partitions| {
            let count = partitions.len() as u32;
            let turn = message.key.is_none().then(|| topic.turn());
            let place = topic.place(&message, count, turn.unwrap_or(0), limit)?;
            let partition = &partitions[place as usize];
            if topic.queue.is_empty() && topic.stock.reserve(1, footprint_of(&message)) {
                let receipt = store(topic, partition, self.hub.clock.millis(), &message);
                return Ok(Placed::Stored(receipt));
            }
            Ok(Placed::NoRoom(topic.clone(), partition.clone()))
        });
        match stored.flatten() {
            Ok(Placed::Stored(receipt)) => answer(vec![Ok(Outcome::Stored(receipt))]),
            Ok(Placed::NoRoom(topic, partition)) => {
                let waiting = vec![(partition, 0, message)];
                self.wait(&topic, vec![Ok(Outcome::Disabled)], waiting)
            }
            Err(error) => refuse(1, &error),
        }
    }

    fn many(&self, topic: &Arc<Topic>, batch: Vec<Message>) -> Pending {
        let limit = self.hub.config.message_limit();
        let mut outcomes = Outcomes::with_capacity(batch.len());
        let mut plan = Vec::with_capacity(batch.len());
        let mut bytes = 0;
        let partitions = topic.partitions();
        let (mut turn, mut run) = (topic.turn(), 0);
        for (index, message) in batch.iter().enumerate() {
            if message.key.is_none() && message.partition.is_none() {
                run += 1;
                if run % RUN == 0 {
                    turn = topic.turn();
                }
            }
            match topic.place(message, partitions.len() as u32, turn, limit) {
                Ok(partition) => {
                    plan.push((partition, index as u32));
                    bytes += footprint_of(message);
                    // Replaced below, or by the queue.
                    outcomes.push(Ok(Outcome::Disabled));
                }
                Err(error) => outcomes.push(Err(Unsent::not_stored(error))),
            }
        }
        if !topic.queue.is_empty() || !topic.stock.reserve(plan.len(), bytes) {
            let mut batch: Vec<_> = batch.into_iter().map(Some).collect();
            let waiting = plan.into_iter().filter_map(|(partition, index)| {
                let message = batch[index as usize].take()?;
                Some((partitions[partition as usize].clone(), index as usize, message))
            });
            return self.wait(topic, outcomes, waiting.collect());
        }
        // One lock a partition; the index keeps the order inside.
        plan.sort_unstable();
        let now = self.hub.clock.millis();
        for run in plan.chunk_by(|a, b| a.0 == b.0) {
            let number = run[0].0;
            let partition = &partitions[number as usize];
            let mut wakes = Wakes::default();
            let gone = topic.expire(partition, now, &mut wakes);
            let mut log = partition.log.lock();
            for (_, index) in run {
                let position = Some(log.append(now, &batch[*index as usize]));
                outcomes[*index as usize] = Ok(Outcome::Stored(Receipt {
                    partition: number,
                    position,
                }));
            }
            log.alarm(&mut wakes);
            drop(log);
            drop(gone);
        }
        answer(outcomes)
    }

    fn wait(
        &self,
        topic: &Arc<Topic>,
        outcomes: Outcomes,
        messages: Vec<(Arc<Partition>, usize, Message)>,
    ) -> Pending {
        if messages.is_empty() {
            return answer(outcomes);
        }
        let (ticket, mut answer) = Ticket::new(outcomes, messages.len(), self.taken.clone());
        let deadline = Instant::now() + self.hub.config.publish_timeout;
        let waiting = messages.into_iter().map(|(partition, index, message)| Waiting {
            message,
            partition,
            index,
            ticket: ticket.clone(),
            publisher: self.number,
            deadline,
        });
        topic.enqueue(&self.hub, waiting);
        let (hub, topic) = (self.hub.clone(), topic.clone());
        Pending::new(async move {
            loop {
                let look = if topic.has_retention() {
                    deadline.min(Instant::now() + LOOK)
                } else {
                    deadline
                };
                match timeout_at(look, &mut answer).await {
                    Ok(outcomes) => return outcomes.unwrap_or_default(),
                    Err(_) => topic.serve_queue(&hub),
                }
            }
        })
    }
}

#[async_trait]
impl Publisher for MemoryPublisher {
    fn publish_batch(&self, topic: &str, mut batch: Vec<Message>) -> Pending {
        if self.closed.load(SeqCst) {
            return refuse(batch.len(), &Error::closed("publisher"));
        }
        if batch.len() == 1
            && let Some(message) = batch.pop()
        {
            return self.one(topic, message);
        }
        match self.hub.topic(topic) {
            Ok(topic) => self.many(&topic, batch),
            Err(error) => refuse(batch.len(), &error),
        }
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, SeqCst);
        self.taken.all_answered().await;
        Ok(())
    }
}

fn store(topic: &Topic, partition: &Partition, now: i64, message: &Message) -> Receipt {
    // Dropped last, so that freed batches and woken readers do not hold up the next publish.
    let mut wakes = Wakes::default();
    let _gone = topic.expire(partition, now, &mut wakes);
    let mut log = partition.log.lock();
    let position = Some(log.append(now, message));
    log.alarm(&mut wakes);
    drop(log);
    Receipt {
        partition: partition.number,
        position,
    }
}

fn refuse(messages: usize, error: &Error) -> Pending {
    let refused = (0..messages).map(|_| Err(Unsent::not_stored(error.duplicate())));
    answer(refused.collect())
}

fn answer(outcomes: Outcomes) -> Pending {
    Pending::ready(outcomes)
}
