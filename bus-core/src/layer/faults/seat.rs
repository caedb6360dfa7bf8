//! One subscription under faults: what is to be taken from it, and how long it hears nothing.

use crate::{Ack, Shard};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Seat {
    /// `None`: an observer, from whom nothing can be taken.
    ack: Option<Arc<dyn Ack>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    take: Option<Shard>,
    silence: Option<Instant>,
}

impl Seat {
    pub(super) fn new(ack: Option<Arc<dyn Ack>>) -> Self {
        Self {
            ack,
            state: Mutex::default(),
        }
    }
    /// Takes this shard away, at the next turn.
    pub(super) fn take(&self, shard: Shard) {
        self.state.lock().take = Some(shard);
    }
    /// Cancel-safe: it is forgotten only when it is done.
    pub(super) async fn take_away(&self) {
        let take = self.state.lock().take;
        if let Some(shard) = take {
            self.give_up(shard).await;
            self.state.lock().take = None;
        }
    }
    /// Gives a shard up behind core's back. The backend then sees to the rest as after any loss: it is fenced, `Lost`
    /// follows, and whoever gets it next finds what was stored, notes included.
    pub(super) async fn give_up(&self, shard: Shard) {
        if let Some(ack) = &self.ack {
            // It may be gone already: then there is nothing to take.
            let _ = ack.release(shard).await;
        }
    }
    pub(super) fn silence_for(&self, wait: Duration) {
        self.state.lock().silence = Some(Instant::now() + wait);
    }
    /// Until when nothing is heard, while that is so.
    pub(super) fn silence(&self) -> Option<Instant> {
        self.state.lock().silence.filter(|end| *end > Instant::now())
    }
}
