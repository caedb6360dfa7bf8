//! What bounds publishing: so many messages and bytes in flight, in the order of the calls.

use crate::{Error, Message, Outcome, Pending, Publisher, Unsent};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{runtime::Handle, sync::oneshot};

/// Messages published and not confirmed, at most: enough for any broker's pipeline, bounded for memory.
pub(crate) const MESSAGES: usize = 65_536;
/// Bytes of the same.
pub(crate) const BYTES: usize = 64 << 20;

pub(crate) struct Gate {
    publisher: Arc<dyn Publisher>,
    /// Where to wait for what nobody waits for: futures may be dropped outside of any runtime.
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    messages: usize,
    bytes: usize,
    /// Taken and not passed on, in call order. What is here waits for room, so later calls must wait behind it.
    queue: VecDeque<Queued>,
    passing: bool,
    /// No more to come: what waits is not held back for room any longer.
    closing: bool,
}

struct Queued {
    topic: String,
    batch: Vec<Message>,
    size: (usize, usize),
    reply: oneshot::Sender<Pending>,
}

impl State {
    /// A batch larger than the whole bound passes alone.
    fn fits(&self, (messages, bytes): (usize, usize)) -> bool {
        self.messages == 0
            || self.closing
            || (self.messages + messages <= MESSAGES && self.bytes + bytes <= BYTES)
    }
}

impl Gate {
    /// Inside a tokio runtime only.
    pub(crate) fn new(publisher: Arc<dyn Publisher>) -> Arc<Self> {
        Arc::new(Self {
            publisher,
            runtime: Handle::current(),
            state: Mutex::default(),
        })
    }
    /// Publishes now, or when there is room; calls keep their order.
    pub(crate) fn publish(self: &Arc<Self>, topic: &str, batch: Vec<Message>) -> Publishing {
        let size = (batch.len(), batch.iter().map(Message::size).sum());
        let mut state = self.state.lock();
        let stage = if state.queue.is_empty() && !state.passing && state.fits(size) {
            state.messages += size.0;
            state.bytes += size.1;
            drop(state);
            match self.publisher.publish_batch(topic, batch).now() {
                Ok(outcomes) => {
                    self.release(size);
                    Stage::Known(outcomes)
                }
                Err(pending) => Stage::Sent(pending),
            }
        } else {
            let (reply, answer) = oneshot::channel();
            state.queue.push_back(Queued {
                topic: topic.to_owned(),
                batch,
                size,
                reply,
            });
            Stage::Queued(answer)
        };
        Publishing {
            stage,
            gate: self.clone(),
            size,
        }
    }
    /// Whether something waits for room.
    pub(crate) fn is_full(&self) -> bool {
        !self.state.lock().queue.is_empty()
    }
    /// Passes on everything that waits, room or not: the publisher is about to be closed, and whoever holds an answer
    /// without looking at it must not be able to hold that up.
    pub(crate) fn close(self: &Arc<Self>) {
        self.state.lock().closing = true;
        self.release((0, 0));
    }
    /// Takes room back and passes on what waited for it, in order. Whoever is passing goes on for everybody.
    fn release(self: &Arc<Self>, (messages, bytes): (usize, usize)) {
        let mut state = self.state.lock();
        state.messages -= messages;
        state.bytes -= bytes;
        if state.queue.is_empty() || std::mem::replace(&mut state.passing, true) {
            return;
        }
        // Answers are looked at and dropped anywhere; publishers are called inside a runtime only.
        let _runtime = self.runtime.enter();
        while let Some(next) = state.queue.pop_front() {
            if !state.fits(next.size) {
                state.queue.push_front(next);
                break;
            }
            state.messages += next.size.0;
            state.bytes += next.size.1;
            drop(state);
            let pending = self.publisher.publish_batch(&next.topic, next.batch);
            if let Err(pending) = next.reply.send(pending) {
                // Its caller went away: the message is on its way all the same, and its room comes back with the answer.
                self.follow(pending, next.size);
            }
            state = self.state.lock();
        }
        state.passing = false;
    }
    /// Waits for a batch that nobody waits for.
    fn follow(self: &Arc<Self>, pending: Pending, size: (usize, usize)) {
        let room = Room {
            gate: self.clone(),
            size,
        };
        self.runtime.spawn(async move {
            pending.await;
            drop(room);
        });
    }
}

/// Room that comes back however the wait for it ends: also with a runtime that is shut down.
struct Room {
    gate: Arc<Gate>,
    size: (usize, usize),
}

impl Drop for Room {
    fn drop(&mut self) {
        self.gate.release(self.size);
    }
}

enum Stage {
    Queued(oneshot::Receiver<Pending>),
    Sent(Pending),
    Known(Vec<Result<Outcome, Unsent>>),
    Over,
}

/// A batch on its way. Dropping it cancels nothing.
pub(crate) struct Publishing {
    stage: Stage,
    gate: Arc<Gate>,
    size: (usize, usize),
}

impl Publishing {
    pub(crate) fn into_pending(mut self) -> Pending {
        match &mut self.stage {
            Stage::Known(outcomes) => Pending::ready(std::mem::take(outcomes)),
            _ => Pending::new(self),
        }
    }
}

impl Future for Publishing {
    type Output = Vec<Result<Outcome, Unsent>>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.stage {
                Stage::Queued(answer) => match ready!(Pin::new(answer).poll(cx)) {
                    Ok(pending) => self.stage = Stage::Sent(pending),
                    Err(_) => {
                        self.stage = Stage::Over;
                        let closed = |_| Err(Unsent::not_stored(Error::closed("the publisher")));
                        return Poll::Ready((0..self.size.0).map(closed).collect());
                    }
                },
                Stage::Sent(pending) => {
                    let outcomes = ready!(Pin::new(pending).poll(cx));
                    self.stage = Stage::Over;
                    self.gate.release(self.size);
                    return Poll::Ready(outcomes);
                }
                Stage::Known(outcomes) => return Poll::Ready(std::mem::take(outcomes)),
                Stage::Over => return Poll::Pending,
            }
        }
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        let pending = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Sent(pending) => Some(pending),
            Stage::Queued(mut answer) => {
                // Either the answer is in already, or whoever sends it finds nobody and follows it.
                answer.close();
                answer.try_recv().ok()
            }
            Stage::Known(_) | Stage::Over => None,
        };
        if let Some(pending) = pending {
            self.gate.follow(pending, self.size);
        }
    }
}
