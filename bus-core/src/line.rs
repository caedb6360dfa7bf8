//! Where a publish waits for its payload, and those behind it for their turn.

use crate::{Error, ErrorKind, Message, Name, Pending, Result, Unsent};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::{
    sync::{Notify, oneshot},
    task::{JoinError, JoinHandle},
};

/// Calls that may wait for one topic's first payload; a call more is refused, and stores nothing.
const LONGEST: usize = 65_536;

type Publish = Box<dyn FnOnce(Vec<Message>) -> Pending + Send>;

/// The lines of a bus, one for each topic to which something is published that has to wait for its payload. What is published
/// to that topic meanwhile waits behind it, so that it keeps its order.
#[derive(Default)]
pub struct Line {
    /// How many lines there are: nobody else takes the lock.
    waiting: AtomicUsize,
    shut: AtomicBool,
    lines: Mutex<HashMap<Name, VecDeque<Waiting>>>,
    served: Notify,
}

struct Waiting {
    payload: Option<JoinHandle<Result<Bytes>>>,
    batch: Vec<Message>,
    publish: Publish,
    reply: oneshot::Sender<Pending>,
}

impl Line {
    /// Publishes this message once its payload is there. Inside a tokio runtime only. The payloads of a line are made side by
    /// side, so that what cannot be fetched is not waited for once more by each.
    pub fn join(
        self: &Arc<Self>,
        topic: &str,
        message: Message,
        payload: BoxFuture<'static, Result<Bytes>>,
        publish: impl FnOnce(Vec<Message>) -> Pending + Send + 'static,
    ) -> Pending {
        if self.shut.load(Relaxed) {
            return Pending::ready(refuse(1, &Error::closed("the bus")));
        }
        let payload = tokio::spawn(payload);
        let (pending, serving) = self.push(
            &mut self.lines.lock(),
            topic,
            Some(payload),
            vec![message],
            Box::new(publish),
        );
        serve(serving);
        pending
    }
    /// Publishes behind those that wait for this topic, or gives the batch back where nobody does.
    /// # Errors
    /// The batch: publish it now.
    pub fn behind<P>(
        self: &Arc<Self>,
        topic: &str,
        batch: Vec<Message>,
        publish: impl FnOnce() -> P,
    ) -> Result<Pending, Vec<Message>>
    where
        P: FnOnce(Vec<Message>) -> Pending + Send + 'static,
    {
        if self.is_empty() {
            return Err(batch);
        }
        let mut lines = self.lines.lock();
        if !lines.contains_key(topic) {
            return Err(batch);
        }
        let (pending, serving) = self.push(&mut lines, topic, None, batch, Box::new(publish()));
        drop(lines);
        serve(serving);
        Ok(pending)
    }
    /// Takes nobody any more who would have to wait.
    pub fn shut(&self) {
        self.shut.store(true, Relaxed);
    }
    /// Whether nobody waits: one load, for the path of every publish.
    pub fn is_empty(&self) -> bool {
        self.waiting.load(Relaxed) == 0
    }
    fn close(&self, lines: &mut HashMap<Name, VecDeque<Waiting>>, topic: &str) -> Option<VecDeque<Waiting>> {
        self.waiting.fetch_sub(1, Relaxed);
        lines.remove(topic)
    }
    /// Returns once nobody waits any more.
    pub async fn served(&self) {
        loop {
            let mut served = std::pin::pin!(self.served.notified());
            served.as_mut().enable();
            if self.is_empty() {
                return;
            }
            served.await;
        }
    }
    fn push(
        self: &Arc<Self>,
        lines: &mut HashMap<Name, VecDeque<Waiting>>,
        topic: &str,
        payload: Option<JoinHandle<Result<Bytes>>>,
        batch: Vec<Message>,
        publish: Publish,
    ) -> (Pending, Option<Serving>) {
        let count = batch.len();
        let (reply, answer) = oneshot::channel();
        let line = lines.entry(topic.into()).or_default();
        if line.len() >= LONGEST {
            let full =
                format!("{LONGEST} publishes to `{topic}` wait for its codec already; await some of them");
            return (Pending::ready(refuse(count, &Error::unavailable(full))), None);
        }
        line.push_back(Waiting {
            payload,
            batch,
            publish,
            reply,
        });
        let serving = (line.len() == 1).then(|| {
            self.waiting.fetch_add(1, Relaxed);
            Serving {
                line: self.clone(),
                topic: topic.into(),
                over: false,
            }
        });
        let pending = Pending::new(async move {
            match answer.await {
                Ok(pending) => pending.await,
                Err(_) => refuse(count, &Error::closed("the runtime")),
            }
        });
        (pending, serving)
    }
}

/// Not under the lock: a runtime that shuts down drops what is spawned at once, and that takes the lock.
fn serve(serving: Option<Serving>) {
    if let Some(serving) = serving {
        tokio::spawn(serving.run());
    }
}

