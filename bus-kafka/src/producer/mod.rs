//! Publishing: a message's way from the caller's batch into librdkafka, and its report's way back.

mod deadlines;
mod denied;
mod destination;
mod gate;
mod outcome;
mod publisher;
mod reports;
mod rules;
mod spread;

pub(crate) use deadlines::Taken;
pub(crate) use destination::Destination;
pub(crate) use outcome::outcomes;
pub(crate) use publisher::KafkaPublisher;
pub(crate) use rules::HEADROOM;

use crate::{
    KafkaConfig,
    health::Health,
    native::{Client, Delivery, Queue, Topic},
};
use bus_core::{Error, Message, Name, Outcome, Result, Unsent, partition::Partitioner};
use denied::Denied;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How long a publisher's producer that failed waits for answers to what is under way. What has none then is unknown.
const GRACE: Duration = Duration::from_secs(2);
/// How long a request that was given up may still wait in a broker: as long as that waits for replicas before it reads on.
const LATE: Duration = Duration::from_secs(30);
/// How often a producer that takes its place looks whether it has them.
const STEP: Duration = Duration::from_millis(5);

/// The idempotent producer that all publishers of a backend, and outputs without a transaction, share.
pub(crate) struct Producer {
    shared: Arc<Shared>,
}

/// What callers and the thread that reads the reports have in common.
struct Shared {
    client: Arc<Client>,
    queue: Queue,
    health: Arc<Health>,
    partitioner: Partitioner,
    /// Bytes of one message on the wire.
    limit: usize,
    deadline: Duration,
    refresh: Duration,
    destinations: Mutex<HashMap<Name, Arc<Destination>>>,
    /// Topics to look up, for the thread that may block; `None` ends it.
    lookups: mpsc::Sender<Option<Arc<Destination>>>,
    /// Messages taken and not reported yet.
    in_flight: AtomicUsize,
    idle: Notify,
    /// No owner is left: the thread ends when nothing is in flight.
    stop: AtomicBool,
    /// A fatal error of the idempotent producer: nothing can be sent through it any more.
    dead: AtomicBool,
    /// Of a publisher: it fails rather than begin another epoch, and gives up by itself what is beyond its
    /// deadline. A transaction is aborted instead.
    one_epoch: bool,
    denied: Arc<Denied>,
    /// What came to nothing may still reach a broker until then: it would be stored behind what another producer sends.
    late: Mutex<Option<Instant>>,
    /// Since it failed, when a message to a topic came to nothing last: what was taken before that is behind it, also where
    /// its successor took it.
    failed: Mutex<HashMap<Name, Instant>>,
    /// The one whose place it takes is through: from then on it sends.
    sends: AtomicBool,
}

impl Producer {
    /// For publishers; it sends nothing while `before` has something under way, which it takes the place of.
    pub(crate) fn start(
        config: &KafkaConfig,
        health: Arc<Health>,
        before: Option<Arc<Self>>,
    ) -> Result<Arc<Self>> {
        let client = Client::publisher(config.publisher_conf()?)
            .map_err(|why| Error::invalid(format!("kafka producer: {why}")))?;
        Self::new(client, config, config.publish_deadline, health, true, before)
    }

    /// For transactions, over a client that is there already; a message gets `deadline`.
    pub(crate) fn over(
        client: Arc<Client>,
        config: &KafkaConfig,
        deadline: Duration,
        health: Arc<Health>,
    ) -> Result<Arc<Self>> {
        Self::new(client, config, deadline, health, false, None)
    }

