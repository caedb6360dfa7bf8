//! Publishes that wait for room, and how room is made.

use crate::{
    Full,
    hub::Hub,
    log::Segment,
    stock::footprint_of,
    topic::{Partition, Topic},
    wakes::Wakes,
};
use bus_core::{Error, ErrorKind, Message, Outcome, Receipt, Unsent};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

/// How often who waits looks by himself, for what nobody tells: records that grow too old, an ownership that ends.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// Milliseconds between two warnings about one topic.
const WARN_EVERY: i64 = 30_000;

/// What a publish answers.
pub(crate) type Outcomes = Vec<Result<Outcome, Unsent>>;

/// The answers of one batch of which a part waits.
#[derive(Debug)]
pub(crate) struct Ticket {
    answers: Mutex<Answers>,
    taken: Arc<Taken>,
}

#[derive(Debug)]
struct Answers {
    outcomes: Outcomes,
    left: usize,
    reply: Option<oneshot::Sender<Outcomes>>,
}

/// Batches that a publisher has taken and not answered.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    batches: AtomicUsize,
    changed: Notify,
}

impl Taken {
    pub(crate) async fn all_answered(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.batches.load(SeqCst) == 0 {
                return;
            }
            changed.await;
        }
    }
}

impl Ticket {
    /// A ticket for the outcomes of which `left` are not known yet.
    pub(crate) fn new(
        outcomes: Outcomes,
        left: usize,
        taken: Arc<Taken>,
    ) -> (Arc<Self>, oneshot::Receiver<Outcomes>) {
        let (reply, answer) = oneshot::channel();
        taken.batches.fetch_add(1, SeqCst);
        let answers = Mutex::new(Answers {
            outcomes,
            left,
            reply: Some(reply),
        });
        (Arc::new(Self { answers, taken }), answer)
    }
    fn answer(&self, index: usize, outcome: Result<Outcome, Unsent>) {
        let mut answers = self.answers.lock();
        answers.outcomes[index] = outcome;
        answers.left -= 1;
        if answers.left > 0 {
            return;
        }
        if let Some(reply) = answers.reply.take() {
            // The caller may have gone; the messages are stored all the same.
            let _ = reply.send(std::mem::take(&mut answers.outcomes));
        }
        self.taken.batches.fetch_sub(1, SeqCst);
        self.taken.changed.notify_waiters();
    }
}

/// A message that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) message: Message,
    pub(crate) partition: Arc<Partition>,
    pub(crate) index: usize,
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) publisher: u64,
    pub(crate) deadline: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<VecDeque<Waiting>>,
    /// Messages in the queue, read without its lock by who would overtake them.
    messages: AtomicUsize,
    /// Commits that wait for room for their outputs.
    commits: AtomicUsize,
    /// Room may be there again.
    pub(crate) room: Notify,
    /// When the log said last that publishes wait, in milliseconds: under steady back-pressure each of them does.
    warned: AtomicI64,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.load(SeqCst) == 0 && self.commits.load(SeqCst) == 0
    }
    fn may_warn(&self, now: i64) -> bool {
        let may = now - self.warned.load(SeqCst) > WARN_EVERY;
        if may {
            self.warned.store(now, SeqCst);
        }
        may
    }
}

/// A commit waits for room. It goes before publishes, because it holds up a reader and they do not.
#[derive(Debug)]
pub(crate) struct InLine {
    hub: Arc<Hub>,
    topic: Arc<Topic>,
}

impl InLine {
    pub(crate) fn new(hub: Arc<Hub>, topic: Arc<Topic>) -> Self {
        topic.queue.commits.fetch_add(1, SeqCst);
        Self { hub, topic }
    }
    pub(crate) fn is_for(&self, topic: &Arc<Topic>) -> bool {
        Arc::ptr_eq(&self.topic, topic)
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        self.topic.queue.commits.fetch_sub(1, SeqCst);
        self.topic.serve_queue(&self.hub);
    }
}

impl Topic {
    /// Puts messages in line, in order, and stores what there is room for.
    pub(crate) fn enqueue(&self, hub: &Hub, messages: impl Iterator<Item = Waiting>) {
        let mut wakes = Wakes::default();
        let mut gone = Vec::new();
        let mut waiting = self.queue.waiting.lock();
        let before = waiting.len();
        waiting.extend(messages);
        // Before the groups are looked at: a commit that comes too late for that look sees the count.
        self.queue.messages.fetch_add(waiting.len() - before, SeqCst);
        self.serve(hub, &mut waiting, &mut wakes, &mut gone);
        if !waiting.is_empty() && self.queue.may_warn(hub.clock.millis()) {
            tracing::warn!(
                topic = &*self.name,
                holding = hub.slowest(self).as_deref().unwrap_or("none"),
                "topic is full: publishes wait until the group settles what it holds back"
            );
        }
    }

    /// Stores what waits, as far as there is room or room can be made.
    pub(crate) fn serve_queue(&self, hub: &Hub) {
        let mut wakes = Wakes::default();
        let mut gone = Vec::new();
        let mut waiting = self.queue.waiting.lock();
        self.serve(hub, &mut waiting, &mut wakes, &mut gone);
        drop(waiting);
        self.queue.room.notify_waiters();
    }

    /// Makes room for outputs that a commit wants to store; whether it is worth another try.
    pub(crate) fn make_room(&self, hub: &Hub, messages: usize, bytes: usize) -> bool {
        let mut wakes = Wakes::default();
        let mut gone = Vec::new();
        let _order = self.queue.waiting.lock();
        self.free(hub, messages, bytes, &mut wakes, &mut gone)
    }

