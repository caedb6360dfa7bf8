//! Spans and events of `tracing`, named as OpenTelemetry's messaging conventions have it.

use super::{
    around::{Around, Call, Wrapped, topic_of},
    group_of, op,
};
use crate::{
    Ack, Backend, Done, Error, ErrorKind, Event, Headers, Message, Name, Outcome, Pending, Publisher, Result,
    Room, Shard, Source, Subscriber, Unsent, position,
};
use std::{fmt, future::Future, sync::Arc};
use tracing::{Instrument, Span, field::Empty};

/// The header of W3C trace context.
const TRACEPARENT: &str = "traceparent";

/// Spans around what a backend does, with the attributes of OpenTelemetry's messaging conventions (target `bus`).
///
/// - `publish <topic>` (level info), a span for each batch, from the call until its outcomes are known
/// - `receive <topic>` (info), one for each batch of records of one partition, made when it arrives; waiting for records
///   is no span
/// - `commit` (debug), one for each commit, with a warning for each partition that was refused
/// - `release`, `seek`, `subscribe` and every call of an administrator (debug), by their names
/// - events for what happens to partitions: gained, leaving, lost (info), in doubt (warning), data loss and a deleted
///   topic (error)
///
/// A span whose call failed has `error.type` (the [`ErrorKind`]) and `otel.status_code = "ERROR"`. Where no subscriber is
/// interested a publish allocates nothing more; the asynchronous calls cost the box that every layer costs, a batch.
///
/// The trace context travels in headers. Core knows no OpenTelemetry, so [`inject`](Self::inject) takes a closure:
///
/// ```
/// # use bus_core::{Backend, layer::Trace};
/// # fn traced(backend: std::sync::Arc<dyn Backend>, current_context: fn() -> Option<String>) -> Trace {
/// Trace::new(backend).inject(move |headers| {
///     // With `tracing-opentelemetry`: the global propagator writes the context of `Span::current()`, the span `publish`.
///     if let Some(parent) = current_context() {
///         headers.set("traceparent", parent);
///     }
/// })
/// # }
/// ```
///
/// The other way, a handler reads `delivery.headers().text("traceparent")` and makes it the parent, or a link, of its own
/// span: a batch holds messages of many traces, so no span of this layer can be their child.
#[derive(Clone, Debug)]
pub struct Trace {
    wrapped: Wrapped<Spans>,
}

type Inject = Arc<dyn Fn(&mut Headers) + Send + Sync>;

#[derive(Clone)]
struct Spans {
    system: &'static str,
    limit: usize,
    inject: Option<Inject>,
}

impl Trace {
    /// Spans around this backend.
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        let around = Arc::new(Spans {
            system: inner.name(),
            limit: inner.limits().message,
            inject: None,
        });
        Self {
            wrapped: Wrapped { inner, around },
        }
    }
    /// Calls `inject` for each message that is published and has no `traceparent` yet, inside the span of its publish. It
    /// adds headers; those that would take a message over the backend's limit are left out, since a message must not
    /// be refused because it is traced. Outputs of a commit are not touched: a dead letter keeps the context it came
    /// with, and who makes an output knows its context.
    pub fn inject(mut self, inject: impl Fn(&mut Headers) + Send + Sync + 'static) -> Self {
        let spans = Arc::make_mut(&mut self.wrapped.around);
        spans.inject = Some(Arc::new(inject));
        self
    }
}

is_backend!(Trace);

/// Whose partitions they are.
#[derive(Debug)]
struct Seat {
    topics: Vec<Name>,
    group: Name,
}

