//! What is carried from the message that a handler reads to those that it publishes.

use super::{Audit, Trail, audit, ext, header};
use crate::Bus;
use bus_core::{Headers, Message, Name, Record, Result, Stamp};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::SystemTime,
};

tokio::task_local! {
    static CURRENT: Option<Context>;
    /// Of a worker that is in the middle of a batch.
    static BATCH: Arc<Carried>;
}

/// What is carried from the message that a handler reads to those that it publishes.
///
/// Every handler of this crate runs in one. Whatever the bus publishes, enqueues or takes as an output there gets,
/// unless it says otherwise itself:
/// - the correlation id of the message that is handled, else its id: the first event of a chain names the chain;
/// - the id of the message that is handled as its causation id;
/// - those headers of it that the handler was told to carry;
/// - its audit trail, if it has one, with a hop for what is published.
///
/// A message without id and correlation id leaves no trace in what follows from it.
///
/// A context belongs to the task: what a handler spawns has none, unless it takes it along:
/// ```
/// use bus::event::Context;
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let context = Context::current();
/// tokio::spawn(Context::scope(context, async { /* publishes as the handler would */ }));
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    record: Record,
    carried: Arc<Carried>,
    received: SystemTime,
    /// Set by whoever lets somebody else answer.
    answered: Option<Arc<AtomicBool>>,
}

/// What every context of one consumer has in common.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// The headers that are carried as they are.
    pub(crate) headers: Vec<Name>,
    /// Who what it publishes is from.
    pub(crate) source: Option<Name>,
    /// What it records in trails.
    pub(crate) audit: Option<Arc<Audit>>,
}

impl Carried {
    /// What is said of the bus through which it publishes.
    pub(crate) fn by(self, bus: &Bus) -> Arc<Self> {
        Arc::new(Self {
            source: bus.source().cloned(),
            audit: bus.audit().cloned(),
            ..self
        })
    }
}

impl Context {
    pub(crate) fn new(record: Record, carried: Arc<Carried>) -> Self {
        Self {
            record,
            carried,
            received: SystemTime::now(),
            answered: None,
        }
    }
    pub(crate) fn received_at(mut self, received: SystemTime) -> Self {
        self.received = received;
        self
    }
    pub(crate) fn answered_by(mut self, answered: Option<Arc<AtomicBool>>) -> Self {
        self.answered = answered;
        self
    }
    /// Somebody else answers what is handled here.
    pub(crate) fn leave_the_answer(&self) {
        if let Some(answered) = &self.answered {
            answered.store(true, Relaxed);
        }
    }
    /// Of a message that was read by other means than this crate's handlers; these headers of it are carried as they are.
    pub fn of(record: &Record, headers: impl IntoIterator<Item = impl Into<Name>>) -> Self {
        let headers = headers.into_iter().map(Into::into).collect();
        let carried = Carried {
            headers,
            ..Carried::default()
        };
        Self::new(record.clone(), Arc::new(carried))
    }
    /// The one that the running task is in.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok().flatten()
    }
    /// Runs `work` in a context, or in none.
    pub async fn scope<F: Future>(context: Option<Self>, work: F) -> F::Output {
        CURRENT.scope(context, work).await
    }
    /// Runs `work` for a batch, which has no one cause and so no context, but each of its messages can have
    /// [one](Self::in_batch).
    pub(crate) async fn scope_of_batch<F: Future>(carried: Arc<Carried>, work: F) -> F::Output {
        BATCH.scope(carried, Self::scope(None, work)).await
    }
    /// Of one message of the batch that the running task is in the middle of.
    pub(crate) fn in_batch(record: Record) -> Self {
        let carried = BATCH.try_with(Clone::clone).unwrap_or_default();
        Self::new(record, carried)
    }
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }
    /// What belongs together with the message that is handled.
    pub fn correlation_id(&self) -> Option<&str> {
        let headers = self.record.headers();
        headers
            .text(header::CORRELATION)
            .or_else(|| headers.text(header::ID))
    }
    /// The id of the message that is handled.
    pub fn causation_id(&self) -> Option<&str> {
        self.record.headers().text(header::ID)
    }
    /// Where the message that is handled has been.
    pub fn trail(&self) -> Trail {
        Trail::received(&self.record, self.received)
    }
    fn pass_on(&self, headers: &mut Headers) {
        let inherited = [
            (header::CORRELATION, self.correlation_id()),
            (header::CAUSATION, self.causation_id()),
        ];
        for (name, value) in inherited {
            if let Some(value) = value.filter(|value| !value.is_empty() && !headers.contains(name)) {
                headers.set(name, value.to_owned());
            }
        }
        for name in self
            .carried
            .headers
            .iter()
            .filter(|name| !headers.contains(name))
            .collect::<Vec<_>>()
        {
            for (_, value) in self
                .record
                .headers()
                .iter()
                .filter(|(n, _)| *n == name.as_bytes())
            {
                match value {
                    Some(value) => headers.push(name.to_string(), value.to_vec()),
                    None => headers.push_null(name.to_string()),
                }
            }
        }
    }
}

/// Runs `work` without a context: what it publishes begins a chain of its own. It has to make the publish as well as await it,
/// so write `detached(async { bus.publish(…).await })`.
pub async fn detached<F: Future>(work: F) -> F::Output {
    CURRENT.scope(None, work).await
}

/// What a bus with this feature does with each message.
pub(crate) fn stamp() -> Stamp {
    Stamp::new(|_, message| on_publish(message)).scoped(|| {
        let context = Context::current();
        Box::new(move |run| CURRENT.sync_scope(context, run))
    })
}

/// Runs what is published later as if the running task published it then.
pub(crate) fn scope<R, F: FnOnce() -> R>() -> impl FnOnce(F) -> R {
    let context = Context::current();
    move |publish| CURRENT.sync_scope(context, publish)
}

/// Gives a message what the running task's context carries.
pub(crate) fn inherit(message: &mut Message) {
    with(|current| {
        if let Some(context) = current {
            let carried = &context.carried;
            context.pass_on(&mut message.headers);
            if let Some(source) = &carried.source {
                ext::sign(&mut message.headers, source);
            }
            audit::leave(
                message,
                carried.audit.as_deref(),
                carried.source.as_ref(),
                current,
            );
        }
    });
}

/// Looks at the running task's context.
pub(super) fn with(look: impl FnOnce(Option<&Context>)) {
    let mut look = Some(look);
    let mut now = |context: Option<&Context>| look.take().into_iter().for_each(|look| look(context));
    if CURRENT.try_with(|current| now(current.as_ref())).is_err() {
        now(None);
    }
}

fn on_publish(message: &mut Message) -> Result<()> {
    inherit(message);
    let headers = &mut message.headers;
    if headers.is_empty() {
        return Ok(());
    }
    ext::check(headers)?;
    if headers.contains(header::TYPE) {
        ext::complete(headers);
        ext::sign(headers, ext::program());
    }
    Ok(())
}