    /// Answers everything that waits: the topic is gone.
    pub(crate) fn dissolve(&self) {
        let waiting = std::mem::take(&mut *self.queue.waiting.lock());
        self.queue.messages.fetch_sub(waiting.len(), SeqCst);
        for w in waiting {
            let error = Error::topic_missing(&self.name);
            w.ticket.answer(w.index, Err(Unsent::not_stored(error)));
        }
        self.queue.room.notify_waiters();
    }

    fn serve(&self, hub: &Hub, waiting: &mut VecDeque<Waiting>, wakes: &mut Wakes, gone: &mut Vec<Segment>) {
        let now = hub.clock.millis();
        while let Some(head) = waiting.front() {
            if head.deadline <= Instant::now() {
                self.give_up(hub, waiting);
                continue;
            }
            if self.queue.commits.load(SeqCst) > 0 {
                return;
            }
            let bytes = footprint_of(&head.message);
            if !self.stock.reserve(1, bytes) {
                if self.free(hub, 1, bytes, wakes, gone) {
                    continue;
                }
                return;
            }
            if let Some(w) = waiting.pop_front() {
                self.queue.messages.fetch_sub(1, SeqCst);
                let mut log = w.partition.log.lock();
                let position = Some(log.append(now, &w.message));
                log.alarm(wakes);
                drop(log);
                let partition = w.partition.number;
                w.ticket
                    .answer(w.index, Ok(Outcome::Stored(Receipt { partition, position })));
            }
        }
    }

    /// Fails the head, whose time is over, and what its publisher sent behind it to the same partition: stored now, it
    /// would be out of order when the head is sent again.
    fn give_up(&self, hub: &Hub, waiting: &mut VecDeque<Waiting>) {
        let Some(head) = waiting.pop_front() else { return };
        let behind =
            |w: &Waiting| w.publisher == head.publisher && w.partition.number == head.partition.number;
        let (failed, rest): (VecDeque<_>, _) = waiting.drain(..).partition(behind);
        *waiting = rest;
        self.queue.messages.fetch_sub(1 + failed.len(), SeqCst);
        let slowest = hub.slowest(self);
        for w in std::iter::once(&head).chain(&failed) {
            let error = Error::new(ErrorKind::Unavailable, full(&self.name, slowest.as_deref()));
            w.ticket.answer(w.index, Err(Unsent::not_stored(error)));
        }
    }

    /// Drops records so that so much more fits: what is too old, what compaction finds, what every group has settled,
    /// and with [`Full::DropOldest`] what is oldest. Whether anything was dropped.
    fn free(
        &self,
        hub: &Hub,
        messages: usize,
        bytes: usize,
        wakes: &mut Wakes,
        gone: &mut Vec<Segment>,
    ) -> bool {
        let partitions = self.partitions();
        let held = self.stock.held();
        let now = hub.clock.millis();
        for partition in &partitions {
            gone.extend(self.expire(partition, now, wakes));
        }
        let floors = hub.floors(self, &partitions);
        if self.compact() {
            self.compact_all(&partitions, floors.as_deref(), gone);
        } else {
            // Without a group nobody is waited for.
            let ends = || partitions.iter().map(|p| p.bounds().1).collect();
            let settled = floors.unwrap_or_else(ends);
            self.drop_oldest(&partitions, &settled, (messages, bytes), wakes, gone);
            if hub.config.when_full == Full::DropOldest {
                self.drop_oldest(&partitions, &ends(), (messages, bytes), wakes, gone);
            }
        }
        self.stock.held() < held
    }

    /// Drops the oldest records below `floors` until so much more fits, and a little more so that the next publish finds
    /// room without a search.
    fn drop_oldest(
        &self,
        partitions: &[Arc<Partition>],
        floors: &[u128],
        (messages, bytes): (usize, usize),
        wakes: &mut Wakes,
        gone: &mut Vec<Segment>,
    ) {
        if self.stock.missing(messages, bytes) == (0, 0) {
            return;
        }
        let (messages, bytes) = (
            messages + self.stock.max_messages() / 64,
            bytes + self.stock.max_bytes() / 64,
        );
        loop {
            let (over, over_bytes) = self.stock.missing(messages, bytes);
            if (over, over_bytes) == (0, 0) {
                return;
            }
            let candidates = partitions.iter().zip(floors).filter_map(|(partition, floor)| {
                let log = partition.log.lock();
                let oldest = log.oldest().filter(|_| log.first() < *floor)?;
                Some((oldest, partition.number, partition, *floor))
            });
            let Some((.., partition, floor)) = candidates.min_by_key(|c| (c.0, c.1)) else {
                return;
            };
            // A share, so that one search serves many records and still the oldest of all partitions go.
            let (held, held_bytes) = self.stock.held();
            let over = over.max(over_bytes / (held_bytes / held.max(1)).max(1));
            let share = (over / (4 * partitions.len())).max(1);
            let mut log = partition.log.lock();
            let to = log.nth(share).min(floor);
            gone.extend(log.trim(to, wakes));
        }
    }
}

/// What a publish or a commit says that waited too long.
pub(crate) fn full(topic: &str, slowest: Option<&str>) -> String {
    match slowest {
        Some(group) => format!(
            "topic `{topic}` is full; group `{group}` holds it back: let it settle, delete it, or raise the limit"
        ),
        None => format!("topic `{topic}` is full; raise its limit"),
    }
}
