//! Fire and forget: messages whose outcomes are counted instead of awaited.

mod adopted;

use crate::{Error, Message, Name, Pending, Unsent, delay::Delays, gate::Gate};
use adopted::Adopted;
use futures_util::{StreamExt, stream::FuturesUnordered};
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::{Notify, Semaphore, mpsc};

/// Messages taken and not yet passed to the gate: what a caller may be ahead of the broker, beside the gate's bound.
const QUEUE: u32 = 8_192;
/// Bytes that count as one more message, so that the queue's bound in bytes is 64 MiB.
const PIECE: usize = 8 << 10;
/// The most messages that go out as one batch.
const BATCH: usize = 1_000;
/// The most batches under way: the gate's bound counts messages, and each batch is a future here.
const BATCHES: usize = 64;
/// Failures that are kept for [`Bus::flush`](crate::Bus::flush); beyond that they are only counted.
const KEPT: usize = 16;

/// What became of enqueued messages that were not stored.
#[derive(Debug, Default)]
pub struct Unconfirmed {
    /// How many.
    pub messages: u64,
    /// The first of them, with their topics.
    pub errors: Vec<(Name, Unsent)>,
}

#[derive(Debug)]
pub(crate) struct Queue {
    sender: mpsc::UnboundedSender<(Name, Message)>,
    progress: Arc<Progress>,
    /// What was published without anybody who waits for it.
    adopted: Adopted,
}

#[derive(Debug)]
struct Progress {
    room: Semaphore,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    taken: u64,
    /// Up to which of `taken` every message has an outcome. Batches are answered in any order, so a count of answers
    /// would let a flush end with somebody else's.
    answered: u64,
    /// Batches behind that, and whether each has its outcomes; the first one's number.
    batches: VecDeque<(u64, bool)>,
    first: u64,
    failed: Unconfirmed,
    /// What adopted batches cost that have no outcome yet.
    out: u32,
    closed: bool,
    /// Nobody sends any more: the runtime is gone.
    dead: bool,
}

fn cost(messages: usize, bytes: usize) -> u32 {
    u32::try_from(messages.saturating_add(bytes / PIECE)).map_or(QUEUE, |cost| cost.min(QUEUE))
}

impl Queue {
    pub(crate) fn new(gate: Arc<Gate>, delays: Arc<Delays>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let progress = Arc::new(Progress::new());
        tokio::spawn(run(receiver, gate, delays, Sending(progress.clone())));
        Self {
            sender,
            progress,
            adopted: Adopted::default(),
        }
    }
    /// Takes a message; waits only while the queue is full. False: closed.
    pub(crate) async fn push(&self, topic: Name, message: Message) -> bool {
        let Ok(room) = self.progress.room.acquire_many(cost(1, message.size())).await else {
            return false;
        };
        room.forget();
        // Counted and sent at once, so that who closes has either waited for a message or refused it.
        let mut state = self.progress.state.lock();
        if state.closed {
            return false;
        }
        state.taken += 1;
        self.sender.send((topic, message)).is_ok()
    }
    /// Follows a batch that was published, so that nobody else has to. The answer waits only while too much is under way.
    pub(crate) fn adopt(&self, topic: &str, messages: usize, bytes: usize, pending: Pending) -> Pending {
        self.adopted.take(topic, messages, bytes, pending)
    }
    /// Waits until what was taken before has an outcome; what failed since the last call.
    pub(crate) async fn flush(&self) -> Unconfirmed {
        self.answered().await;
        self.unconfirmed()
    }
    async fn answered(&self) {
        self.progress.answered().await;
        if let Some(adopted) = self.adopted.progress() {
            adopted.answered().await;
        }
    }
    /// What failed since the last call.
    pub(crate) fn unconfirmed(&self) -> Unconfirmed {
        let mut failed = self.progress.failed();
        if let Some(adopted) = self.adopted.progress() {
            failed.add(adopted.failed());
        }
        failed
    }
    /// Takes no more, and waits for the rest.
    pub(crate) async fn close(&self) {
        self.progress.close();
        self.adopted.close();
        self.answered().await;
    }
}

