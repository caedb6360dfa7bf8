//! Batches that were published as any others, and whose outcomes nobody waits for.

use super::{Progress, QUEUE, Sending, cost};
use crate::{Name, Outcome, Pending};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc;

/// One task follows them all; it is there once there is something to follow.
#[derive(Debug, Default)]
pub(super) struct Adopted(OnceLock<(mpsc::UnboundedSender<Followed>, Arc<Progress>)>);

#[derive(Debug)]
struct Followed {
    topic: Name,
    pending: Pending,
    batch: u64,
    cost: u32,
}

impl Adopted {
    pub(super) fn progress(&self) -> Option<&Arc<Progress>> {
        self.0.get().map(|(_, progress)| progress)
    }
    pub(super) fn close(&self) {
        if let Some(progress) = self.progress() {
            progress.close();
        }
    }
    /// Inside a tokio runtime only, as publishing is.
    pub(super) fn take(&self, topic: &str, messages: usize, bytes: usize, pending: Pending) -> Pending {
        let (sender, progress) = self.0.get_or_init(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            let progress = Arc::new(Progress::new());
            tokio::spawn(follow(receiver, Sending(progress.clone())));
            (sender, progress)
        });
        let cost = cost(messages, bytes);
        let mut state = progress.state.lock();
        if state.closed {
            return pending;
        }
        // At once, so that a flush between the two cannot end with somebody else's answer.
        state.taken += messages as u64;
        state.batches.push_back((messages as u64, false));
        let batch = state.first + state.batches.len() as u64 - 1;
        state.out = state.out.saturating_add(cost);
        let fits = state.out <= QUEUE;
        drop(state);
        let followed = Followed {
            topic: topic.into(),
            pending,
            batch,
            cost,
        };
        // Without a follower, what is under way is reported as unknown by whoever found that it is gone.
        let _ = sender.send(followed);
        let enqueued = move || (0..messages).map(|_| Ok(Outcome::Enqueued)).collect();
        if fits {
            return Pending::ready(enqueued());
        }
        let progress = progress.clone();
        Pending::new(async move {
            loop {
                let changed = progress.changed.notified();
                {
                    let state = progress.state.lock();
                    if state.out <= QUEUE || state.dead {
                        return enqueued();
                    }
                }
                changed.await;
            }
        })
    }
}

async fn follow(mut receiver: mpsc::UnboundedReceiver<Followed>, sending: Sending) {
    let progress = &sending.0;
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = running.next() => {}
            followed = receiver.recv() => {
                let Some(Followed { topic, pending, batch, cost }) = followed else { break };
                let progress = progress.clone();
                running.push(async move {
                    // Whoever waits for room is woken behind both.
                    let outcomes = pending.await;
                    progress.state.lock().out -= cost;
                    progress.follow(Pending::ready(outcomes), topic, batch).await;
                });
            }
        }
    }
    while running.next().await.is_some() {}
}