    fn new(
        client: Arc<Client>,
        config: &KafkaConfig,
        deadline: Duration,
        health: Arc<Health>,
        one_epoch: bool,
        before: Option<Arc<Self>>,
    ) -> Result<Arc<Self>> {
        let queue = client.main();
        let (lookups, inbox) = mpsc::channel();
        let shared = Arc::new(Shared {
            lookups,
            client,
            queue,
            health,
            partitioner: config.partitioner,
            limit: config.message_max(),
            deadline,
            refresh: config.metadata_refresh,
            destinations: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            idle: Notify::new(),
            stop: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            one_epoch,
            denied: before
                .as_ref()
                .map(|b| b.shared.denied.clone())
                .unwrap_or_default(),
            late: Mutex::default(),
            failed: Mutex::default(),
            sends: AtomicBool::new(before.is_none()),
        });
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(work)
                .map_err(|e| Error::unavailable("no thread for the kafka producer").source(e))
        };
        let thread = shared.clone();
        spawn(
            "bus-kafka-topics",
            Box::new(move || destination::look_up(&thread, &inbox, before)),
        )?;
        let thread = shared.clone();
        spawn("bus-kafka-reports", Box::new(move || reports::run(&thread)))?;
        Ok(Arc::new(Self { shared }))
    }

    /// Takes a batch: it is in its queues, in order, when this returns.
    pub(crate) fn take(&self, topic: &str, messages: Vec<Message>) -> Arc<Delivery> {
        let destination = self.shared.destination(topic);
        let batch = Delivery::new(destination.clone(), messages);
        self.shared
            .in_flight
            .fetch_add(batch.messages.len(), Ordering::AcqRel);
        destination.take(&self.shared, batch.clone());
        batch
    }

    /// Stores a batch and tells each message's outcome.
    pub(crate) async fn publish(&self, topic: &str, messages: Vec<Message>) -> Vec<Result<Outcome, Unsent>> {
        let batch = self.take(topic, messages);
        batch.finished().await;
        outcome::outcomes(&batch)
    }

    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.shared.client
    }

    /// What would be said about a message without sending it, if something is wrong with it. Blocks while the topic is
    /// looked up, until `deadline` at most.
    pub(crate) fn refuses(&self, topic: &str, message: &Message, deadline: Instant) -> Option<Error> {
        let report = self
            .shared
            .destination(topic)
            .refuses(&self.shared, message, deadline)?;
        outcome::outcome(topic, report, message)
            .err()
            .map(Unsent::into_error)
    }

    /// Fails whatever is not reported yet, so that the threads end soon after the last owner is gone.
    pub(crate) fn abandon(&self) {
        self.shared.client.purge(true);
    }

    /// Whether a fatal error ended it; a new one has to be started then.
    pub(crate) fn is_dead(&self) -> bool {
        self.shared.dead.load(Ordering::Acquire) || self.shared.client.has_failed()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Acquire)
    }

    /// Waits until nothing is in flight, here or at whom this takes the place of, nor may arrive late; or until nobody
    /// waits for `next`, which takes the place of this. Blocks.
    fn wait(&self, next: &Shared) {
        let left = || next.stop.load(Ordering::Acquire) && next.in_flight.load(Ordering::Acquire) == 0;
        let late = || self.shared.late.lock().is_some_and(|end| Instant::now() < end);
        let through = || self.shared.sends.load(Ordering::Acquire) && self.in_flight() == 0 && !late();
        while !left() && !through() {
            std::thread::sleep(STEP);
        }
    }

    /// Waits until nothing is in flight, sending at once what lingers.
    /// # Errors
    /// `Timeout` with the number of messages without an answer.
    pub(crate) async fn drain(&self, deadline: Duration) -> Result<()> {
        let emptied = async {
            loop {
                let idle = self.shared.idle.notified();
                tokio::pin!(idle);
                idle.as_mut().enable();
                if self.in_flight() == 0 {
                    return;
                }
                idle.await;
            }
        };
        tokio::pin!(emptied);
        // With the default linger of 0 everything is under way already; `flush` rounds up to 100 ms.
        if tokio::time::timeout(Duration::from_millis(20), &mut emptied)
            .await
            .is_ok()
        {
            return Ok(());
        }
        let client = self.shared.client.clone();
        let flush = tokio::task::spawn_blocking(move || client.flush(deadline));
        let result = tokio::time::timeout(deadline, emptied).await;
        drop(flush);
        result.map_err(|_| {
            let left = self.in_flight();
            Error::new(
                bus_core::ErrorKind::Timeout,
                format!("kafka publisher closed with {left} messages that nobody confirmed: they may be stored or not"),
            )
        })
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

impl Shared {
    fn destination(&self, topic: &str) -> Arc<Destination> {
        let mut destinations = self.destinations.lock();
        if let Some(known) = destinations.get(topic) {
            return known.clone();
        }
        let name = Name::from(topic);
        let new = Arc::new(Destination::new(
            name.clone(),
            Topic::new(&self.client, topic),
            self.limit,
            self.deadline,
        ));
        destinations.insert(name, new.clone());
        new
    }

    /// What is unknown may arrive for so long.
    fn may_arrive(&self, after: Duration) {
        let mut late = self.late.lock();
        *late = Some(late.unwrap_or_else(Instant::now).max(Instant::now() + after));
    }

    /// A message to the topic came to nothing. Where this failed, its successor takes what follows.
    fn nothing_behind(&self, topic: &Name) {
        if self.one_epoch && self.client.has_failed() {
            self.failed.lock().insert(topic.clone(), Instant::now());
        }
    }

    /// Counts messages down that have their report.
    fn reported(&self, count: usize) {
        if count > 0 && self.in_flight.fetch_sub(count, Ordering::AcqRel) == count {
            self.idle.notify_waiters();
        }
    }
}
