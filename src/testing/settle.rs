//! Waiting until nothing is left to do.

use super::look::{Look, Seen};
use bus_core::{Bus, Control, Error, ErrorKind, Failed, Result};
use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long it may take unless it is said otherwise: longer than three retries, and a rebalance.
const WITHIN: Duration = Duration::from_secs(30);
/// How soon it is looked again, at first.
const SOON: Duration = Duration::from_millis(2);
/// And at the latest.
const LATEST: Duration = Duration::from_millis(500);

/// Waits until the groups that this bus's subscriptions, consumers and workers belong to have caught up and nothing is in
/// flight: also what they publish to each other while they work, what waits for its retry, what is delayed to a topic that they
/// read, and handlers of what was acknowledged before. On a paused clock the waits take no time.
///
/// What a handler fails with is an error of this, also when a retry has helped, and so is what ended a subscription. Of each
/// subscription the newest 16 failures are kept until they are asked for. One that was drained, or ended otherwise without an
/// error of its own, is forgotten with all that its handlers failed with: settle before draining it.
///
/// ```
/// # #[cfg(all(feature = "memory", feature = "app"))]
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use bus::{handler::{Failure, Payload, consumer}, testing};
/// async fn bill(Payload(amount): Payload<u32>) -> Result<(), Failure> {
///     if amount == 0 { Err(Failure::permanent("an order of nothing")) } else { Ok(()) }
/// }
///
/// let bus = testing::bus().await?.create_topics(true);
/// bus.ensure_topics([bus::TopicSpec::new("orders")]).await?;
/// let running = consumer("orders", "billing", bill).start(&bus).await?;
///
/// testing::settle(&bus).after(bus.publish("orders", &7)).await?;
/// let error = testing::settle(&bus).after(bus.publish("orders", &0)).await.unwrap_err();
/// assert!(error.to_string().contains("an order of nothing"));
/// # Ok::<_, bus::Error>(()) }).unwrap();
/// ```
/// # Errors
/// What a handler failed with since this was asked last, within these limits; what ended a subscription; how many enqueued messages were not
/// stored; `Timeout` with what is left to do.
pub fn settle(bus: &Bus) -> Settle<'_> {
    Settle {
        buses: vec![bus],
        within: WITHIN,
        may_fail: false,
    }
}

/// What is waited for: [`settle`].
#[derive(Clone, Debug)]
#[must_use = "nothing is waited for until it is awaited"]
pub struct Settle<'a> {
    buses: Vec<&'a Bus>,
    within: Duration,
    may_fail: bool,
}

impl<'a> Settle<'a> {
    /// And this bus, where handlers of one publish to the other.
    pub fn and(mut self, bus: &'a Bus) -> Self {
        self.buses.push(bus);
        self
    }
    /// How long it may take (default 30 s, on tokio's clock).
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = limit;
        self
    }
    /// Handlers may fail: for tests of retries and dead letters.
    pub fn may_fail(mut self) -> Self {
        self.may_fail = true;
        self
    }
    /// Does this first, for example a publish, and returns what came of it once all has settled.
    /// # Errors
    /// What the work says; else as [`settle`].
    pub async fn after<T, E: Into<Error>>(self, work: impl IntoFuture<Output = Result<T, E>>) -> Result<T> {
        let done = work.await.map_err(Into::into)?;
        self.wait().await?;
        Ok(done)
    }
    async fn wait(self) -> Result<()> {
        let begun = Instant::now();
        let deadline = begun + self.within;
        let mut look = Look::default();
        let mut before: Option<Vec<Seen>> = None;
        let mut left = vec!["a broker does not answer".to_owned()];
        loop {
            let seen = timeout_at(deadline, look.at(&self.buses)).await;
            let Ok(seen) = seen else {
                self.told()?;
                let (limit, left) = (self.within, left.join("; "));
                let text = format!("not settled within {limit:?}: {left}");
                return Err(Error::new(ErrorKind::Timeout, text));
            };
            let seen = seen?;
            left = seen.1;
            // What was settled twice, and nothing was stored in between, is settled: a look is not made at one moment.
            let now = left.is_empty().then_some(seen.0);
            if now.is_some() && now == before {
                return self.told();
            }
            before = now;
            let next = Instant::now() + (begun.elapsed() / 20).clamp(SOON, LATEST);
            sleep_until(next.min(deadline)).await;
        }
    }
    /// What handlers have failed with.
    fn told(&self) -> Result<()> {
        let controls = self.buses.iter().flat_map(|bus| bus.subscriptions());
        let failures: Vec<_> = controls.flat_map(|c| failures(&c)).collect();
        match failures.split_first() {
            Some(((group, first), rest)) if !self.may_fail => {
                let more = if rest.is_empty() {
                    String::new()
                } else {
                    format!(", and {} more", rest.len())
                };
                let text = format!("a handler of group `{group}` failed: {first}{more}");
                Err(Error::new(ErrorKind::Other, text))
            }
            _ => Ok(()),
        }
    }
}

fn failures(control: &Control) -> Vec<(String, Failed)> {
    let Some(group) = control.group() else {
        return Vec::new();
    };
    control
        .take_failures()
        .into_iter()
        .map(|failed| (group.to_string(), failed))
        .collect()
}

impl<'a> IntoFuture for Settle<'a> {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait())
    }
}