impl Unconfirmed {
    fn add(&mut self, more: Self) {
        self.messages += more.messages;
        self.errors.extend(more.errors);
        self.errors.truncate(KEPT);
    }
}

impl Progress {
    fn new() -> Self {
        Self {
            room: Semaphore::new(QUEUE as usize),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }
    async fn answered(&self) {
        let goal = self.state.lock().taken;
        loop {
            let changed = self.changed.notified();
            {
                let state = self.state.lock();
                if state.answered >= goal || state.dead {
                    return;
                }
            }
            changed.await;
        }
    }
    fn failed(&self) -> Unconfirmed {
        std::mem::take(&mut self.state.lock().failed)
    }
    fn close(&self) {
        self.state.lock().closed = true;
        self.room.close();
    }
    /// A batch goes out: its number.
    fn sent(&self, messages: usize) -> u64 {
        let mut state = self.state.lock();
        state.batches.push_back((messages as u64, false));
        state.first + state.batches.len() as u64 - 1
    }
    async fn follow(self: Arc<Self>, publishing: Pending, topic: Name, batch: u64) {
        let outcomes = publishing.await;
        let mut state = self.state.lock();
        for unsent in outcomes.into_iter().filter_map(Result::err) {
            if state.failed.messages == 0 {
                tracing::warn!(topic = &*topic, error = %unsent, "an enqueued message was not stored");
            }
            state.failed.messages += 1;
            if state.failed.errors.len() < KEPT {
                state.failed.errors.push((topic.clone(), unsent));
            }
        }
        let index = (batch - state.first) as usize;
        state.batches[index].1 = true;
        while let Some((messages, _)) = state.batches.pop_front_if(|(_, answered)| *answered) {
            state.answered += messages;
            state.first += 1;
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

/// Held by the task that sends: when it goes away, also with its runtime, nobody is left waiting for it.
struct Sending(Arc<Progress>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.close();
        let mut state = self.0.state.lock();
        state.dead = true;
        let answered: u64 = state.batches.iter().filter(|b| b.1).map(|b| b.0).sum();
        let lost = state.taken - state.answered - answered;
        if lost > 0 {
            let why = Unsent::unknown(Error::closed("the runtime"));
            state.failed.messages += lost;
            state.failed.errors.push(("".into(), why));
        }
        drop(state);
        self.0.changed.notify_waiters();
    }
}

async fn run(
    mut receiver: mpsc::UnboundedReceiver<(Name, Message)>,
    gate: Arc<Gate>,
    delays: Arc<Delays>,
    sending: Sending,
) {
    let progress = &sending.0;
    let mut running = FuturesUnordered::new();
    let mut taken = Vec::new();
    loop {
        // While the gate is full, what waits stays in the queue, whose bound holds callers back. With nothing of our
        // own under way nobody would tell us that there is room again.
        let ready = running.is_empty() || (running.len() < BATCHES && !gate.is_full());
        tokio::select! {
            biased;
            Some(()) = running.next() => {}
            count = receiver.recv_many(&mut taken, BATCH), if ready => {
                if count == 0 {
                    break;
                }
                let room: u32 = taken.iter().map(|(_, message)| cost(1, message.size())).sum();
                progress.room.add_permits(room as usize);
                let mut messages = VecDeque::from(std::mem::take(&mut taken));
                while let Some((topic, first)) = messages.pop_front() {
                    let mut batch = vec![first];
                    while let Some((_, message)) = messages.pop_front_if(|(next, _)| *next == topic) {
                        batch.push(message);
                    }
                    let number = progress.sent(batch.len());
                    let publishing = delays.publish(&topic, batch);
                    running.push(progress.clone().follow(publishing, topic, number));
                }
            }
        }
    }
    while running.next().await.is_some() {}
}
