//! The bus: what an application holds.

use crate::{
    Admin, Backend, Codec, Control, DeadLetters, Defaults, Error, ErrorKind, Health, Message, Outcome,
    Pending, Publisher, PublisherExt, Result, Stamp, Subscribe, Topic, Unsent,
    delay::{Delays, Outputs},
    disabled::Disabled,
    enqueue::{Queue, Unconfirmed},
    gate::Gate,
    health::Watch,
    line::Line,
    topics::Topics,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// A bus over one backend. Cheap to clone; every clone is the same bus.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    backend: Arc<dyn Backend>,
    publisher: Arc<dyn Publisher>,
    gate: Arc<Gate>,
    delays: Arc<Delays>,
    queue: Queue,
    defaults: Defaults,
    watch: Arc<Watch>,
    line: Arc<Line>,
    closed: AtomicBool,
}

/// Whoever works for a bus, and must not keep it alive.
pub(crate) struct WeakBus(Weak<Inner>);

impl WeakBus {
    pub(crate) fn upgrade(&self) -> Option<Bus> {
        self.0.upgrade().map(Bus)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.delays.stop();
    }
}

impl Bus {
    /// A bus over this backend. Inside a tokio runtime only.
    /// # Errors
    /// What the backend's publisher says.
    pub async fn new(backend: Arc<dyn Backend>) -> Result<Self> {
        Self::with_defaults(backend, Defaults::default()).await
    }
    /// As [`new`](Self::new), and every message that is published passes this stamp first.
    /// # Errors
    /// What the backend's publisher says.
    pub async fn with_stamp(backend: Arc<dyn Backend>, stamp: Stamp) -> Result<Self> {
        Self::with_defaults(backend, Defaults::default().stamp(stamp)).await
    }
    /// A bus that is switched off. It opens no connection: publishes answer [`Outcome::Disabled`] (a debug line names the
    /// topic), topics count as made, a subscription waits until it is closed (an info line says that it is not started),
    /// and [`health`](Self::health), like every question to a broker, is a `Disabled` error. Inside a tokio runtime only.
    /// # Errors
    /// None that is known.
    pub async fn disabled() -> Result<Self> {
        let bus = Self::new(Arc::new(Disabled)).await?;
        bus.0.delays.turn_off();
        Ok(bus)
    }
    /// Whether it is switched off.
    pub fn is_disabled(&self) -> bool {
        self.0.delays.is_off()
    }
    /// A bus over this backend, whose publishes and subscriptions begin with these defaults. Inside a tokio runtime only.
    /// # Errors
    /// What the backend's publisher says.
    pub async fn with_defaults(backend: Arc<dyn Backend>, defaults: Defaults) -> Result<Self> {
        let publisher = backend.publisher().await?;
        let gate = Gate::new(publisher.clone());
        let delays = Delays::new(backend.clone(), gate.clone());
        let watch = Watch::new(backend.clone());
        let queue = Queue::new(gate.clone(), delays.clone());
        let bus = Self(Arc::new(Inner {
            backend,
            publisher,
            gate,
            delays,
            queue,
            defaults,
            watch,
            line: Arc::default(),
            closed: AtomicBool::new(false),
        }));
        bus.0.delays.belongs_to(WeakBus(Arc::downgrade(&bus.0)));
        Ok(bus)
    }
    /// Whether `<topic>.delay`, in which delayed messages wait, is made at the first [delayed](crate::Publish::delay) publish
    /// to a topic (default yes, as for topics of dead letters: it is derived, not an application's own). Otherwise such a
    /// publish fails with the command that makes it.
    pub fn create_delay_topics(&self, create: bool) {
        self.0.delays.create(create);
    }
    /// Publishes one value; set its key and headers, then await it: `Ok` means that the backend has stored it.
    pub fn publish<'a, T, C: Codec<T>>(
        &'a self,
        topic: &'a Topic<T, C>,
        value: &T,
    ) -> crate::Publish<'a, Self> {
        crate::Publish::waiting(self, topic.name(), topic.draft(value), Self::publish_later)
    }
    fn publish_later(
        &self,
        topic: &str,
        message: Message,
        payload: BoxFuture<'static, Result<Bytes>>,
    ) -> Pending {
        if self.is_closed() {
            return Pending::ready(vec![Err(Unsent::not_stored(Error::closed("the bus")))]);
        }
        let size = message.size();
        let pending = self.0.line.join(topic, message, payload, self.later(topic));
        self.forgotten(topic, (1, size), pending)
    }
    /// Follows a batch itself, where the bus is told not to wait.
    fn forgotten(&self, topic: &str, (messages, size): (usize, usize), pending: Pending) -> Pending {
        match self.0.defaults.forgets() {
            true => self.0.queue.adopt(topic, messages, size, pending),
            false => pending,
        }
    }
    /// How a batch is published whose turn comes later, as if it were in the running task. Who waits for it is said already.
    fn later(&self, topic: &str) -> impl FnOnce(Vec<Message>) -> Pending + Send + 'static {
        let (bus, topic) = (self.clone(), topic.to_owned());
        let scope = self.0.defaults.stamped().and_then(Stamp::scope);
        move |batch| {
            let (mut batch, mut pending) = (Some(batch), None);
            let mut publish = || {
                let go = |batch| bus.0.delays.publish(&topic, batch);
                pending = batch.take().map(|batch| bus.stamped(&topic, batch, go));
            };
            match scope {
                Some(scope) => scope(&mut publish),
                None => publish(),
            }
            pending.unwrap_or_else(|| Pending::ready(Vec::new()))
        }
    }
    /// Publishes without a look at who waits.
    fn publish_now(&self, topic: &str, batch: Vec<Message>) -> Pending {
        self.stamped(topic, batch, |batch| self.take(topic, batch))
    }
    fn stamped(&self, topic: &str, batch: Vec<Message>, go: impl FnOnce(Vec<Message>) -> Pending) -> Pending {
        match self.0.defaults.stamped() {
            None => go(batch),
            Some(stamp) => stamp.batch(topic, batch, go),
        }
    }
    /// Publishes one message as it is.
    pub fn publish_message<'a>(&'a self, topic: &'a str, message: Message) -> crate::Publish<'a, Self> {
        PublisherExt::publish_message(self, topic, message)
    }
    /// Publishes messages with one call; an outcome for each, in their order. The messages are taken during the call,
    /// so two calls keep their order whichever is awaited first. Await what you publish: what is confirmed makes room
    /// when its future is polled. Dropping the future cancels nothing.
    pub fn publish_batch(
        &self,
        topic: &str,
        batch: Vec<Message>,
    ) -> impl Future<Output = Vec<Result<Outcome, Unsent>>> + Send + 'static + use<> {
        Publisher::publish_batch(self, topic, batch)
    }
    /// Takes a message and returns before it is stored; waits only while 8 192 messages or 64 MiB wait to be sent.
    /// Failures are logged, counted and reported by [`flush`](Self::flush).
    /// # Errors
    /// What the codec says; `Closed`.
    pub async fn enqueue(&self, topic: &str, mut message: Message) -> Result<()> {
        if !self.0.line.is_empty() && !self.is_closed() {
            let size = message.size();
            match self.0.line.behind(topic, vec![message], || self.later(topic)) {
                Ok(pending) => {
                    let adopted = self.0.queue.adopt(topic, 1, size, pending).await;
                    return adopted
                        .into_iter()
                        .try_for_each(|outcome| outcome.map(drop))
                        .map_err(Error::from);
                }
                Err(mut batch) => match batch.pop() {
                    Some(back) => message = back,
                    None => return Ok(()),
                },
            }
        }
        if let Some(stamp) = self.0.defaults.stamped() {
            stamp.one(topic, &mut message)?;
        }
        if self.0.queue.push(topic.into(), message).await {
            Ok(())
        } else {
            Err(Error::closed("the bus"))
        }
    }
    /// Waits until every message enqueued before has an outcome, and says which were not stored since the last flush.
    /// # Errors
    /// `Timeout` when it takes longer; what is under way goes on.
    pub async fn flush(&self, timeout: Duration) -> Result<Unconfirmed> {
        let late = |_| {
            Error::new(
                ErrorKind::Timeout,
                format!("not everything was confirmed within {timeout:?}"),
            )
        };
        tokio::time::timeout(timeout, self.0.queue.flush())
            .await
            .map_err(late)
    }
    /// Subscribes as a member of `group`: partitions are shared among its live members, positions are stored.
    pub fn subscribe<T, C: Codec<T>>(&self, topic: &Topic<T, C>, group: &str) -> Subscribe<T, C> {
        self.0
            .defaults
            .apply(Subscribe::new(self.clone(), topic, Some(group)))
    }
    /// Subscribes as a member of `group` to every topic whose name matches the name of `pattern`, where `*` stands for any
    /// run of characters and `?` for one; topics that the bus derives are left out (`….dlq`, `….dlq.parked`, `….delay`,
    /// and where this subscription's own dead letters go and are parked). The list of topics is looked at again every 30 s ([`Subscribe::look_every`]); topics that appear are read from their
    /// beginning, those that are deleted are let go. Nothing has to match yet.
    pub fn subscribe_pattern<T, C: Codec<T>>(&self, pattern: &Topic<T, C>, group: &str) -> Subscribe<T, C> {
        self.0
            .defaults
            .apply(Subscribe::matching(self.clone(), pattern, group))
    }
    /// Reads every partition without a group and without a trace: nothing is stored, acks only make room.
    pub fn observe<T, C: Codec<T>>(&self, topic: &Topic<T, C>) -> Subscribe<T, C> {
        Subscribe::new(self.clone(), topic, None)
    }
    /// The dead letters of a topic and group: to read them, put them back where they came from, or park them. They are
    /// looked for where the bus's [`Defaults`] say, else in `<topic>.<group>.dlq`.
    pub fn dead_letters(&self, topic: &str, group: &str) -> DeadLetters {
        let letters = DeadLetters::new(self.clone(), topic, group);
        match self.0.defaults.dead_letters_of(topic, group) {
            Some(kept) => letters.kept_in(kept),
            None => letters,
        }
    }
    /// Topics and groups.
    pub fn admin(&self) -> Arc<dyn Admin> {
        self.0.backend.admin()
    }
    /// The backend, for what the bus does not cover.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.0.backend
    }
    /// What is known: whether the backend can be reached, and of each subscription what it owns, how many members its group
    /// has and how far behind it is. Cheap: it waits for nobody. What it says of groups has its age with it; where that
    /// is over 5 s the broker is asked in the background, and the next call knows more.
    ///
    /// A group with more members than partitions is named once in a warning, by itself, from 10 s on.
    pub fn health(&self) -> Health {
        self.0.watch.health(self.0.backend.health())
    }
    /// Handles on its subscriptions: those that run, and the last 16 that ended with an [error](Control::failure).
    pub fn subscriptions(&self) -> Vec<Control> {
        self.0.watch.controls()
    }
    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.0.watch
    }
    /// Waits for everything that was published or enqueued, then closes the publisher. Subscriptions are closed by
    /// themselves, and before it, since what they settle may publish. A second close is a no-op; after one whose future was
    /// dropped it waits for what that one left.
    /// # Errors
    /// How many enqueued messages were not stored, or what the backend says.
    pub async fn close(&self) -> Result<()> {
        self.0.closed.store(true, Relaxed);
        self.0.line.served().await;
        self.0.delays.stop();
        self.0.gate.close();
        self.0.queue.close().await;
        self.0.delays.close().await;
        self.0.publisher.close().await?;
        // Taken at the very end, so that no close that is given up takes it away.
        let unconfirmed = self.0.queue.unconfirmed();
        match unconfirmed.errors.into_iter().next() {
            None => Ok(()),
            Some((topic, first)) => {
                let context = format!(
                    "{} enqueued messages were not stored; the first, for `{topic}`",
                    unconfirmed.messages
                );
                Err(Error::from(first).context(context))
            }
        }
    }
    /// Where outputs wait that are delayed.
    pub(crate) fn outputs(&self) -> Outputs {
        Outputs::of(&self.0.delays, self.0.defaults.stamped().cloned())
    }
    /// A group of this process reads these topics.
    pub(crate) fn moves_delays_of(&self, topics: &Arc<Topics>) {
        self.0.delays.subscribed(topics);
    }
    /// Ends those who move delayed messages, as a process that is killed does.
    #[cfg(feature = "conformance")]
    pub(crate) fn crash_movers(&self) {
        self.0.delays.crash();
    }
    /// Delayed messages that one of them held in memory at once, at most.
    #[cfg(feature = "conformance")]
    pub(crate) fn most_delayed_in_memory(&self) -> usize {
        self.0.delays.peak()
    }
    /// Publishes what is complete.
    fn take(&self, topic: &str, batch: Vec<Message>) -> Pending {
        if !self.0.defaults.forgets() {
            return self.0.delays.publish(topic, batch);
        }
        let cost = (batch.len(), batch.iter().map(Message::size).sum());
        match self.0.delays.publish(topic, batch).now() {
            Ok(outcomes) => Pending::ready(outcomes),
            Err(pending) => self.forgotten(topic, cost, pending),
        }
    }
    /// Publishes while somebody waits for his payload.
    #[cold]
    fn publish_behind(&self, topic: &str, batch: Vec<Message>) -> Pending {
        let cost = (batch.len(), batch.iter().map(Message::size).sum());
        match self.0.line.behind(topic, batch, || self.later(topic)) {
            Ok(pending) => self.forgotten(topic, cost, pending),
            Err(batch) => self.publish_now(topic, batch),
        }
    }
    fn is_closed(&self) -> bool {
        self.0.closed.load(Relaxed)
    }
}

/// The bus is a publisher too: a service may hold an `Arc<dyn Publisher>` that is one.
#[async_trait]
impl Publisher for Bus {
    fn publish_batch(&self, topic: &str, batch: Vec<Message>) -> Pending {
        if self.is_closed() {
            let closed = |_| Err(Unsent::not_stored(Error::closed("the bus")));
            return Pending::ready(batch.iter().map(closed).collect());
        }
        if self.0.line.is_empty() {
            return self.publish_now(topic, batch);
        }
        self.publish_behind(topic, batch)
    }
    async fn close(&self) -> Result<()> {
        Bus::close(self).await
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bus").field(&self.0.backend.name()).finish()
    }
}
