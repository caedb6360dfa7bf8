//! A consumer: a group of a topic, and the handler of its messages.

use super::{
    Failure, Handler, HandlerService, Incoming, IntoResponse, Response, Route, Running, Scope, Slot, caught,
};
use crate::{
    Bus,
    event::{Carried, Context},
    service::Responder,
};
use bus_core::{
    Bytes, Control, Delivery, Error, Name, Raw, Result, Subscribe, Topic, TopicSpec, Working, check_name,
};
use std::{fmt, panic::Location, sync::Arc};
use tower::{Layer, Service};

type Configure = Box<dyn FnOnce(Subscribe<Bytes, Raw>) -> Subscribe<Bytes, Raw> + Send>;

/// A handler for each message of `topic`, as a member of `group`: an async function with [extractors](super#extractors), or
/// a built [router](crate::router).
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use bus::{Bus, Topic, handler::{Attempt, Failure, Payload, consumer}};
/// # use std::time::Duration;
/// const ORDERS: Topic<String> = Topic::new("orders").partitions(4);
///
/// async fn bill(Payload(order): Payload<String>, attempt: Attempt) -> Result<(), Failure> {
///     println!("{order}, try {}", attempt.number);
///     Ok(())
/// }
///
/// let bus = Bus::connect("memory://").await?;
/// bus.ensure_topics([ORDERS.spec()]).await?;
/// let running = consumer(&ORDERS, "billing", bill).concurrency(8).start(&bus).await?;
/// running.drain(Duration::from_secs(30)).await?;
/// # Ok::<_, bus::Error>(()) }).unwrap();
/// ```
/// A message that fails, cannot be decoded, or makes the handler panic never ends it: it is tried again, or becomes a
/// dead letter, by the retry policy of the subscription.
#[track_caller]
pub fn consumer<H, M>(topic: impl Into<TopicSpec>, group: impl Into<Name>, handler: H) -> Consumer
where
    H: Handler<M, ()>,
    M: 'static,
{
    consumer_with(topic, group, handler, ())
}

/// As [`consumer`], with the state that its handler's [`State`](super::State) extractors read.
#[track_caller]
pub fn consumer_with<H, M, S>(
    topic: impl Into<TopicSpec>,
    group: impl Into<Name>,
    handler: H,
    state: S,
) -> Consumer
where
    H: Handler<M, S>,
    M: 'static,
    S: Clone + Send + Sync + 'static,
{
    Consumer {
        topics: vec![topic.into()],
        group: group.into(),
        by_hand: handler.settles_by_hand(),
        route: HandlerService::route(handler, state),
        acknowledge: Acknowledge::default(),
        answers: false,
        concurrency: 1,
        scope: Scope::default(),
        dead_letter: None,
        carried: Carried::default(),
        configure: Vec::new(),
        place: Location::caller(),
    }
}

/// When messages are settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acknowledge {
    /// By what the handler returns (default: at least once). A handler whose last argument is a `Delivery<Bytes>` settles
    /// its messages by hand instead.
    #[default]
    After,
    /// Before the handler is called, and stored before it is: at most once, for telemetry. Failures are logged and
    /// nothing is tried again; a crash loses what is being handled. Each message waits for a commit, which those that
    /// run at the same time share, so give it [concurrency](Consumer::concurrency). With more than one, messages of a key
    /// may overlap.
    Before,
}

/// A consumer to be: set what differs from the defaults, then [start](Self::start) it.
#[must_use = "a consumer runs once it is started"]
pub struct Consumer {
    topics: Vec<TopicSpec>,
    group: Name,
    route: Route,
    by_hand: bool,
    acknowledge: Acknowledge,
    answers: bool,
    concurrency: usize,
    scope: Scope,
    dead_letter: Option<String>,
    carried: Carried,
    configure: Vec<Configure>,
    place: &'static Location<'static>,
}