/// Held by the task that serves one line: when it goes away, also with its runtime, nobody is left waiting for it.
struct Serving {
    line: Arc<Line>,
    topic: Name,
    /// Whether its line is closed: one of this name belongs to somebody else from then on.
    over: bool,
}

impl Serving {
    async fn run(mut self) {
        while !self.over {
            let payload = match self
                .line
                .lines
                .lock()
                .get_mut(&self.topic)
                .and_then(VecDeque::front_mut)
            {
                Some(first) => first.payload.take(),
                None => return,
            };
            let payload = match payload {
                Some(payload) => Some(payload.await.unwrap_or_else(|error| Err(not_made(&error)))),
                None => None,
            };
            // A long line of those whose payload is there would keep the thread.
            tokio::task::consume_budget().await;
            // Under the lock, so that nobody who comes now overtakes those who wait.
            let mut lines = self.line.lines.lock();
            let Some(waiting) = lines.get_mut(&self.topic).and_then(VecDeque::pop_front) else {
                return;
            };
            waiting.go(payload);
            if lines.get(&self.topic).is_none_or(VecDeque::is_empty) {
                // Under the same lock: who joins after it begins a line of his own.
                self.line.close(&mut lines, &self.topic);
                self.over = true;
            }
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !self.over {
            let left = self.line.close(&mut self.line.lines.lock(), &self.topic);
            // Whoever waits there learns that the runtime is closed.
            drop(left);
        }
        self.line.served.notify_waiters();
    }
}

impl Waiting {
    fn go(self, payload: Option<Result<Bytes>>) {
        let Self {
            mut batch,
            publish,
            reply,
            ..
        } = self;
        let pending = match payload {
            Some(Err(error)) => Pending::ready(refuse(batch.len(), &error)),
            payload => {
                if let (Some(Ok(payload)), Some(message)) = (payload, batch.first_mut()) {
                    message.payload = Some(payload);
                }
                publish(batch)
            }
        };
        // Whoever does not wait any more has not taken it back.
        if let Err(pending) = reply.send(pending) {
            tokio::spawn(async move {
                for unsent in pending.await.into_iter().filter_map(Result::err) {
                    tracing::warn!(error = %unsent, "a message that nobody waits for was not stored");
                }
            });
        }
    }
}

fn not_made(error: &JoinError) -> Error {
    match error.is_panic() {
        true => Error::new(ErrorKind::Other, "the codec panicked while it made a payload"),
        false => Error::closed("the runtime"),
    }
}

fn refuse<T>(count: usize, error: &Error) -> Vec<Result<T, Unsent>> {
    (0..count)
        .map(|_| Err(Unsent::not_stored(error.duplicate())))
        .collect()
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Line").field(&self.waiting.load(Relaxed)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    /// A line that ends while another publish joins is not taken for the line of the next.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn whoever_joins_as_a_line_ends_is_served() {
        const EACH: usize = 20_000;
        let line = Arc::new(Line::default());
        let publisher = |line: Arc<Line>| async move {
            for n in 0..EACH {
                let stored = |batch: Vec<Message>| {
                    assert_eq!(batch[0].payload.as_deref(), Some(&b"late"[..]));
                    Pending::ready(vec![Ok(Outcome::Disabled)])
                };
                let payload = Box::pin(async { Ok(Bytes::from_static(b"late")) });
                let told = line.join("t", Message::default(), payload, stored).await;
                assert!(told[0].is_ok(), "{n}: {:?}", told[0]);
            }
        };
        let publishers: Vec<_> = (0..4).map(|_| tokio::spawn(publisher(line.clone()))).collect();
        for publisher in publishers {
            publisher.await.unwrap();
        }
        line.served().await;
        assert!(line.is_empty() && line.lines.lock().is_empty());
    }

    /// A runtime that is over drops what is spawned in it, on the thread that spawns where it has ended by then.
    #[test]
    fn whoever_joins_as_the_runtime_ends_is_refused() {
        let over = tokio::runtime::Runtime::new().unwrap();
        let handle = over.handle().clone();
        over.shutdown_timeout(std::time::Duration::from_secs(10));
        let line = Arc::new(Line::default());
        let told = {
            let _inside = handle.enter();
            let payload = Box::pin(async { Ok(Bytes::new()) });
            line.join("t", Message::default(), payload, |_| unreachable!())
        };
        let waiting = tokio::runtime::Runtime::new().unwrap();
        let told =
            waiting.block_on(async { tokio::time::timeout(std::time::Duration::from_secs(10), told).await });
        assert!(matches!(&told.unwrap()[..], [Err(unsent)] if unsent.error().kind() == ErrorKind::Closed));
        assert!(line.is_empty());
    }
}
