//! An application that runs.

use super::{
    Ended,
    builder::{App, Item, ensure, find},
    stopping::{Stopping, close},
};
use crate::Bus;
use bus_core::{Control, Name, Result, TopicSpec};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{collections::HashSet, fmt, time::Duration};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until, timeout_at},
};

/// A handler that is cancelled needs a turn to end.
pub(super) const TURN: Duration = Duration::from_secs(1);

/// An application that runs. [Stop](Self::stop) it; dropping it stops it too, without waiting for anything.
#[must_use = "dropping it stops the application"]
pub struct Started {
    name: Name,
    buses: Vec<(Name, Bus)>,
    /// In the order in which they were started.
    parts: Vec<(String, Control)>,
    ends: FuturesUnordered<BoxFuture<'static, (usize, Result<()>)>>,
    /// The numbers of those that have ended.
    over: HashSet<usize>,
}

impl App {
    /// An application that runs nothing yet, and what it is to run.
    pub(super) fn split(self) -> (Started, Vec<Item>, Vec<(Name, TopicSpec)>) {
        let started = Started {
            name: self.name,
            buses: self.buses,
            parts: Vec::new(),
            ends: FuturesUnordered::new(),
            over: HashSet::new(),
        };
        (started, self.items, self.topics)
    }
}

impl Started {
    /// Makes topics, and starts one after the other. An error, and a future that is dropped, leave those that were started
    /// before.
    pub(super) async fn begin(&mut self, items: Vec<Item>, topics: &[(Name, TopicSpec)]) -> Result<()> {
        ensure(&self.buses, topics).await?;
        for item in items {
            let title = item.title();
            let Some(bus) = find(&self.buses, &item.bus) else {
                continue;
            };
            let running = item.run.start(bus).await;
            let running = running.map_err(|e| e.context(format!("{title} could not be started")))?;
            tracing::info!(app = &*self.name, "{title} started");
            let number = self.parts.len();
            self.parts.push((title, running.control().clone()));
            self.ends
                .push(Box::pin(async move { (number, running.ended().await) }));
        }
        Ok(())
    }
    /// Handles for pausing and steering its parts, by kind and name, in the order in which they were started.
    pub fn controls(&self) -> impl Iterator<Item = (&str, &Control)> {
        self.parts.iter().map(|(title, control)| (&**title, control))
    }
    /// Waits until a part fails, or all have ended by being drained from elsewhere. Cancel-safe.
    /// # Errors
    /// What ended a part, with its name.
    pub async fn ended(&mut self) -> Result<()> {
        while let Some((number, result)) = self.ends.next().await {
            self.over.insert(number);
            let title = &self.parts[number].0;
            result.map_err(|e| e.context(format!("{title} ended")))?;
            tracing::info!(app = &*self.name, "{title} ended");
        }
        Ok(())
    }
    /// Stops its parts in the reverse order of their start: each takes no more messages, handlers that run may finish until
    /// `grace` is over, what they settled is stored. The next one is stopped once it is over; if that takes longer than its
    /// equal share of what is left of `grace`, beside it, so that nobody is left without time. The buses stay open.
    /// # Errors
    /// What a part ended with, the first of several; the others are stopped all the same.
    pub async fn stop(mut self, grace: Duration) -> Result<()> {
        self.drain(Instant::now() + grace).await.0
    }
    /// The same, and whether the time was enough.
    pub(super) async fn drain(&mut self, deadline: Instant) -> (Result<()>, bool) {
        let mut stopping = Stopping::new(deadline);
        for number in (0..self.parts.len()).rev() {
            let share = stopping.left() / (number as u32 + 1);
            stopping.stop(number, self.parts[number].1.clone());
            let until = Instant::now() + share;
            while stopping.is_open(number) || !self.over.contains(&number) {
                tokio::select! {
                    Some(drained) = stopping.next() => stopping.note(drained, &self.parts),
                    // What it ended with is what draining it said.
                    Some((ended, _)) = self.ends.next() => { self.over.insert(ended); }
                    () = sleep_until(until) => break,
                    else => break,
                }
            }
            if self.over.contains(&number) {
                tracing::info!(app = &*self.name, "{} stopped", self.parts[number].0);
            }
        }
        while let Some(drained) = stopping.next().await {
            stopping.note(drained, &self.parts);
        }
        // A message that was acknowledged before it was handled is settled, and its handler may run all the same.
        let until = deadline.max(Instant::now() + TURN);
        while self.over.len() < self.parts.len() {
            match timeout_at(until, self.ends.next()).await {
                Ok(Some((ended, _))) => {
                    self.over.insert(ended);
                }
                Ok(None) => break,
                Err(_) => {
                    stopping.in_time = false;
                    break;
                }
            }
        }
        self.parts.clear();
        (stopping.result, stopping.in_time)
    }
    /// How it ended once it is stopped and closed.
    pub(super) async fn finish(mut self, grace: Duration, cause: Result<()>) -> Ended {
        let deadline = Instant::now() + grace;
        let (stopped, in_time) = self.drain(deadline).await;
        let closed = close(std::mem::take(&mut self.buses), deadline).await;
        match cause.and(stopped).and(closed) {
            Err(error) => Ended::Failed(error),
            Ok(()) if in_time => Ended::Drained,
            Ok(()) => Ended::Late,
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        for (_, control) in self.parts.drain(..).rev() {
            runtime.spawn(async move { control.drain(Duration::ZERO).await });
        }
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parts.iter().map(|(title, _)| title).collect();
        f.debug_struct("Started")
            .field("name", &self.name)
            .field("runs", &names)
            .finish_non_exhaustive()
    }
}
