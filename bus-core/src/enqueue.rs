//! Fire and forget: messages whose outcomes are counted instead of awaited.

use crate::{Message, Name, Unsent, gate::Gate};
use futures_util::{StreamExt, stream::FuturesUnordered};
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::{Notify, mpsc};

/// Messages taken and not yet passed to the gate: what a caller may be ahead of the broker, beside the gate's bound.
const QUEUE: usize = 8_192;
/// The most messages that go out as one batch.
const BATCH: usize = 1_000;
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
    sender: mpsc::Sender<(Name, Message)>,
    progress: Arc<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    taken: u64,
    answered: u64,
    failed: Unconfirmed,
}

impl Queue {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let progress = Arc::new(Progress::default());
        tokio::spawn(run(receiver, gate, progress.clone()));
        Self { sender, progress }
    }
    /// Takes a message; waits only while the queue is full. False: closed.
    pub(crate) async fn push(&self, topic: Name, message: Message) -> bool {
        let Ok(place) = self.sender.reserve().await else {
            return false;
        };
        // Counted before it can be answered, so that a flush never sees more answers than messages.
        self.progress.state.lock().taken += 1;
        place.send((topic, message));
        true
    }
    /// Waits until what was taken before has an outcome; what failed since the last call.
    pub(crate) async fn flush(&self) -> Unconfirmed {
        let goal = self.progress.state.lock().taken;
        loop {
            let changed = self.progress.changed.notified();
            {
                let mut state = self.progress.state.lock();
                if state.answered >= goal {
                    return std::mem::take(&mut state.failed);
                }
            }
            changed.await;
        }
    }
}

async fn run(mut receiver: mpsc::Receiver<(Name, Message)>, gate: Arc<Gate>, progress: Arc<Progress>) {
    let mut running = FuturesUnordered::new();
    let mut taken = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = running.next() => {}
            // Bounded, because the gate's own queue is not.
            count = receiver.recv_many(&mut taken, BATCH), if running.len() < 64 => {
                if count == 0 {
                    break;
                }
                let mut messages = VecDeque::from(std::mem::take(&mut taken));
                while let Some((topic, first)) = messages.pop_front() {
                    let mut batch = vec![first];
                    while let Some((_, message)) = messages.pop_front_if(|(next, _)| *next == topic) {
                        batch.push(message);
                    }
                    running.push(follow(gate.publish(&topic, batch), topic, progress.clone()));
                }
            }
        }
    }
    while running.next().await.is_some() {}
}

async fn follow(publishing: crate::gate::Publishing, topic: Name, progress: Arc<Progress>) {
    let outcomes = publishing.await;
    let mut state = progress.state.lock();
    state.answered += outcomes.len() as u64;
    for unsent in outcomes.into_iter().filter_map(Result::err) {
        if state.failed.messages == 0 {
            tracing::warn!(topic = &*topic, error = %unsent, "an enqueued message was not stored");
        }
        state.failed.messages += 1;
        if state.failed.errors.len() < KEPT {
            state.failed.errors.push((topic.clone(), unsent));
        }
    }
    drop(state);
    progress.changed.notify_waiters();
}
