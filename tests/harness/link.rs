//! A way to a memory bus that can be harmed, as a network and a server can: what goes over it waits while it is cut, in
//! order, and a request that is under way arrives later even if nobody waits for its answer any more.
//!
//! A memory bus has no requests that could be carried out twice, so a lost reply only costs time here. It is the faults
//! of the suite's own test that make a duplicate of it.

use async_trait::async_trait;
use bus::{
    Ack, Admin, Backend, Error, ErrorKind, Message, Outcome, Pending, Publisher, Result, Subscriber, Unsent,
    backend::Memory,
};
use bus_core::{Done, Event, GroupSpec, Limits, Name, Room, Shard, Source, Start, TopicLag, TopicSpec};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    time::{sleep, timeout},
};

type Outcomes = Vec<Result<Outcome, Unsent>>;

/// How long a client takes to find out that a reply was lost, and to ask again.
const ASKED_AGAIN: Duration = Duration::from_millis(20);

/// The way.
#[derive(Debug)]
pub(crate) struct Link {
    up: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Replies to lose.
    lost: usize,
    /// Replies lost and requests delayed.
    struck: usize,
    /// How much later the next request arrives.
    late: Option<Duration>,
}

/// A request under way.
#[derive(Debug)]
struct Waiting {
    publisher: Arc<dyn Publisher>,
    topic: String,
    batch: Vec<Message>,
    reply: oneshot::Sender<Pending>,
}

impl Link {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            up: watch::Sender::new(true),
            state: Mutex::default(),
        })
    }
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn cut(&self) {
        self.up.send_replace(false);
    }
    /// What waits goes first, in order.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        for waiting in state.waiting.drain(..) {
            let pending = waiting.publisher.publish_batch(&waiting.topic, waiting.batch);
            // Nobody may be waiting any more: it is on its way all the same.
            let _ = waiting.reply.send(pending);
        }
        self.up.send_replace(true);
    }
    pub(crate) fn lose_replies(&self, count: usize) {
        self.state().lost += count;
    }
    pub(crate) fn delay_request(&self, by: Duration) {
        self.state().late = Some(by);
    }
    pub(crate) fn struck(&self) -> usize {
        self.state().struck
    }
    fn is_up(&self) -> bool {
        *self.up.borrow()
    }
    async fn opens(&self) {
        let _ = self.up.subscribe().wait_for(|up| *up).await;
    }
    async fn closes(&self) {
        let _ = self.up.subscribe().wait_for(|up| !*up).await;
    }
}

/// A handle that goes over the way.
#[derive(Debug)]
pub(crate) struct Far {
    pub(crate) memory: Memory,
    pub(crate) link: Arc<Link>,
    pub(crate) publish_timeout: Duration,
    /// One for each connection, beside the one that counts.
    pub(crate) connections: Arc<()>,
}

#[async_trait]
impl Backend for Far {
    fn name(&self) -> &'static str {
        self.memory.name()
    }
    fn limits(&self) -> Limits {
        self.memory.limits()
    }
    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        self.link.opens().await;
        Ok(Arc::new(FarPublisher {
            inner: self.memory.publisher().await?,
            link: self.link.clone(),
            publish_timeout: self.publish_timeout,
            _connection: self.connections.clone(),
        }))
    }
    async fn subscribe(&self, source: Source) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
        self.link.opens().await;
        let (inner, ack) = self.memory.subscribe(source).await?;
        let (link, connection) = (self.link.clone(), self.connections.clone());
        let subscriber = FarSubscriber {
            inner,
            link: link.clone(),
            _connection: connection,
        };
        Ok((Box::new(subscriber), Arc::new(FarAck { inner: ack, link })))
    }
    fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(FarAdmin {
            inner: self.memory.admin(),
            link: self.link.clone(),
        })
    }
    fn health(&self) -> Result<()> {
        match self.link.is_up() {
            true => self.memory.health(),
            false => Err(Error::unavailable("the way to the bus is cut")),
        }
    }
}

#[derive(Debug)]
struct FarPublisher {
    inner: Arc<dyn Publisher>,
    link: Arc<Link>,
    publish_timeout: Duration,
    _connection: Arc<()>,
}

