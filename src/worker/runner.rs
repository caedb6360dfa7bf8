//! Running a worker.

use super::{Outcomes, Work, Worker, Working, call::Calls, options::Options};
use crate::{
    Bus, Json, Topic,
    event::Carried,
    handler::{Failure, Running, Scope},
};
use bus_core::{Codec, Name, Result, Retry, Start, Subscribe, TopicSpec};
use std::{fmt, panic::Location, sync::Arc, time::Duration};
use tower::{Layer, Service};

type Around<I, O> = Box<dyn FnOnce(Working<I, O>) -> Working<I, O> + Send>;
type Configure<T, C> = Box<dyn FnOnce(Subscribe<T, C>) -> Subscribe<T, C> + Send>;

/// A worker to be run: set what differs from its constants, then [start](Runner::start) it.
#[track_caller]
pub fn worker<W: Worker<C, O>, C, O>(worker: W) -> Runner<W, C, O> {
    Runner {
        topic: worker.topic(),
        output: worker.output(),
        worker,
        options: Options::of::<W, C, O>(),
        carried: Carried::default(),
        configure: Vec::new(),
        layers: Vec::new(),
        place: Location::caller(),
    }
}

/// A worker to be run: set what differs from its constants, then [start](Self::start) it.
#[must_use = "a worker runs once it is started"]
pub struct Runner<W: Worker<C, O>, C = Json, O = C> {
    worker: W,
    topic: Topic<W::Input, C>,
    output: Option<Topic<W::Output, O>>,
    options: Options,
    carried: Carried,
    configure: Vec<Configure<W::Input, C>>,
    layers: Vec<Around<W::Input, W::Output>>,
    place: &'static Location<'static>,
}

impl<W: Worker<C, O>, C, O> Runner<W, C, O> {
    /// Sets the group (default: [`Worker::GROUP`]).
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.options.group = group.into().into();
        self
    }
    /// Sets how many messages, or batches, are worked on at the same time (default: [`Worker::CONCURRENCY`]).
    pub fn concurrency(mut self, most: usize) -> Self {
        self.options.concurrency = most;
        self
    }
    /// Sets waits and tries (default: [`Worker::RETRY`]).
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options.retry = retry;
        self
    }
    /// Sets where messages go that are given up; may hold `{topic}` and `{group}` (default: [`Worker::DEAD_LETTER`]).
    pub fn dead_letter(mut self, topic: impl Into<String>) -> Self {
        self.options.dead_letter = Some(topic.into().into());
        self
    }
    /// Sets how many messages a batch holds, at most (default: [`Worker::BATCH_SIZE`]).
    pub fn batch_size(mut self, messages: usize) -> Self {
        self.options.batch_size = messages;
        self
    }
    /// Sets the age of its oldest message at which a batch goes (default: [`Worker::BATCH_TIMEOUT`]).
    pub fn batch_timeout(mut self, age: Duration) -> Self {
        self.options.batch_timeout = age;
        self
    }
    /// Headers that are carried from messages to what is published for them, beside correlation and causation ids.
    pub fn carry(mut self, headers: impl IntoIterator<Item = impl Into<Name>>) -> Self {
        self.carried.headers.extend(headers.into_iter().map(Into::into));
        self
    }
    /// Reads every topic whose name matches the name of its topic, where `*` stands for any run of characters and `?` for one:
    /// [`subscribe_pattern`](bus_core::Bus::subscribe_pattern).
    pub fn matching(mut self) -> Self {
        self.options.scope = Scope::Matching;
        self
    }
    /// Reads without its group: every process that runs it gets every message, from now on, or from where
    /// [`start`](Subscribe::start) in [`subscription`](Self::subscription) says. Nothing is stored: what happens while it does
    /// not run is missed, and what fails for the last time is logged and skipped.
    pub fn everyone(mut self) -> Self {
        self.options.scope = Scope::Everyone;
        self
    }
    /// Sets what else [`Subscribe`] has: the start of a new group, bounds, what happens to expired messages.
    pub fn subscription(
        mut self,
        configure: impl FnOnce(Subscribe<W::Input, C>) -> Subscribe<W::Input, C> + Send + 'static,
    ) -> Self {
        self.configure.push(Box::new(configure));
        self
    }
    /// Wraps each call of [`process`](Worker::process), or of [`process_batch`](Worker::process_batch), in a tower layer; the last
    /// one added is called first. An error of the layer, such as a timeout, is a failure of the message, or of each message
    /// of the batch. A call that waits for a layer counts as one of [`concurrency`](Self::concurrency). Output, hooks and ack
    /// come after the layers.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Working<W::Input, W::Output>> + Send + 'static,
        L::Service: Service<Work<W::Input>, Response = Outcomes<W::Output>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Work<W::Input>>>::Error: Into<Failure>,
        <L::Service as Service<Work<W::Input>>>::Future: Send,
    {
        self.layers.push(Box::new(move |inner| inner.layer(&layer)));
        self
    }
    pub(crate) fn set_concurrency(&mut self, most: usize) {
        self.options.concurrency = most;
    }
    pub(crate) fn default_dead_letter(&mut self, template: &str) {
        let given = &mut self.options.dead_letter;
        given.get_or_insert_with(|| template.to_owned().into());
    }
    pub(crate) fn dead_letter_template(&self) -> Option<&str> {
        self.options.dead_letter.as_deref()
    }
    /// What it reads, and as whom.
    pub(crate) fn source(&self) -> Option<(&str, &str)> {
        let of_group = self.options.scope != Scope::Everyone;
        of_group.then(|| (self.topic.name(), &*self.options.group))
    }
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.options.name
    }
    /// The topics it needs: what it reads, unless that is a pattern, and where its outputs go.
    pub fn topics(&self) -> Vec<TopicSpec> {
        let output = self.output.as_ref().map(Topic::spec);
        let input = (self.options.scope != Scope::Matching).then(|| self.topic.spec());
        input.into_iter().chain(output).collect()
    }
    /// Where it was made in the program, for messages about it.
    pub fn place(&self) -> &'static Location<'static> {
        self.place
    }
    /// Refuses settings that cannot be, before anything is asked of a broker.
    /// # Errors
    /// `Invalid`, with the name of the worker and its place in the program.
    pub fn check(&self) -> Result<()> {
        self.options.check(self.place)
    }
}