impl Consumer {
    /// Reads this topic too.
    pub fn and(mut self, topic: impl Into<TopicSpec>) -> Self {
        self.topics.push(topic.into());
        self
    }
    /// Reads every topic whose name matches the name of its topic, where `*` stands for any run of characters and `?` for one:
    /// [`subscribe_pattern`](bus_core::Bus::subscribe_pattern).
    ///
    /// ```
    /// # use bus::handler::{consumer, Origin};
    /// async fn audit(from: Origin) { println!("{}", from.topic) }
    /// let audit = consumer("orders.*", "audit", audit).matching();
    /// ```
    pub fn matching(mut self) -> Self {
        self.scope = Scope::Matching;
        self
    }
    /// Reads without its group, whose name then only serves to find it: every process that runs it gets every message, from
    /// now on, or from where [`start`](Subscribe::start) in [`subscription`](Self::subscription) says. Nothing is stored: what
    /// happens while it does not run is missed, and what fails for the last time is logged and skipped.
    pub fn everyone(mut self) -> Self {
        self.scope = Scope::Everyone;
        self
    }
    /// Where messages go that are given up; may hold `{topic}` and `{group}` (default: what the bus or the
    /// [`App`](crate::App) say, else `{topic}.{group}.dlq`).
    pub fn dead_letter(mut self, topic: impl Into<String>) -> Self {
        self.dead_letter = Some(topic.into());
        self
    }
    /// Messages that are handled at the same time, at most (default 1: what keeps order for everybody). Never two of one key;
    /// messages without a key have no order.
    pub fn concurrency(mut self, most: usize) -> Self {
        self.concurrency = most;
        self
    }
    /// When messages are settled (default: [after](Acknowledge::After) the handler).
    pub fn acknowledge(mut self, when: Acknowledge) -> Self {
        self.acknowledge = when;
        self
    }
    /// Answers [requests](Bus::request): what the handler returns ([`Reply`](super::Reply)) goes back to whoever asked, and so
    /// does a failure or a panic, with its text and [status](Failure::status); nothing returned is answered by `null`. A request is
    /// done with its answer: one that failed is not tried again here, because whoever asked decides about that. Messages
    /// that ask for nothing are handled as ever. Only one group of a topic should answer.
    pub fn answer_requests(mut self) -> Self {
        self.answers = true;
        self
    }
    /// Headers that are carried from the messages that are handled to those that are published meanwhile, beside
    /// correlation and causation ids.
    pub fn carry(mut self, headers: impl IntoIterator<Item = impl Into<Name>>) -> Self {
        self.carried.headers.extend(headers.into_iter().map(Into::into));
        self
    }
    /// Sets what [`Subscribe`] has: retries, dead letters, order, start, bounds.
    ///
    /// ```
    /// # use bus::{Retry, handler::consumer};
    /// # use std::time::Duration;
    /// # async fn bill() {}
    /// let billing = consumer("orders", "billing", bill)
    ///     .subscription(|s| s.retry(Retry::exponential(Duration::from_secs(1)).max_retries(5)).in_flight(64));
    /// ```
    pub fn subscription(
        mut self,
        configure: impl FnOnce(Subscribe<Bytes, Raw>) -> Subscribe<Bytes, Raw> + Send + 'static,
    ) -> Self {
        self.configure.push(Box::new(configure));
        self
    }
    /// Wraps the handler in a tower layer; the last one added is called first. An error of the layer, such as a timeout,
    /// is a failure of the message.
    ///
    /// ```
    /// # use bus::handler::{consumer, Incoming, Route};
    /// # async fn bill() {}
    /// use tower::util::MapRequestLayer;
    /// let billing = consumer("orders", "billing", bill).layer(MapRequestLayer::new(|mut message: Incoming| {
    ///     message.parts_mut().extensions.insert(std::time::Instant::now());
    ///     message
    /// }));
    /// ```
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route>,
        L::Service: Service<Incoming> + Clone + Send + Sync + 'static,
        <L::Service as Service<Incoming>>::Response: IntoResponse,
        <L::Service as Service<Incoming>>::Error: Into<Failure>,
        <L::Service as Service<Incoming>>::Future: Send,
    {
        self.route = self.route.layer(&layer);
        self
    }
    /// Its group.
    pub fn group(&self) -> &str {
        &self.group
    }
    /// The topics that it reads.
    pub fn topics(&self) -> &[TopicSpec] {
        &self.topics
    }
    /// Where it was made in the program, for messages about it.
    pub fn place(&self) -> &'static Location<'static> {
        self.place
    }
    pub(crate) fn set_concurrency(&mut self, most: usize) {
        self.concurrency = most;
    }
    /// What was set by hand wins.
    pub(crate) fn default_dead_letter(&mut self, template: &str) {
        self.dead_letter.get_or_insert_with(|| template.to_owned());
    }
    /// `None` where what configures its subscription may say something else.
    pub(crate) fn dead_letter_template(&self) -> Option<&str> {
        let known = self.configure.is_empty() && self.scope != Scope::Everyone;
        known.then(|| self.dead_letter.as_deref().unwrap_or("{topic}.{group}.dlq"))
    }
    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |text: &str| {
            let text = format!("consumer of group `{}` at {}: {text}", self.group, self.place);
            Err(Error::invalid(text))
        };
        check_name(&self.group).map_err(|e| e.context(format!("group of the consumer at {}", self.place)))?;
        if self.scope == Scope::Matching && self.topics.len() > 1 {
            return wrong("a pattern stands alone: give other topics a consumer of their own");
        }
        if self.concurrency == 0 {
            return wrong("concurrency is 0: at least one message has to be handled at a time");
        }
        if self.by_hand && self.acknowledge == Acknowledge::Before {
            return wrong(
                "its handler takes the `Delivery`, which `Acknowledge::Before` has settled already: drop one of them",
            );
        }
        Ok(())
    }
    /// Joins the group, and handles messages until it is drained. What its handlers publish as events is from this bus's
    /// [`event_source`](Bus::event_source).
    /// # Errors
    /// `Invalid` for settings that cannot be, with the place of the consumer in the program; what subscribing says.
    pub async fn start(self, bus: &Bus) -> Result<Running> {
        self.check()?;
        let mut topics = self.topics.iter().map(raw);
        let Some(first) = topics.next() else {
            return Err(Error::invalid("a consumer needs a topic"));
        };
        let mut subscribe = self.scope.subscribe(bus, &first, &self.group);
        for topic in topics {
            subscribe = subscribe.and(&topic);
        }
        if let Some(topic) = self.dead_letter.filter(|_| self.scope != Scope::Everyone) {
            subscribe = subscribe.dead_letter(topic);
        }
        for configure in self.configure {
            subscribe = configure(subscribe);
        }
        let subscription = subscribe.await?;
        let control = subscription.control();
        let face = Arc::new(Face {
            route: self.route,
            carried: self.carried.by(bus),
            answering: self.answers.then(|| bus.clone()),
            before: (self.acknowledge == Acknowledge::Before).then(|| control.clone()),
        });
        let handling = subscription.for_each(self.concurrency, move |delivery| face.clone().handle(delivery));
        Ok(Running::new(control, tokio::spawn(handling)))
    }
    /// [`start`](Self::start), and waits until it has ended.
    /// # Errors
    /// What starting says, or what ended it.
    pub async fn run(self, bus: &Bus) -> Result<()> {
        self.start(bus).await?.ended().await
    }
}

