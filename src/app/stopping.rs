//! The end of an application: one deadline for everything in it.

use super::started::TURN;
use crate::Bus;
use bus_core::{Control, Error, ErrorKind, Name, Result};
use futures_util::{
    StreamExt,
    future::{BoxFuture, join_all},
    stream::FuturesUnordered,
};
use std::{collections::HashSet, time::Duration};
use tokio::time::{Instant, timeout_at};

/// What a part said when it was drained.
pub(super) type Drained = (usize, Result<()>, bool);

/// Parts that are being stopped, some of them at the same time.
pub(super) struct Stopping {
    deadline: Instant,
    open: HashSet<usize>,
    drains: FuturesUnordered<BoxFuture<'static, Drained>>,
    pub(super) result: Result<()>,
    pub(super) in_time: bool,
}

impl Stopping {
    pub(super) fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            open: HashSet::new(),
            drains: FuturesUnordered::new(),
            result: Ok(()),
            in_time: true,
        }
    }
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
    /// Begins with one; it goes on as long as [`next`](Self::next) is asked.
    pub(super) fn stop(&mut self, number: usize, control: Control) {
        let (deadline, left) = (self.deadline, self.left());
        self.open.insert(number);
        self.drains.push(Box::pin(async move {
            let drained = control.drain(left).await;
            let in_time = Instant::now() < deadline || control.stats().in_flight == 0;
            (number, drained, in_time)
        }));
    }
    pub(super) fn is_open(&self, number: usize) -> bool {
        self.open.contains(&number)
    }
    /// The next that is drained; `None` when all are. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Drained> {
        self.drains.next().await
    }
    pub(super) fn note(&mut self, (number, drained, in_time): Drained, parts: &[(String, Control)]) {
        self.open.remove(&number);
        self.in_time &= in_time;
        if let Err(error) = drained
            && self.result.is_ok()
        {
            self.result = Err(error.context(format!("{} ended", parts[number].0)));
        }
    }
}

/// Waits for what was published: until the deadline, and at least for a turn, because handlers may have used all of it.
pub(super) async fn close(buses: Vec<(Name, Bus)>, deadline: Instant) -> Result<()> {
    let until = deadline.max(Instant::now() + TURN);
    let closing = buses.iter().map(|(name, bus)| async move {
        let closed = timeout_at(until, bus.close()).await.unwrap_or_else(|_| {
            let text = "what was published was not confirmed in time, and may be lost";
            Err(Error::new(ErrorKind::Timeout, text))
        });
        closed.map_err(|e| e.context(format!("closing bus `{name}`")))
    });
    join_all(closing).await.into_iter().collect()
}
