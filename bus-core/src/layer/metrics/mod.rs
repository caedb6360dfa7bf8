//! Counters, gauges and histograms through the `metrics` facade.

mod meters;
mod names;
mod seat;
mod watched;

use super::around::{Around, Call, Wrapped};
use super::op;
use crate::{
    Ack, Backend, Control, Done, ErrorKind, Event, Message, Name, Outcome, Pending, Publisher, Result, Room,
    Shard, Source, Subscriber, Unsent,
};
use meters::Published;
use metrics::{Gauge, counter, gauge};
use parking_lot::{Mutex, RwLock};
use seat::Seat;
use std::{collections::HashMap, fmt, future::Future, sync::Arc};
use tokio::time::Instant;
use watched::Watched;

/// What a backend does, in numbers, through the `metrics` facade (feature `metrics`).
///
/// Install a recorder before this is made: handles are taken from the recorder of that moment, once a topic. The names
/// are in `docs/observability.md`. Labels are the backend, the topic and the group, never a partition or a key.
///
/// What only core knows (verdicts, deliveries, what is in flight, how long handlers take) belongs to a subscription, so
/// each that is to be seen is [watched](Self::watch).
#[derive(Clone, Debug)]
pub struct Metrics {
    wrapped: Wrapped<Meters>,
}

struct Meters {
    system: &'static str,
    publishing: Gauge,
    published: RwLock<HashMap<Name, Arc<Published>>>,
    watched: Mutex<Vec<Watched>>,
}

impl Metrics {
    /// Counts what this backend does.
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        names::describe();
        let system = inner.name();
        let around = Arc::new(Meters {
            system,
            publishing: gauge!(names::PUBLISHING, "system" => system),
            published: RwLock::default(),
            watched: Mutex::default(),
        });
        Self {
            wrapped: Wrapped { inner, around },
        }
    }
    /// Shows what this subscription counts, under the label `subscription`, and measures its handlers from now on. It is
    /// looked at with every commit through this layer and on [`refresh`](Self::refresh), a last time when it has ended.
    pub fn watch(&self, subscription: &str, control: Control) {
        control.time_handlers();
        let watched = Watched::new(self.wrapped.around.system, subscription, control);
        self.wrapped.around.watched.lock().push(watched);
        self.refresh();
    }
    /// Looks at the subscriptions that are watched now, as before a scrape.
    pub fn refresh(&self) {
        self.wrapped.around.refresh();
    }
}

is_backend!(Metrics);

impl Meters {
    fn refresh(&self) {
        self.watched.lock().retain_mut(Watched::look);
    }
    fn published(&self, topic: &str) -> Arc<Published> {
        if let Some(known) = self.published.read().get(topic) {
            return known.clone();
        }
        let mut published = self.published.write();
        let new = || Arc::new(Published::new(self.system, topic));
        published.entry(topic.into()).or_insert_with(new).clone()
    }
    fn error(&self, operation: &'static str, kind: ErrorKind) {
        let kind = op::kind(kind);
        counter!(names::ERRORS, "system" => self.system, "operation" => operation, "kind" => kind)
            .increment(1);
    }
}

/// A batch on its way. Whatever ends it, it is not on its way any more.
struct Flight {
    meters: Arc<Meters>,
    published: Arc<Published>,
    messages: usize,
    begun: Instant,
    landed: bool,
}

impl Flight {
    fn land(mut self, outcomes: &[Result<Outcome, Unsent>]) {
        self.landed = true;
        self.published.seconds.record(self.begun.elapsed());
        if let Some(kind) = self.published.count(outcomes) {
            self.meters.error("publish", kind);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.meters.publishing.decrement(self.messages as f64);
        if !self.landed {
            self.published.abandoned.increment(self.messages as u64);
        }
    }
}

impl Around for Meters {
    type Seat = Seat;
    fn seat(&self, source: &Source, _: &Arc<dyn Ack>) -> Arc<Seat> {
        Arc::new(Seat::new(self.system, source))
    }
    async fn call<T: Send>(
        &self,
        call: Call<'_>,
        inner: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let result = inner.await;
        if let Err(error) = &result {
            self.error(call.op.name(), error.kind());
        }
        if call.op.closes() {
            self.refresh();
        }
        result
    }
    fn publish(self: &Arc<Self>, inner: &dyn Publisher, topic: &str, batch: Vec<Message>) -> Pending {
        let published = self.published(topic);
        let bytes: usize = batch.iter().map(Message::size).sum();
        published.bytes.increment(bytes as u64);
        self.publishing.increment(batch.len() as f64);
        let flight = Flight {
            meters: self.clone(),
            published,
            messages: batch.len(),
            begun: Instant::now(),
            landed: false,
        };
        match inner.publish_batch(topic, batch).now() {
            Ok(outcomes) => {
                flight.land(&outcomes);
                Pending::ready(outcomes)
            }
            Err(pending) => Pending::new(async move {
                let outcomes = pending.await;
                flight.land(&outcomes);
                outcomes
            }),
        }
    }
    async fn receive(
        &self,
        seat: &Seat,
        inner: &mut dyn Subscriber,
        room: Room,
        events: &mut Vec<Event>,
    ) -> Result<()> {
        let before = events.len();
        let result = inner.receive(room, events).await;
        events.iter().skip(before).for_each(|event| seat.happened(event));
        if let Err(error) = &result {
            self.error("receive", error.kind());
        }
        result
    }
    fn paused(&self, seat: &Seat, shard: Shard, paused: bool) {
        seat.paused(shard, paused);
    }
    async fn commit(&self, seat: &Seat, inner: &dyn Ack, done: Vec<Done>) -> Vec<Result<()>> {
        let asked = seat.asked(&done);
        let begun = Instant::now();
        let results = inner.commit(done).await;
        seat.seconds.record(begun.elapsed());
        for ((shard, outputs), result) in asked.into_iter().zip(&results) {
            seat.committed(shard, outputs, result);
            if let Err(error) = result {
                self.error("commit", error.kind());
            }
        }
        self.refresh();
        results
    }
    fn health(&self, inner: Result<()>) -> Result<()> {
        inner
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meters")
            .field("system", &self.system)
            .finish_non_exhaustive()
    }
}
