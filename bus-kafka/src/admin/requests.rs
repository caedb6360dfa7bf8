//! Questions to the cluster: sent from any task, answered on one thread.

use crate::{
    KafkaConfig, error, events,
    health::Health,
    native::{Client, Cluster, Code, Event, Failure, Kind, Queue, Topic, TopicInfo},
};
use bus_core::{Error, Name, Result};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

type Answer = Box<dyn FnOnce(&Event<'_>) + Send>;

/// A client that only asks questions.
pub(crate) struct Requests {
    shared: Arc<Shared>,
    pub(super) timeout: Duration,
    pub(super) brokers: String,
}

struct Shared {
    client: Arc<Client>,
    queue: Queue,
    health: Arc<Health>,
    open: Mutex<HashMap<usize, Answer>>,
    next: AtomicUsize,
    stop: AtomicBool,
}

impl Requests {
    pub(crate) fn start(config: &KafkaConfig, health: Arc<Health>) -> Result<Self> {
        let client = Client::producer(config.admin_conf()?)
            .map_err(|why| Error::invalid(format!("kafka client: {why}")))?;
        let shared = Arc::new(Shared {
            queue: client.main(),
            client,
            health,
            open: Mutex::default(),
            next: AtomicUsize::new(1),
            stop: AtomicBool::new(false),
        });
        let thread = shared.clone();
        std::thread::Builder::new()
            .name("bus-kafka-admin".to_owned())
            .spawn(move || run(&thread))
            .map_err(|e| Error::unavailable("no thread for the kafka client").source(e))?;
        Ok(Self {
            shared,
            timeout: config.request_timeout,
            brokers: config.brokers.clone(),
        })
    }

    /// Sends a request with a tag of its own and reads what comes back.
    pub(super) async fn ask<R: Send + 'static>(
        &self,
        send: impl FnOnce(&Client, &Queue, usize) -> Result<(), String>,
        read: impl FnOnce(&Event<'_>) -> R + Send + 'static,
    ) -> Result<R> {
        let tag = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.shared.open.lock().insert(
            tag,
            Box::new(move |event| {
                let _ = answer.send(read(event));
            }),
        );
        if let Err(why) = send(&self.shared.client, &self.shared.queue, tag) {
            self.shared.open.lock().remove(&tag);
            return Err(Error::invalid(why));
        }
        answered.await.map_err(|_| Error::closed("the kafka client"))
    }

    pub(crate) async fn cluster(&self, timeout: Duration) -> Result<Cluster, Failure> {
        self.ask(
            |client, queue, tag| {
                client.describe_cluster(queue, tag, timeout);
                Ok(())
            },
            |event| match event.failure() {
                Some(failure) => Err(failure),
                None => event.cluster().ok_or_else(|| Failure::new(Code::STATE)),
            },
        )
        .await
        .unwrap_or_else(|_| Err(Failure::new(Code::DESTROY)))
    }

    /// The topics as the cluster describes them; a missing one carries its failure.
    pub(crate) async fn describe(&self, names: &[Name]) -> Result<Vec<TopicInfo>> {
        let timeout = self.timeout;
        self.ask(
            |client, queue, tag| {
                client.describe_topics(names.iter().map(|n| &**n), queue, tag, timeout);
                Ok(())
            },
            |event| match event.failure() {
                Some(failure) => Err(failure),
                None => Ok(event.topics()),
            },
        )
        .await?
        .map_err(|failure| self.failed("looking up topics", &failure))
    }

    /// Asks any broker for anything.
    pub(crate) async fn reach(&self, timeout: Duration) -> Result<(), Failure> {
        let client = self.client();
        blocking(move || client.reach(timeout)).await
    }

    /// How many partitions an existing topic has.
    pub(crate) async fn partitions(&self, topic: &str) -> Result<u32> {
        bus_core::check_name(topic)?;
        let deadline = Instant::now() + self.timeout;
        let mut missing = 0;
        loop {
            let (client, name, timeout) = (self.client(), topic.to_owned(), self.timeout);
            let found = blocking(move || match Topic::new(&client, &name) {
                Some(topic) => topic.look_up(timeout),
                None => Err(Failure::new(Code::TOPIC_EXCEPTION)),
            });
            let failure = match found.await {
                Ok(partitions) => return Ok(partitions),
                Err(failure) => failure,
            };
            let error = self.failed(&format!("looking up topic `{topic}`"), &failure);
            if failure.code == Code::UNKNOWN_TOPIC_OR_PART {
                // A topic that was just created is not known to every broker at once.
                missing += 1;
                if missing == 3 {
                    return Err(Error::topic_missing(topic));
                }
            } else if !error.is_transient() || Instant::now() >= deadline {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// An error that also says where.
    pub(super) fn failed(&self, what: &str, failure: &Failure) -> Error {
        let mut failure = failure.clone();
        if matches!(failure.code, Code::TIMED_OUT | Code::TRANSPORT)
            && let Some(reason) = self.shared.health.last_reason()
        {
            failure.text = reason;
        }
        error::classify(format_args!("{what} at {}", self.brokers), &failure)
    }

    /// For the one question that librdkafka only answers while it blocks.
    pub(super) fn client(&self) -> Arc<Client> {
        self.shared.client.clone()
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

/// Runs what librdkafka can only do while it blocks.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::new(Code::DESTROY)),
    }
}

/// While every broker is out of reach, one of them is asked for anything once a second: nobody else may be talking.
const PROBE: Duration = Duration::from_secs(1);
/// The tag of such a question. Requests count from 1.
const PROBE_TAG: usize = 0;

fn run(shared: &Shared) {
    let mut probed = Instant::now();
    while !shared.stop.load(Ordering::Acquire) {
        if shared.health.is_down() && probed.elapsed() > PROBE {
            probed = Instant::now();
            shared
                .client
                .describe_cluster(&shared.queue, PROBE_TAG, 2 * PROBE);
        }
        let Some(event) = shared.queue.poll(Duration::from_millis(500)) else {
            continue;
        };
        if event.kind() == Kind::Answer {
            if event.code().is_ok() {
                shared.health.up();
            }
            let answer = shared.open.lock().remove(&event.tag());
            if let Some(answer) = answer {
                answer(&event);
            }
        } else {
            events::common(&event, "admin", &shared.health);
        }
    }
    shared.open.lock().clear();
}
