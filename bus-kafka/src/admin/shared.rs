//! A client that only asks questions: sent from any task, answered on one thread.

use crate::{
    events,
    health::Health,
    native::{Client, Event, Kind, Queue},
};
use bus_core::{Error, Result};
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

/// What the asking tasks and the answering thread share. The client lives as long as the thread, and that until it was
/// told to stop, or nobody has asked for `idle`, and nothing is waited for.
pub(super) struct Shared {
    queue: Queue,
    client: Arc<Client>,
    health: Arc<Health>,
    open: Mutex<HashMap<usize, Answer>>,
    next: AtomicUsize,
    stop: AtomicBool,
    idle: Option<Duration>,
}

/// Sends what `read` makes of the answer.
pub(super) fn answer<R: Send + 'static>(
    read: impl FnOnce(&Event<'_>) -> R + Send + 'static,
) -> (Answer, oneshot::Receiver<R>) {
    let (answer, answered) = oneshot::channel();
    (Box::new(move |event| drop(answer.send(read(event)))), answered)
}

impl Shared {
    pub(super) fn start(
        client: Result<Arc<Client>, String>,
        health: Arc<Health>,
        idle: Option<Duration>,
    ) -> Result<Arc<Self>> {
        let client = client.map_err(|why| Error::invalid(format!("kafka client: {why}")))?;
        let shared = Arc::new(Self {
            queue: client.main(),
            client,
            health,
            open: Mutex::default(),
            next: AtomicUsize::new(1),
            stop: AtomicBool::new(false),
            idle,
        });
        let thread = shared.clone();
        std::thread::Builder::new()
            .name("bus-kafka-admin".to_owned())
            .spawn(move || thread.run())
            .map_err(|e| Error::unavailable("no thread for the kafka client").source(e))?;
        Ok(shared)
    }

    /// Registers a request; gives the answer back when the thread is about to end.
    pub(super) fn open(self: Arc<Self>, answer: Answer) -> Result<Open, Answer> {
        let tag = {
            let mut open = self.open.lock();
            if self.stop.load(Ordering::Acquire) {
                return Err(answer);
            }
            let tag = self.next.fetch_add(1, Ordering::Relaxed);
            open.insert(tag, answer);
            tag
        };
        Ok(Open { shared: self, tag })
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }
    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// Whether the thread may end. Under the lock under which requests are registered: none comes behind it.
    fn is_over(&self, used: Instant) -> bool {
        let open = self.open.lock();
        if open.is_empty() && self.idle.is_some_and(|idle| used.elapsed() > idle) {
            self.stop();
        }
        open.is_empty() && self.stop.load(Ordering::Acquire)
    }

    fn run(&self) {
        let (mut probed, mut used) = (Instant::now(), Instant::now());
        while !self.is_over(used) {
            // Only the client that asks no particular group looks for brokers by itself.
            if self.idle.is_none() && self.health.is_down() && probed.elapsed() > PROBE {
                probed = Instant::now();
                // Not the cluster: when all its brokers are fenced the answer is empty, and librdkafka 2.12 ends the
                // process over an empty answer. One about a topic never is.
                self.client
                    .describe_topics([PROBE_TOPIC], &self.queue, PROBE_TAG, 2 * PROBE);
            }
            let Some(event) = self.queue.poll(Duration::from_millis(500)) else {
                continue;
            };
            if event.kind() == Kind::Answer {
                used = Instant::now();
                if event.code().is_ok() {
                    self.health.up();
                }
                let answer = self.open.lock().remove(&event.tag());
                if let Some(answer) = answer {
                    answer(&event);
                }
            } else {
                events::common(&event, "admin", &self.health);
            }
        }
    }
}

/// While every broker is out of reach, one of them is asked for anything once a second: nobody else may be talking.
const PROBE: Duration = Duration::from_secs(1);
/// The topic that it is asked for. It need not exist, and asking does not create it.
const PROBE_TOPIC: &str = "bus-probe";
/// The tag of such a question. Requests count from 1.
const PROBE_TAG: usize = 0;

/// A request that is waited for.
pub(super) struct Open {
    shared: Arc<Shared>,
    tag: usize,
}

impl Open {
    pub(super) fn send(&self, send: impl FnOnce(&Client, &Queue, usize) -> Result<(), String>) -> Result<()> {
        send(&self.shared.client, &self.shared.queue, self.tag).map_err(Error::invalid)
    }
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.open.lock().remove(&self.tag);
    }
}
