//! The builder of a subscription.

use crate::{
    Bus, Codec, Expired, Name, Notice, Result, Retry, Start, Subscription, Topic, TopicSpec,
    flow::{FlowConfig, LossPolicy, Order},
    notices::Hook,
};
pub(crate) use dead_letters::{DeadLetters, Kept};
use futures_util::future::BoxFuture;
pub use naming::dead_letter_topic;
pub(crate) use naming::derived;
use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    sync::Arc,
    time::Duration,
};

mod dead_letters;
mod join;
mod naming;

/// How long joining is tried again while the broker cannot be reached.
pub(crate) const JOIN: Duration = Duration::from_secs(15);
/// How often a pattern looks for topics.
const LOOK: Duration = Duration::from_secs(30);

/// A subscription to be: set what differs from the defaults, then await it.
#[must_use = "a subscription begins when it is awaited"]
pub struct Subscribe<T, C> {
    bus: Bus,
    codec: C,
    topics: Vec<TopicSpec>,
    group: Option<Name>,
    start: Start,
    partitions: Option<Vec<u32>>,
    until: Option<Start>,
    exactly_once: bool,
    settings: FlowConfig,
    /// The window was said by somebody.
    has_window: bool,
    dead_letters: Kept,
    by_reason: Vec<(Name, Name)>,
    create_topics: bool,
    /// Topics are those that match, and this is how often they are looked for.
    pattern: Option<(Name, Duration)>,
    hook: Option<Hook>,
    expired: Expired,
    payload: PhantomData<fn() -> T>,
}

