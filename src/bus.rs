//! The bus as an application holds it: core's, and what this handle adds to what it publishes.

use crate::create::Creator;
use bus_core::{
    Backend, BoxFuture, Bytes, Codec, Defaults, Draft, Line, Message, Name, Outcome, Pending, Publish,
    Publisher, Result, Topic, TopicSpec, Unconfirmed, Unsent,
};
use std::{
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

/// A bus, connected by URL. Cheap to clone; every clone is the same bus. What it does beside publishing is on
/// [`bus_core::Bus`], to which it derefs.
///
/// The setters make another handle on the same bus: two services in one process can share a connection and still
/// say who they are.
#[derive(Clone, Debug)]
pub struct Bus {
    core: bus_core::Bus,
    own: Arc<Own>,
    /// Who waits for his payload before he can be published.
    line: Arc<Line>,
    /// Where replies arrive, once somebody has asked. It keeps no bus alive.
    #[cfg(feature = "app")]
    inbox: Arc<crate::service::Slot>,
}

/// What differs between handles.
#[derive(Clone, Debug)]
struct Own {
    #[cfg(feature = "app")]
    source: Option<Name>,
    #[cfg(feature = "app")]
    audit: Option<Arc<crate::event::Audit>>,
    #[cfg(feature = "app")]
    replies: Name,
    default_topic: Name,
    creator: Option<Arc<Creator>>,
    #[cfg(feature = "settings")]
    settings: Arc<crate::Settings>,
}

impl Bus {
    pub(crate) async fn over(backend: Arc<dyn Backend>, defaults: Defaults) -> Result<Self> {
        #[cfg(feature = "app")]
        let defaults = defaults.stamp(crate::event::stamp());
        Ok(Self::of(bus_core::Bus::with_defaults(backend, defaults).await?))
    }
    pub(crate) fn of(core: bus_core::Bus) -> Self {
        let own = Own {
            #[cfg(feature = "app")]
            source: None,
            #[cfg(feature = "app")]
            audit: None,
            #[cfg(feature = "app")]
            replies: "bus.replies".into(),
            default_topic: "events".into(),
            creator: None,
            #[cfg(feature = "settings")]
            settings: Arc::default(),
        };
        Self {
            core,
            own: own.into(),
            line: Arc::default(),
            #[cfg(feature = "app")]
            inbox: Arc::default(),
        }
    }
    /// The handle that settings describe.
    #[cfg(feature = "settings")]
    pub(crate) fn with_settings(mut self, settings: &crate::Settings) -> Self {
        #[cfg(feature = "app")]
        if let Some(source) = settings.event_source() {
            self = self.event_source(source);
        }
        self = self.default_topic(settings.default_topic());
        Arc::make_mut(&mut self.own).settings = Arc::new(settings.clone());
        self
    }
    /// What it was made with; nothing but defaults where that was a URL alone.
    #[cfg(feature = "settings")]
    pub fn settings(&self) -> &crate::Settings {
        &self.own.settings
    }
    /// Who events are from that are published through this handle: their `ce_source` (default: the name of the
    /// [`App`](crate::App) whose part publishes them, else the file name of the program).
    #[cfg(feature = "app")]
    pub fn event_source(mut self, source: impl Into<Name>) -> Self {
        Arc::make_mut(&mut self.own).source = Some(source.into());
        self
    }
    /// Who events are from, if it was said.
    #[cfg(feature = "app")]
    pub(crate) fn source(&self) -> Option<&Name> {
        self.own.source.as_ref()
    }
    /// Keeps an audit trail: whatever is published through this handle records, in the header `bus-trail`, who sent what and when, and
    /// when it was received. Whoever handles a message that has a trail goes on with it, whether his bus keeps one or not;
    /// this begins it, and says how much of it is kept.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use bus::{Bus, event::{Audit, EventExt, Trail}};
    /// let bus = Bus::connect("memory://").await?.create_topics(true).event_source("shop").audit_trail(Audit::new().digests());
    /// bus.publish("orders", "bread").event("order.placed").await?;
    /// # let mut orders = bus.observe(&bus::Topic::<String>::new("orders")).await?;
    /// # let order = orders.next().await.transpose()?.unwrap();
    /// let trail = Trail::of(order.record());              // handlers have it as an argument: `trail: Trail`
    /// assert_eq!(trail[0].to_string(), "shop order.placed");
    /// # Ok::<_, bus::Error>(()) }).unwrap();
    /// ```
    #[cfg(feature = "app")]
    pub fn audit_trail(mut self, audit: crate::event::Audit) -> Self {
        Arc::make_mut(&mut self.own).audit = Some(audit.into());
        self
    }
    /// What is recorded in trails, if they are kept.
    #[cfg(feature = "app")]
    pub(crate) fn audit(&self) -> Option<&Arc<crate::event::Audit>> {
        self.own.audit.as_ref()
    }
    /// The topic in which replies to this bus's requests arrive, said before the first one (default `bus.replies`; it is made if
    /// it is missing). Any number of programs can share one: each reads one of its partitions, and leaves others' replies.
    #[cfg(feature = "app")]
    pub fn reply_topic(mut self, topic: impl Into<Name>) -> Self {
        Arc::make_mut(&mut self.own).replies = topic.into();
        self.inbox = Arc::default();
        self
    }
    #[cfg(feature = "app")]
    pub(crate) fn with_inbox(mut self, inbox: Arc<crate::service::Inbox>) -> Self {
        self.inbox = Arc::new(crate::service::Slot::given(inbox));
        self
    }
    /// Asks whoever answers at `topic`, and waits for the reply: a consumer that
    /// [answers requests](crate::handler::Consumer::answer_requests).
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use bus::{Bus, handler::{Payload, Reply, consumer}};
    /// # use std::time::Duration;
    /// async fn double(Payload(n): Payload<u32>) -> Reply<u32> { Reply(2 * n) }
    ///
    /// let bus = Bus::connect("memory://").await?;
    /// bus.ensure_topics([bus::TopicSpec::new("sums")]).await?;
    /// let running = consumer("sums", "sums", double).answer_requests().start(&bus).await?;
    /// let reply = bus.request("sums", &21).timeout(Duration::from_secs(5)).await.unwrap();
    /// assert_eq!(reply.json::<u32>()?, 42);
    /// # running.drain(Duration::from_secs(5)).await?;
    /// # Ok::<_, bus::Error>(()) }).unwrap();
    /// ```
    #[cfg(feature = "app")]
    pub fn request<'a, D, V>(&'a self, topic: &'a D, value: &V) -> crate::service::Request<'a>
    where
        D: Destination<V> + ?Sized,
        V: ?Sized,
    {
        crate::service::Request::new(self, self.publish(topic, value))
    }
    /// Replies that came when nobody waited for them, since the inbox of replies was opened.
    #[cfg(feature = "app")]
    pub fn stray_replies(&self) -> crate::service::Strays {
        self.inbox.strays()
    }
    #[cfg(feature = "app")]
    pub(crate) async fn inbox(&self) -> Result<Arc<crate::service::Inbox>> {
        let open = crate::service::Inbox::open(&self.core, self.own.replies.clone(), None);
        self.inbox.get_or_open(open).await
    }
    /// The topic of [`publish_default`](Self::publish_default) (default `events`).
    pub fn default_topic(mut self, topic: impl Into<Name>) -> Self {
        Arc::make_mut(&mut self.own).default_topic = topic.into();
        self
    }
    /// Whether a topic that does not exist is made when this handle publishes to it for the first time, from the
    /// [`Topic`] it was published to, or with one partition where only a name is given; a line in the log says so
    /// (default no: a misspelt name is then [`TopicMissing`](crate::ErrorKind::TopicMissing), with the command).
    pub fn create_topics(mut self, create: bool) -> Self {
        Arc::make_mut(&mut self.own).creator = (create && !self.core.is_disabled()).then(Arc::default);
        self
    }
    /// Publishes one value to a [`Topic`], with its codec, or as JSON to a topic of this name; set what is needed, then
    /// await it: `Ok` means that the backend has stored it.
    ///
    /// ```
    /// # #[cfg(all(feature = "memory", feature = "json"))]
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let bus = bus::Bus::connect("memory://").await?.create_topics(true);
    /// let login = serde_json::json!({"user_id": 1, "action": "login"});
    /// bus.publish("user-events", &login).key("user-1").await?;
    /// bus.publish_bytes("user-events", "as it is").await?;
    /// bus.publish_default(&login).await?;             // to `events`, or what `default_topic` says
    /// # Ok::<_, bus::Error>(()) }).unwrap();
    /// ```
    pub fn publish<'a, D, V>(&'a self, topic: &'a D, value: &V) -> Publish<'a, Self>
    where
        D: Destination<V> + ?Sized,
        V: ?Sized,
    {
        if let Some(creator) = &self.own.creator {
            creator.define(topic.name(), || topic.spec());
        }
        Publish::waiting(self, topic.name(), topic.draft(value), Self::publish_later)
    }
    fn publish_later(
        &self,
        topic: &str,
        message: Message,
        payload: BoxFuture<'static, Result<Bytes>>,
    ) -> Pending {
        self.line.join(topic, message, payload, self.later(topic))
    }
    /// How a batch is published whose turn comes later, as if it were in the running task.
    fn later(&self, topic: &str) -> impl FnOnce(Vec<Message>) -> Pending + Send + 'static {
        let (bus, topic) = (self.clone(), topic.to_owned());
        #[cfg(feature = "app")]
        let scope = crate::event::scope();
        move |batch| {
            #[cfg(feature = "app")]
            let pending = scope(move || bus.publish_now(&topic, batch));
            #[cfg(not(feature = "app"))]
            let pending = bus.publish_now(&topic, batch);
            pending
        }
    }
    /// Publishes without a look at who waits.
    fn publish_now(&self, topic: &str, mut batch: Vec<Message>) -> Pending {
        batch.iter_mut().for_each(|message| self.sign(message));
        match self.creator() {
            None => Publisher::publish_batch(&self.core, topic, batch),
            Some(creator) => {
                // They may wait for their topic, and are then published by a task that knows nothing of the caller.
                #[cfg(feature = "app")]
                batch.iter_mut().for_each(crate::event::inherit);
                creator.publish(&self.core, topic, batch)
            }
        }
    }
    /// Publishes one value as JSON to the [default topic](Self::default_topic).
    #[cfg(feature = "json")]
    pub fn publish_default<V: serde::Serialize + ?Sized>(&self, value: &V) -> Publish<'_, Self> {
        self.publish(&*self.own.default_topic, value)
    }
    /// Publishes bytes as they are, without a content type.
    pub fn publish_bytes<'a>(
        &'a self,
        topic: &'a str,
        payload: impl Into<bus_core::Bytes>,
    ) -> Publish<'a, Self> {
        self.publish_message(topic, Message::new(payload))
    }
    /// Publishes one message as it is.
    pub fn publish_message<'a>(&'a self, topic: &'a str, message: Message) -> Publish<'a, Self> {
        Publish::new(self, topic, Ok(message))
    }
    /// As [`bus_core::Bus::publish_batch`]: an outcome for each message, in their order.
    pub fn publish_batch(
        &self,
        topic: &str,
        batch: Vec<Message>,
    ) -> impl Future<Output = Vec<Result<Outcome, Unsent>>> + Send + 'static + use<> {
        Publisher::publish_batch(self, topic, batch)
    }
    /// As [`bus_core::Bus::enqueue`]: takes a message and returns before it is stored. With
    /// [`create_topics`](Self::create_topics) it waits while a missing topic is made.
    /// # Errors
    /// As there, and what making the topic says.
    pub async fn enqueue(&self, topic: &str, mut message: Message) -> Result<()> {
        // Behind those who wait for their payload, as a publish.
        if !self.line.is_empty() {
            match self.line.behind(topic, vec![message], || self.later(topic)) {
                Ok(pending) => {
                    let mut outcomes = pending.await.into_iter();
                    return Ok(outcomes.try_for_each(|outcome| outcome.map(drop))?);
                }
                Err(mut batch) => match batch.pop() {
                    Some(back) => message = back,
                    None => return Ok(()),
                },
            }
        }
        self.sign(&mut message);
        if let Some(creator) = self.creator() {
            creator.exists(&self.core, topic).await?;
        }
        self.core.enqueue(topic, message).await
    }
    /// As [`bus_core::Bus::flush`], also for what waits for its payload.
    /// # Errors
    /// As there.
    pub async fn flush(&self, timeout: Duration) -> Result<Unconfirmed> {
        let begun = Instant::now();
        // What it does not wait for any more is late with the rest.
        let _ = tokio::time::timeout(timeout, self.line.served()).await;
        self.core.flush(timeout.saturating_sub(begun.elapsed())).await
    }
    /// As [`bus_core::Bus::close`]: waits for everything that was published or enqueued, also for what waits until its missing
    /// topic is [made](Self::create_topics).
    /// # Errors
    /// As there.
    pub async fn close(&self) -> Result<()> {
        self.line.shut();
        self.line.served().await;
        if let Some(creator) = self.creator() {
            creator.settled().await;
        }
        self.core.close().await
    }
    /// Whoever makes missing topics; where the bus is off there are none.
    fn creator(&self) -> Option<&Arc<Creator>> {
        let creator = self.own.creator.as_ref();
        creator.filter(|_| !self.core.is_disabled())
    }
    /// Says who an event is from, and where it has been.
    fn sign(&self, message: &mut Message) {
        #[cfg(feature = "app")]
        if let Some(source) = &self.own.source {
            crate::event::sign(&mut message.headers, source);
        }
        #[cfg(feature = "app")]
        if let Some(audit) = &self.own.audit {
            crate::event::record(message, audit, self.own.source.as_ref());
        }
        #[cfg(not(feature = "app"))]
        let _ = message;
    }
}

