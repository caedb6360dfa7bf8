//! Topics that are made when somebody publishes to them.

use bus_core::{
    Bus, Error, ErrorKind, Message, Name, Outcome, Pending, Publisher, Result, TopicSpec, Unsent,
};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};
use tokio::sync::{Notify, oneshot};

/// Makes each topic once. What is published meanwhile waits in line, so that it keeps its order.
#[derive(Default)]
pub(crate) struct Creator {
    there: RwLock<HashSet<Name>>,
    specs: Mutex<HashMap<Name, TopicSpec>>,
    waiting: Mutex<HashMap<Name, Vec<Waiting>>>,
    /// A line was served.
    served: Notify,
}

struct Waiting {
    /// Empty: somebody only wants to know.
    batch: Vec<Message>,
    reply: oneshot::Sender<Result<Pending>>,
}

impl Creator {
    /// What a topic is to be made with.
    pub(crate) fn define(&self, topic: &str, spec: impl FnOnce() -> TopicSpec) {
        if !self.is_there(topic) {
            lock(&self.specs).entry(topic.into()).or_insert_with(spec);
        }
    }
    pub(crate) fn publish(self: &Arc<Self>, bus: &Bus, topic: &str, batch: Vec<Message>) -> Pending {
        if self.is_there(topic) {
            return self.watched(topic.into(), Publisher::publish_batch(bus, topic, batch));
        }
        let count = batch.len();
        let (reply, answer) = oneshot::channel();
        let Some(batch) = self.wait(bus, topic, Waiting { batch, reply }) else {
            return Pending::new(async move {
                match answer.await {
                    Ok(Ok(pending)) => pending.await,
                    Ok(Err(error)) => refuse(count, &error),
                    Err(_) => refuse(count, &Error::closed("the runtime")),
                }
            });
        };
        Publisher::publish_batch(bus, topic, batch)
    }
    /// A topic that turns out to be deleted is made again for the next publish. This one says that it was missing: what was
    /// published before it may be lost with the topic, and who publishes is to know that.
    fn watched(self: &Arc<Self>, topic: Name, pending: Pending) -> Pending {
        match pending.now() {
            Ok(outcomes) => {
                self.look(&topic, &outcomes);
                Pending::ready(outcomes)
            }
            Err(pending) => {
                let this = self.clone();
                Pending::new(async move {
                    let outcomes = pending.await;
                    this.look(&topic, &outcomes);
                    outcomes
                })
            }
        }
    }
    fn look(&self, topic: &Name, outcomes: &[Result<Outcome, Unsent>]) {
        let is_gone = |outcome: &Result<Outcome, Unsent>| {
            let error = outcome.as_ref().err();
            error.is_some_and(|unsent| unsent.error().kind() == ErrorKind::TopicMissing)
        };
        if outcomes.iter().any(is_gone) {
            let mut there = self.there.write().unwrap_or_else(PoisonError::into_inner);
            there.remove(topic);
        }
    }
    /// Returns once there is such a topic.
    pub(crate) async fn exists(self: &Arc<Self>, bus: &Bus, topic: &str) -> Result<()> {
        if self.is_there(topic) {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        let batch = Vec::new();
        if self.wait(bus, topic, Waiting { batch, reply }).is_some() {
            return Ok(());
        }
        answer.await.map_err(|_| Error::closed("the runtime"))?.map(drop)
    }
    /// Returns once nobody waits for a topic any more.
    pub(crate) async fn settled(&self) {
        loop {
            let mut served = std::pin::pin!(self.served.notified());
            served.as_mut().enable();
            if lock(&self.waiting).is_empty() {
                return;
            }
            served.await;
        }
    }
    /// Takes its place in the line; the batch comes back where there is no line any more.
    fn wait(self: &Arc<Self>, bus: &Bus, topic: &str, waiting: Waiting) -> Option<Vec<Message>> {
        let mut lines = lock(&self.waiting);
        if self.is_there(topic) {
            return Some(waiting.batch);
        }
        let line = lines.entry(topic.into()).or_default();
        line.push(waiting);
        if line.len() == 1 {
            tokio::spawn(self.clone().make(bus.clone(), topic.into()));
        }
        None
    }
    async fn make(self: Arc<Self>, bus: Bus, topic: Name) {
        let made = self.ensure(&bus, &topic).await;
        // Under the lock, so that nobody who comes now overtakes those who waited.
        let mut lines = lock(&self.waiting);
        for Waiting { batch, reply } in lines.remove(&topic).unwrap_or_default() {
            let answer = match &made {
                Ok(()) => Ok(Publisher::publish_batch(&bus, &topic, batch)),
                Err(error) => Err(error.duplicate()),
            };
            // Whoever does not wait any more has not taken it back.
            if let Err(Ok(pending)) = reply.send(answer) {
                tokio::spawn(pending);
            }
        }
        if made.is_ok() {
            self.there
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(topic);
        }
        drop(lines);
        self.served.notify_waiters();
    }
    async fn ensure(&self, bus: &Bus, topic: &Name) -> Result<()> {
        let known = lock(&self.specs).get(topic).cloned();
        let spec = known.unwrap_or_else(|| TopicSpec::new(topic.clone()));
        spec.check()?;
        let there = bus.admin().topics().await?;
        if there.iter().any(|there| there.name == *topic) {
            return Ok(());
        }
        let partitions = spec.partitions;
        bus.ensure_topics([spec]).await?;
        tracing::info!(
            topic = &**topic,
            partitions,
            "the topic was missing and has been made"
        );
        Ok(())
    }
    fn is_there(&self, topic: &str) -> bool {
        self.there
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(topic)
    }
}

impl fmt::Debug for Creator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Creator")
    }
}

fn refuse<T>(count: usize, error: &Error) -> Vec<Result<T, Unsent>> {
    (0..count)
        .map(|_| Err(Unsent::not_stored(error.duplicate())))
        .collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