impl<W, C, O> Runner<W, C, O>
where
    W: Worker<C, O>,
    C: Codec<W::Input>,
    O: Codec<W::Output>,
{
    /// Joins the group, and works until it is drained.
    /// # Errors
    /// As [`check`](Self::check); `TopicMissing`, also for the topic of its outputs, without which the first of them would
    /// end it; what subscribing says.
    pub async fn start(self, bus: &Bus) -> Result<Running> {
        self.check()?;
        let options = self.options;
        if let Some(output) = &self.output {
            let there = bus.admin().positions(output.name(), Start::Latest).await;
            there.map_err(|e| e.context(format!("outputs of worker `{}`", options.name)))?;
        }
        let mut subscribe = options.scope.subscribe(bus, &self.topic, &options.group);
        subscribe = subscribe.retry(options.retry).order(options.order);
        if let Some(topic) = options
            .dead_letter
            .as_ref()
            .filter(|_| options.scope != Scope::Everyone)
        {
            subscribe = subscribe.dead_letter(&**topic);
        }
        if options.exactly_once {
            subscribe = subscribe.exactly_once();
        }
        // While some batches are worked on, another is filled.
        let window = (options.concurrency + 1).saturating_mul(options.batch_size);
        if window > WINDOW {
            subscribe = subscribe.in_flight_unless_said(window);
        }
        for configure in self.configure {
            subscribe = configure(subscribe);
        }
        let subscription = subscribe.await?;
        let control = subscription.control();
        let worker = Arc::new(self.worker);
        let layered = (!self.layers.is_empty()).then(|| {
            let inner = Working::new(worker.clone(), options.batch_size > 1);
            self.layers.into_iter().fold(inner, |inner, around| around(inner))
        });
        let calls = Arc::new(Calls {
            worker,
            layered,
            name: options.name,
            output: self.output,
            carried: self.carried.by(bus),
            limit: bus.backend().limits().message,
        });
        let (size, concurrency) = (options.batch_size, options.concurrency);
        let task = if size > 1 {
            let handler = move |tasks| calls.clone().batch(tasks);
            tokio::spawn(subscription.for_each_chunk(size, options.batch_timeout, concurrency, handler))
        } else {
            tokio::spawn(subscription.for_each(concurrency, move |task| calls.clone().one(task)))
        };
        Ok(Running::new(control, task))
    }
    /// [`start`](Self::start), and waits until it has ended.
    /// # Errors
    /// What starting says, or what ended it.
    pub async fn run(self, bus: &Bus) -> Result<()> {
        self.start(bus).await?.ended().await
    }
}

/// The window of a subscription unless it is said otherwise.
const WINDOW: usize = 1024;

impl<W: Worker<C, O>, C, O> fmt::Debug for Runner<W, C, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("topic", &self.topic)
            .field("output", &self.output)
            .field("options", &self.options)
            .field("place", &format_args!("{}", self.place))
            .finish_non_exhaustive()
    }
}