/// Where a value can be published: a [`Topic`] of its type, or a topic's name, which means JSON.
#[diagnostic::on_unimplemented(
    message = "a value of type `{V}` cannot be published to `{Self}`",
    label = "this is no topic for `{V}`",
    note = "a `Topic<T, C>` takes a `&T`; a name (`&str`) takes every `&T` where `T: serde::Serialize`, as JSON (feature `json`)",
    note = "bytes go as they are by `publish_bytes`"
)]
pub trait Destination<V: ?Sized> {
    /// The topic's name.
    fn name(&self) -> &str;
    /// What it is made with, where the bus [may](Bus::create_topics).
    fn spec(&self) -> TopicSpec;
    /// The message of a value; its payload may be still to come.
    /// # Errors
    /// What the codec says.
    fn draft(&self, value: &V) -> Result<Draft>;
}

impl<T, C: Codec<T>> Destination<T> for Topic<T, C> {
    fn name(&self) -> &str {
        self.name()
    }
    fn spec(&self) -> TopicSpec {
        self.spec()
    }
    fn draft(&self, value: &T) -> Result<Draft> {
        self.draft(value)
    }
}

#[cfg(feature = "json")]
impl<V: serde::Serialize + ?Sized> Destination<V> for str {
    fn name(&self) -> &str {
        self
    }
    fn spec(&self) -> TopicSpec {
        TopicSpec::new(self)
    }
    fn draft(&self, value: &V) -> Result<Draft> {
        let payload = crate::codec::json(value)?;
        Ok(Message::new(payload)
            .header("content-type", "application/json")
            .into())
    }
}

impl Deref for Bus {
    type Target = bus_core::Bus;
    fn deref(&self) -> &bus_core::Bus {
        &self.core
    }
}

impl From<Bus> for bus_core::Bus {
    fn from(bus: Bus) -> Self {
        bus.core
    }
}

#[async_trait::async_trait]
impl Publisher for Bus {
    fn publish_batch(&self, topic: &str, batch: Vec<Message>) -> Pending {
        if self.line.is_empty() {
            return self.publish_now(topic, batch);
        }
        match self.line.behind(topic, batch, || self.later(topic)) {
            Ok(pending) => pending,
            Err(batch) => self.publish_now(topic, batch),
        }
    }
    async fn close(&self) -> Result<()> {
        self.close().await
    }
}