impl Around for Spans {
    type Seat = Seat;
    fn seat(&self, source: &Source, _: &Arc<dyn Ack>) -> Arc<Seat> {
        Arc::new(Seat {
            topics: source.topics.clone(),
            group: group_of(source).into(),
        })
    }
    async fn call<T: Send>(
        &self,
        call: Call<'_>,
        inner: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let operation = call.op.name();
        let span = tracing::debug_span!(
            target: "bus",
            "call",
            otel.name = operation,
            otel.kind = "client",
            messaging.system = self.system,
            messaging.destination.name = given(call.topic),
            messaging.consumer.group.name = given(call.group),
            messaging.operation.name = operation,
            error.type = Empty,
            otel.status_code = Empty,
        );
        if span.is_disabled() {
            return inner.await;
        }
        let result = inner.instrument(span.clone()).await;
        if let Err(error) = &result {
            failed(&span, error.kind());
            span.in_scope(|| tracing::warn!(target: "bus", %error, operation, "a call failed"));
        }
        result
    }
    fn publish(self: &Arc<Self>, inner: &dyn Publisher, topic: &str, mut batch: Vec<Message>) -> Pending {
        let span = tracing::info_span!(
            target: "bus",
            "publish",
            otel.name = %format_args!("publish {topic}"),
            otel.kind = "producer",
            messaging.system = self.system,
            messaging.destination.name = topic,
            messaging.operation.name = "publish",
            messaging.operation.type = "send",
            messaging.batch.message_count = batch.len(),
            messaging.message.body.size = batch.iter().map(Message::size).sum::<usize>(),
            bus.unsent = Empty,
            error.type = Empty,
            otel.status_code = Empty,
        );
        let pending = span.in_scope(|| {
            self.mark(&mut batch);
            inner.publish_batch(topic, batch)
        });
        if span.is_disabled() {
            return pending;
        }
        match pending.now() {
            Ok(outcomes) => {
                published(&span, &outcomes);
                Pending::ready(outcomes)
            }
            Err(pending) => {
                let seen = span.clone();
                let answered = async move {
                    let outcomes = pending.await;
                    published(&seen, &outcomes);
                    outcomes
                };
                Pending::new(answered.instrument(span))
            }
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
        for event in events.iter().skip(before) {
            self.happened(seat, event);
        }
        if let Err(error) = &result {
            let group = &*seat.group;
            tracing::error!(target: "bus", system = self.system, group, %error, "receiving failed");
        }
        result
    }
    fn paused(&self, seat: &Seat, shard: Shard, paused: bool) {
        let (topic, partition) = (topic_of(&seat.topics, shard), shard.partition);
        tracing::debug!(target: "bus", system = self.system, topic, partition, paused, "partition paused or resumed");
    }
    async fn commit(&self, seat: &Seat, inner: &dyn Ack, done: Vec<Done>) -> Vec<Result<()>> {
        let span = tracing::debug_span!(
            target: "bus",
            "commit",
            otel.name = "commit",
            otel.kind = "client",
            messaging.system = self.system,
            messaging.consumer.group.name = given(&seat.group),
            messaging.operation.name = "commit",
            messaging.operation.type = "settle",
            bus.partitions = done.len(),
            bus.outputs = done.iter().map(|done| done.outputs.len()).sum::<usize>(),
            error.type = Empty,
            otel.status_code = Empty,
        );
        if span.is_disabled() {
            return inner.commit(done).await;
        }
        let shards: Vec<Shard> = done.iter().map(|done| done.shard).collect();
        let results = inner.commit(done).instrument(span.clone()).await;
        for (shard, result) in shards.into_iter().zip(&results) {
            let Err(error) = result else { continue };
            failed(&span, error.kind());
            let (topic, partition) = (topic_of(&seat.topics, shard), shard.partition);
            span.in_scope(|| tracing::warn!(target: "bus", topic, partition, %error, "a commit was refused"));
        }
        results
    }
    fn health(&self, inner: Result<()>) -> Result<()> {
        inner
    }
}

impl Spans {
    /// Puts the context of the current span into the headers.
    fn mark(&self, batch: &mut [Message]) {
        let Some(inject) = &self.inject else { return };
        for message in batch {
            if message
                .headers
                .iter()
                .any(|(name, _)| name == TRACEPARENT.as_bytes())
            {
                continue;
            }
            let room = self.limit.saturating_sub(message.size());
            let mut headers = Headers::new();
            inject(&mut headers);
            if headers.size() <= room {
                message.headers.append(headers);
            }
        }
    }
    fn happened(&self, seat: &Seat, event: &Event) {
        let (system, group) = (self.system, &*seat.group);
        let place = |shard: &Shard| (topic_of(&seat.topics, *shard), shard.partition);
        match event {
            Event::Records { shard, batch, range } => {
                let (topic, partition) = place(shard);
                let records = batch.records().get(range.start as usize..range.end as usize);
                let first = || {
                    records
                        .and_then(|records| records.first())
                        .map(|record| record.position)
                };
                tracing::info_span!(
                    target: "bus",
                    "receive",
                    otel.name = %format_args!("receive {topic}"),
                    otel.kind = "consumer",
                    messaging.system = system,
                    messaging.destination.name = topic,
                    messaging.destination.partition.id = %partition,
                    messaging.consumer.group.name = given(group),
                    messaging.operation.name = "receive",
                    messaging.operation.type = "receive",
                    messaging.batch.message_count = range.len(),
                    bus.position = first().map(position::format),
                );
            }
            Event::Gained { shard, next, .. } => {
                let (topic, partition) = place(shard);
                let (epoch, next) = (shard.epoch, tracing::field::display(position::format(*next)));
                tracing::info!(target: "bus", system, group, topic, partition, epoch, next, "partition gained");
            }
            Event::Losing { shard, grace } => {
                let (topic, partition) = place(shard);
                tracing::info!(target: "bus", system, group, topic, partition, ?grace, "partition has to leave");
            }
            Event::Lost(shard) => {
                let (topic, partition) = place(shard);
                tracing::info!(target: "bus", system, group, topic, partition, "partition lost");
            }
            Event::Suspended(shard) => {
                let (topic, partition) = place(shard);
                tracing::warn!(target: "bus", system, group, topic, partition, "ownership is in doubt");
            }
            Event::Resumed(shard) => {
                let (topic, partition) = place(shard);
                tracing::info!(target: "bus", system, group, topic, partition, "ownership was confirmed");
            }
            Event::DataLoss { shard, from, to } => {
                let (topic, partition) = place(shard);
                let (from, to) = (position::format(*from), position::format(*to));
                tracing::error!(target: "bus", system, group, topic, partition, from, to, "records were removed before they were read");
            }
            Event::TopicLost(topic) => {
                tracing::error!(target: "bus", system, group, topic = &**topic, "the topic was deleted");
            }
            Event::PartitionsChanged { topic, partitions } => {
                tracing::info!(target: "bus", system, group, topic = &**topic, partitions, "partitions were added");
            }
            Event::SeekFailed(shard) => {
                let (topic, partition) = place(shard);
                tracing::warn!(target: "bus", system, group, topic, partition, "partition left before a seek was stored");
            }
            Event::CaughtUp(shard) => {
                let (topic, partition) = place(shard);
                tracing::debug!(target: "bus", system, group, topic, partition, "caught up");
            }
        }
    }
}

/// What is not empty; an attribute without a value is left out.
fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn failed(span: &Span, kind: ErrorKind) {
    span.record("error.type", op::kind(kind));
    span.record("otel.status_code", "ERROR");
}

/// Only the first failure is told: a batch may hold a thousand of the same.
fn published(span: &Span, outcomes: &[Result<Outcome, Unsent>]) {
    let unsent = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    let Some(Err(first)) = outcomes.iter().find(|outcome| outcome.is_err()) else {
        return;
    };
    let error: &Error = first.error();
    span.record("bus.unsent", unsent);
    failed(span, error.kind());
    span.in_scope(|| {
        let unknown = first.is_unknown();
        tracing::warn!(target: "bus", %error, unknown, unsent, "messages were not confirmed");
    });
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans")
            .field("system", &self.system)
            .field("injects", &self.inject.is_some())
            .finish()
    }
}