impl<T, C: Codec<T>> Subscribe<T, C> {
    pub(crate) fn new(bus: Bus, topic: &Topic<T, C>, group: Option<&str>) -> Self {
        let settings = FlowConfig::new(group.unwrap_or_default().into(), bus.backend().limits());
        Self {
            bus,
            codec: topic.codec().clone(),
            topics: vec![topic.spec()],
            group: group.map(Name::from),
            start: Start::default(),
            partitions: None,
            until: None,
            exactly_once: false,
            settings,
            has_window: false,
            dead_letters: Kept::Derived,
            by_reason: Vec::new(),
            create_topics: true,
            pattern: None,
            hook: None,
            expired: Expired::default(),
            payload: PhantomData,
        }
    }
    pub(crate) fn matching(bus: Bus, pattern: &Topic<T, C>, group: &str) -> Self {
        let mut this = Self::new(bus, pattern, Some(group));
        this.topics.clear();
        this.pattern = Some((pattern.name().into(), LOOK));
        this
    }
    /// For patterns: how often the list of topics is looked at for new and deleted ones (default 30 s: a change of the
    /// list makes every member of the group join anew).
    pub fn look_every(mut self, interval: Duration) -> Self {
        if let Some((_, every)) = &mut self.pattern {
            *every = interval;
        }
        self
    }
    /// Reads this topic too; its payloads have the same type and codec.
    pub fn and(mut self, topic: &Topic<T, C>) -> Self {
        self.topics.push(topic.spec());
        self
    }
    /// Where a new group begins (default [`Start::Earliest`]: a group created after a publish still sees it).
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }
    /// For observers: reads only these partitions.
    pub fn partitions(mut self, partitions: impl IntoIterator<Item = u32>) -> Self {
        self.partitions = Some(partitions.into_iter().collect());
        self
    }
    /// For observers: reading ends, and with it the subscription, when everything before this is settled. `Latest` is
    /// the end at the time of subscribing: a replay of what is there. A position beyond the end is waited for.
    pub fn until(mut self, end: Start) -> Self {
        self.until = Some(end);
        self
    }
    /// Calls `hook` with what happens to partitions, one call after the other, in order. Nothing of a partition that was
    /// gained is delivered before the hook has returned from [`Notice::Gained`], so local state can be loaded there; a
    /// hook that takes longer than a handover's grace (5 s) holds its messages, not its membership. At the end it
    /// is called with [`Notice::Lost`] for what is still owned, and given 5 s in all. A panic ends the subscription.
    pub fn on_notice<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(Notice) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.hook = Some(Arc::new(move |notice| Box::pin(hook(notice))));
        self
    }
    /// Which deliveries may run at the same time (default [`Order::Key`]).
    pub fn order(mut self, order: Order) -> Self {
        self.settings.order = order;
        self
    }
    /// Waits and attempts (default: three retries, exponential from one second).
    pub fn retry(mut self, retry: Retry) -> Self {
        self.settings.retry = retry;
        self
    }
    /// Messages delivered and not settled, at most (default 1 024).
    pub fn in_flight(mut self, messages: usize) -> Self {
        self.settings.in_flight = messages;
        self.has_window = true;
        self
    }
    /// As [`in_flight`](Self::in_flight), unless it was said already, here or by the [`Defaults`](crate::Defaults) of the bus.
    pub fn in_flight_unless_said(mut self, messages: usize) -> Self {
        if !self.has_window {
            self.settings.in_flight = messages;
        }
        self
    }
    /// Bytes delivered and not settled, at most (default 16 MiB); one larger message passes alone.
    pub fn in_flight_bytes(mut self, bytes: usize) -> Self {
        self.settings.in_flight_bytes = bytes;
        self
    }
    /// The age at which acks are stored (default 200 ms: what a crash may redeliver, against commits a second).
    pub fn commit_every(mut self, age: Duration) -> Self {
        self.settings.commit_every = age;
        self
    }
    /// Whether acks are stored in the background (default yes). Otherwise on [`flush`](Subscription::flush), drain, close and
    /// when a partition is handed over, and neither way before the ack. Without a flush reading stops at 65 536 messages
    /// that are settled and not stored (half of [`in_flight`](Self::in_flight) where each has an output); a warning says so
    /// at half of that.
    pub fn auto_commit(mut self, on: bool) -> Self {
        self.settings.auto_commit = on;
        self
    }
    /// Sends given-up messages to this topic instead of `<topic>.<group>.dlq`; `{topic}` and `{group}` stand for the names:
    /// see [`dead_letter_topic`] for what becomes of them.
    pub fn dead_letter(mut self, topic: impl Into<Name>) -> Self {
        self.dead_letters = Kept::To(topic.into());
        self
    }
    /// Sends messages that are given up for this reason to a topic of their own, named as in [`dead_letter`](Self::dead_letter).
    /// Reasons are `max-attempts`, `rejected`, `undecodable`, `expired`, and those of
    /// [`reject_as`](crate::Delivery::reject_as).
    pub fn dead_letter_for(mut self, reason: impl Into<Name>, topic: impl Into<Name>) -> Self {
        self.by_reason.push((reason.into(), topic.into()));
        self
    }
    /// Logs and skips given-up messages instead of keeping them.
    pub fn no_dead_letters(mut self) -> Self {
        self.dead_letters = Kept::Nowhere;
        self
    }
    /// Whether missing dead-letter topics are created (default yes, with the origin's partition count); else
    /// subscribing fails with the command that creates them.
    pub fn create_topics(mut self, create: bool) -> Self {
        self.create_topics = create;
        self
    }
    /// What to do about records that were removed before they were read (default [`LossPolicy::Stop`]).
    pub fn on_data_loss(mut self, policy: LossPolicy) -> Self {
        self.settings.on_data_loss = policy;
        self
    }
    /// What to do with messages whose time was over before they were delivered (default [`Expired::Skip`]).
    pub fn on_expired(mut self, what: Expired) -> Self {
        self.expired = what;
        self
    }
    /// What one partition may hold of the window, in messages and bytes.
    pub(crate) fn share(mut self, messages: usize, bytes: usize) -> Self {
        self.settings.share = Some((messages, bytes));
        self
    }
    /// Outputs of [`ack_with`](crate::Delivery::ack_with) and settlement take effect together or not at all.
    pub fn exactly_once(mut self) -> Self {
        self.exactly_once = true;
        self
    }
}

impl<T: 'static, C: Codec<T>> IntoFuture for Subscribe<T, C> {
    type Output = Result<Subscription<T, C>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.join())
    }
}

impl<T, C> fmt::Debug for Subscribe<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribe")
            .field("topics", &self.topics)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}
