//! The builder of a subscription.

use crate::{
    Bus, Codec, Error, ErrorKind, Name, Result, Retry, Scope, Source, Start, Subscription, Topic, TopicSpec,
    flow::{DeadLetter, Flow, FlowConfig, LossPolicy, Order},
    pump::{Ending, Pump},
    shared::Shared,
    topic::check_name,
};
use futures_util::future::BoxFuture;
use std::{fmt, future::IntoFuture, marker::PhantomData, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// How long joining is tried again while the broker cannot be reached.
const JOIN: Duration = Duration::from_secs(15);

/// Where messages go that were given up.
#[derive(Clone, Debug, PartialEq, Eq)]
enum DeadLetters {
    Derived,
    To(Name),
    Off,
}

/// A subscription to be: set what differs from the defaults, then await it.
#[must_use = "a subscription begins when it is awaited"]
pub struct Subscribe<T, C> {
    bus: Bus,
    codec: C,
    topics: Vec<TopicSpec>,
    group: Option<Name>,
    start: Start,
    partitions: Option<Vec<u32>>,
    exactly_once: bool,
    settings: FlowConfig,
    dead_letters: DeadLetters,
    create_topics: bool,
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
            exactly_once: false,
            settings,
            dead_letters: DeadLetters::Derived,
            create_topics: true,
            payload: PhantomData,
        }
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
    /// Sends given-up messages to this topic instead of `<topic>.<group>.dlq`.
    pub fn dead_letter(mut self, topic: impl Into<Name>) -> Self {
        self.dead_letters = DeadLetters::To(topic.into());
        self
    }
    /// Logs and skips given-up messages instead of keeping them.
    pub fn no_dead_letters(mut self) -> Self {
        self.dead_letters = DeadLetters::Off;
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
    /// Outputs of [`ack_with`](crate::Delivery::ack_with) and settlement take effect together or not at all.
    pub fn exactly_once(mut self) -> Self {
        self.exactly_once = true;
        self
    }

    async fn join(mut self) -> Result<Subscription<T, C>> {
        if let Some(group) = &self.group {
            check_name(group).map_err(|e| e.context("group"))?;
        }
        if self.settings.in_flight == 0 || self.settings.in_flight_bytes == 0 {
            return Err(Error::invalid("in_flight and in_flight_bytes must be at least 1"));
        }
        self.settings.dead_letter = self.dead_letter_topics().await?;
        let scope = match self.group.clone() {
            Some(group) => Scope::Group(group),
            None => Scope::Everyone {
                partitions: self.partitions.clone(),
            },
        };
        let topics: Vec<Name> = self.topics.iter().map(|t| t.name.clone()).collect();
        let source = Source {
            topics: topics.clone(),
            scope,
            start: self.start.clone(),
            exactly_once: self.exactly_once,
        };
        let backend = self.bus.backend().clone();
        let (subscriber, ack) = crate::again(JOIN, || backend.subscribe(source.clone())).await?;
        let commit_every = self.settings.commit_every;
        let limits = self.settings.limits;
        let shared = Arc::new(Shared::new(Flow::new(self.settings), topics, limits));
        let (send, commands) = mpsc::unbounded_channel();
        tokio::spawn(
            Pump {
                subscriber,
                ack,
                shared: shared.clone(),
                commands,
                commit_every,
                ending: Ending(shared.clone()),
            }
            .run(),
        );
        Ok(Subscription::new(shared, self.codec, send))
    }

    /// Dead-letter topics exist before the first record, so that giving a message up cannot fail for their absence.
    async fn dead_letter_topics(&self) -> Result<Vec<Option<DeadLetter>>> {
        let Some(group) = self
            .group
            .as_ref()
            .filter(|_| self.dead_letters != DeadLetters::Off)
        else {
            return Ok(vec![None; self.topics.len()]);
        };
        let admin = self.bus.admin();
        let known = crate::again(JOIN, || admin.topics()).await?;
        let partitions = |name: &str| known.iter().find(|t| &*t.name == name).map(|t| t.partitions);
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for origin in &self.topics {
            let count = match partitions(&origin.name) {
                Some(count) => count,
                None => admin.positions(&origin.name, Start::Earliest).await?.len() as u32,
            };
            let topic = match &self.dead_letters {
                DeadLetters::To(topic) => topic.clone(),
                _ => format!("{}.{group}.dlq", origin.name).into(),
            };
            check_name(&topic).map_err(|e| e.context("dead-letter topic"))?;
            let there = partitions(&topic);
            if there.is_none() {
                missing.push(TopicSpec::new(topic.clone()).partitions(count));
            }
            found.push(Some(DeadLetter {
                topic,
                partitions: there.unwrap_or(count),
            }));
        }
        if let (Some(first), false) = (missing.first(), self.create_topics) {
            let text = format!(
                "dead-letter topic `{}` does not exist; create it with `bus topics create {} --partitions {}`",
                first.name, first.name, first.partitions
            );
            return Err(Error::new(ErrorKind::TopicMissing, text));
        }
        if !missing.is_empty() {
            crate::again(JOIN, || admin.create(&missing)).await?;
        }
        Ok(found)
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