#[async_trait]
impl Publisher for FarPublisher {
    fn publish_batch(&self, topic: &str, batch: Vec<Message>) -> Pending {
        let (limit, count) = (self.publish_timeout, batch.len());
        let mut state = self.link.state();
        if self.link.is_up() {
            let pause = match (state.late.take(), state.lost) {
                (Some(late), _) => late,
                (None, 0) => return self.inner.publish_batch(topic, batch),
                _ => {
                    state.lost -= 1;
                    ASKED_AGAIN
                }
            };
            state.struck += 1;
            let pending = self.inner.publish_batch(topic, batch);
            return Pending::new(async move {
                sleep(pause).await;
                pending.await
            });
        }
        let (reply, answer) = oneshot::channel();
        state.waiting.push_back(Waiting {
            publisher: self.inner.clone(),
            topic: topic.to_owned(),
            batch,
            reply,
        });
        Pending::new(async move {
            match timeout(limit, answer).await {
                Ok(Ok(pending)) => pending.await,
                _ => unanswered(count),
            }
        })
    }
    async fn close(&self) -> Result<()> {
        self.link.opens().await;
        self.inner.close().await
    }
}

fn unanswered(count: usize) -> Outcomes {
    let one = |_| {
        Err(Unsent::unknown(Error::new(
            ErrorKind::Timeout,
            "the way to the bus is cut",
        )))
    };
    (0..count).map(one).collect()
}

#[derive(Debug)]
struct FarSubscriber {
    inner: Box<dyn Subscriber>,
    link: Arc<Link>,
    _connection: Arc<()>,
}

#[async_trait]
impl Subscriber for FarSubscriber {
    async fn receive(&mut self, room: Room, events: &mut Vec<Event>) -> Result<()> {
        loop {
            self.link.opens().await;
            tokio::select! {
                biased;
                () = self.link.closes() => {}
                received = self.inner.receive(room, events) => return received,
            }
        }
    }
    fn pause(&mut self, shard: Shard, paused: bool) {
        self.inner.pause(shard, paused);
    }
    async fn seek(&mut self, shard: Shard, to: Start) -> Result<()> {
        self.link.opens().await;
        self.inner.seek(shard, to).await
    }
    async fn close(&mut self) -> Result<()> {
        self.inner.close().await
    }
}

#[derive(Debug)]
struct FarAck {
    inner: Arc<dyn Ack>,
    link: Arc<Link>,
}

#[async_trait]
impl Ack for FarAck {
    async fn commit(&self, done: Vec<Done>) -> Vec<Result<()>> {
        self.link.opens().await;
        self.inner.commit(done).await
    }
    async fn release(&self, shard: Shard) -> Result<()> {
        self.link.opens().await;
        self.inner.release(shard).await
    }
}

#[derive(Debug)]
struct FarAdmin {
    inner: Arc<dyn Admin>,
    link: Arc<Link>,
}

impl FarAdmin {
    async fn there(&self) -> &dyn Admin {
        self.link.opens().await;
        &*self.inner
    }
}

#[async_trait]
impl Admin for FarAdmin {
    async fn create(&self, topics: &[TopicSpec]) -> Result<()> {
        self.there().await.create(topics).await
    }
    async fn delete(&self, topic: &str) -> Result<()> {
        self.there().await.delete(topic).await
    }
    async fn topics(&self) -> Result<Vec<TopicSpec>> {
        self.there().await.topics().await
    }
    async fn grow(&self, topic: &str, partitions: u32) -> Result<()> {
        self.there().await.grow(topic, partitions).await
    }
    async fn positions(&self, topic: &str, at: Start) -> Result<Vec<(u32, u128)>> {
        self.there().await.positions(topic, at).await
    }
    async fn groups(&self) -> Result<Vec<Name>> {
        self.there().await.groups().await
    }
    async fn group(&self, group: &str) -> Result<GroupSpec> {
        self.there().await.group(group).await
    }
    async fn delete_group(&self, group: &str) -> Result<()> {
        self.there().await.delete_group(group).await
    }
    async fn facts(&self) -> Result<Vec<(Name, String)>> {
        self.there().await.facts().await
    }
    async fn lag(&self, group: &str) -> Result<Vec<TopicLag>> {
        self.there().await.lag(group).await
    }
    async fn reset(&self, group: &str, topic: &str, to: Start) -> Result<()> {
        self.there().await.reset(group, topic, to).await
    }
}