fn raw(spec: &TopicSpec) -> Topic<Bytes, Raw> {
    Topic::named(&*spec.name)
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("topics", &self.topics)
            .field("group", &self.group)
            .field("concurrency", &self.concurrency)
            .field("acknowledge", &self.acknowledge)
            .field("place", &format_args!("{}", self.place))
            .finish_non_exhaustive()
    }
}

/// What stands between a subscription and a handler.
struct Face {
    route: Route,
    carried: Arc<Carried>,
    /// Where answers are published.
    answering: Option<Bus>,
    /// At most once: by which acks are stored.
    before: Option<Control>,
}

impl Face {
    async fn handle(self: Arc<Self>, delivery: Delivery<Bytes>) {
        let incoming = match Incoming::of(&delivery) {
            Ok(incoming) => incoming,
            Err(error) => return self.refuse(delivery, error).await,
        };
        let record = &incoming.parts().record;
        let responder = self.answering.as_ref().map(|bus| Responder::of(bus, record));
        let answered = responder.as_ref().map(Responder::answered);
        let context = Context::new(record.clone(), self.carried.clone()).answered_by(answered);
        match &self.before {
            None => Context::scope(Some(context), self.settle_after(delivery, incoming, responder)).await,
            Some(control) => {
                let working = delivery.working();
                match delivery.ack_stored(control).await {
                    Ok(None) => {}
                    Ok(Some(_)) => {
                        Context::scope(Some(context), self.only_tell(incoming, responder, &working)).await;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "an ack was not stored; its message is left to whoever gets it");
                    }
                }
            }
        }
    }
    /// It is no event: a dead letter, unless somebody waits for an answer.
    async fn refuse(&self, delivery: Delivery<Bytes>, error: Error) {
        tell(&delivery, &error);
        let responder = self
            .answering
            .as_ref()
            .map(|bus| Responder::of(bus, delivery.record()));
        match responder.filter(Responder::is_asked) {
            Some(responder) => {
                let mut response = Failure::undecodable(error).into_response();
                responder.answer(&mut response).await;
                response.verdict.settle(delivery);
            }
            None => delivery.undecodable(error),
        }
    }
    async fn settle_after(
        &self,
        delivery: Delivery<Bytes>,
        incoming: Incoming,
        responder: Option<Responder>,
    ) {
        let slot = Slot::new(delivery);
        let Response { verdict, .. } = self.respond(incoming.with_slot(slot.clone()), responder).await;
        let error = verdict.error();
        match (slot.take(), error) {
            (Some(delivery), error) => {
                if let Some(error) = error {
                    tell(&delivery, &error);
                }
                verdict.settle(delivery);
            }
            // It was settled by hand.
            (None, Some(error)) => tracing::warn!(error, "a handler that settles by hand failed"),
            (None, None) => {}
        }
    }
    async fn respond(&self, mut incoming: Incoming, responder: Option<Responder>) -> Response {
        if let Some(responder) = &responder {
            incoming.parts_mut().extensions.insert(responder.clone());
        }
        let answered = caught(self.route.clone().answer(incoming)).await;
        let mut response = answered.unwrap_or_else(Failure::into_response);
        if let Some(responder) = responder {
            responder.answer(&mut response).await;
        }
        response
    }
    async fn only_tell(&self, incoming: Incoming, responder: Option<Responder>, working: &Working) {
        let (topic, partition) = (incoming.parts().topic.clone(), incoming.parts().partition);
        let response = self.respond(incoming, responder).await;
        if let Some(error) = response.verdict.error() {
            working.fail(error);
            tracing::warn!(
                topic = &*topic,
                partition,
                error,
                "a handler failed; its message is not tried again"
            );
        }
    }
}

fn tell(delivery: &Delivery<Bytes>, error: &dyn fmt::Display) {
    let (topic, partition, attempt) = (delivery.topic(), delivery.partition(), delivery.attempt());
    let position = bus_core::position::format(delivery.position());
    if delivery.is_last_attempt() {
        tracing::error!(topic, partition, position, attempt, %error, "a message failed for the last time");
    } else {
        tracing::warn!(topic, partition, position, attempt, %error, "a message failed");
    }
}
