//! An application that runs.

use super::{Ended, builder::App};
use crate::Bus;
use bus_core::{Control, Error, Name, Result};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{collections::HashSet, fmt, time::Duration};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};

/// A handler that is cancelled needs a turn to end.
const TURN: Duration = Duration::from_secs(1);

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

pub(super) async fn all(app: App) -> Result<Started> {
    let mut started = Started {
        name: app.name,
        buses: app.buses,
        parts: Vec::new(),
        ends: FuturesUnordered::new(),
        over: HashSet::new(),
    };
    for item in app.items {
        let title = item.title();
        let bus = super::builder::find(&started.buses, &item.bus).cloned();
        let Some(bus) = bus else { continue };
        match item.run.start(&bus).await {
            Ok(running) => {
                tracing::info!(app = &*started.name, "{title} started");
                let number = started.parts.len();
                started.parts.push((title, running.control().clone()));
                started
                    .ends
                    .push(Box::pin(async move { (number, running.ended().await) }));
            }
            Err(error) => {
                let error = error.context(format!("{title} could not be started"));
                // Nobody else learns of what goes wrong with these.
                if let Err(error) = started.stop(app.grace).await {
                    tracing::warn!(%error, "stopping what had been started failed");
                }
                return Err(error);
            }
        }
    }
    Ok(started)
}

impl Started {
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
    /// Stops its parts in the reverse order of their start: each takes no more messages, handlers that run may finish
    /// within what is left of `grace`, what they settled is stored.
    /// # Errors
    /// What a part ended with, the first of several; the others are stopped all the same.
    pub async fn stop(mut self, grace: Duration) -> Result<()> {
        self.drain(grace).await.0
    }
    /// The same, and whether the time was enough.
    pub(super) async fn drain(&mut self, grace: Duration) -> (Result<()>, bool) {
        let deadline = Instant::now() + grace;
        let (mut result, mut in_time) = (Ok(()), true);
        while let Some((title, control)) = self.parts.last() {
            let drained = control
                .drain(deadline.saturating_duration_since(Instant::now()))
                .await;
            in_time &= Instant::now() < deadline || control.stats().in_flight == 0;
            let drained = drained.map_err(|e: Error| e.context(format!("{title} ended")));
            result = result.and(drained);
            // A message that was acknowledged before it was handled is settled, and its handler may run all the same.
            in_time &= self.is_over(self.parts.len() - 1, deadline).await;
            if let Some((title, _)) = self.parts.pop() {
                tracing::info!(app = &*self.name, "{title} stopped");
            }
        }
        (result, in_time)
    }
    /// Whether all handlers of a part that was drained have returned in time.
    async fn is_over(&mut self, number: usize, deadline: Instant) -> bool {
        let until = deadline.max(Instant::now() + TURN);
        while !self.over.contains(&number) {
            match timeout_at(until, self.ends.next()).await {
                // What it ended with is what draining it said.
                Ok(Some((ended, _))) => self.over.insert(ended),
                Ok(None) => return true,
                Err(_) => return false,
            };
        }
        true
    }
    /// How it ended once it is stopped and closed.
    pub(super) async fn finish(mut self, grace: Duration, cause: Result<()>) -> Ended {
        let (stopped, in_time) = self.drain(grace).await;
        let closed = close(std::mem::take(&mut self.buses)).await;
        match cause.and(stopped).and(closed) {
            Err(error) => Ended::Failed(error),
            Ok(()) if in_time => Ended::Drained,
            Ok(()) => Ended::Late,
        }
    }
}

/// Waits for what was published.
async fn close(buses: Vec<(Name, Bus)>) -> Result<()> {
    let mut result = Ok(());
    for (name, bus) in &buses {
        let context = |e: Error| e.context(format!("closing bus `{name}`"));
        result = result.and(bus.close().await.map_err(context));
    }
    result
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
