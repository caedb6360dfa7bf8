//! [`bus_core::Publisher`] over the shared producer.

use super::{GRACE, Producer, outcome};
use async_trait::async_trait;
use bus_core::{Error, Message, Pending, Publisher, Result, Unsent};
use parking_lot::RwLock;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub(crate) struct KafkaPublisher {
    /// `None` when everything is closed. A close that is given up leaves it, with what is in flight.
    producer: RwLock<Option<Arc<Producer>>>,
    /// Nothing is taken any more.
    closing: AtomicBool,
    deadline: Duration,
    restart: Box<dyn Fn() -> Result<Arc<Producer>> + Send + Sync>,
}

impl KafkaPublisher {
    /// `restart` brings a new producer after a fatal error of the old one.
    pub(crate) fn new(
        producer: Arc<Producer>,
        deadline: Duration,
        restart: impl Fn() -> Result<Arc<Producer>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            producer: RwLock::new(Some(producer)),
            closing: AtomicBool::new(false),
            deadline,
            restart: Box::new(restart),
        }
    }

    fn producer(&self) -> Result<Arc<Producer>> {
        let current = self.producer.read().clone();
        match current.filter(|_| !self.closing.load(Ordering::Acquire)) {
            None => Err(Error::closed("the publisher")),
            Some(producer) if !producer.is_dead() => Ok(producer),
            Some(_) => {
                let new = (self.restart)()?;
                let mut slot = self.producer.write();
                if slot.is_none() {
                    return Err(Error::closed("the publisher"));
                }
                *slot = Some(new.clone());
                Ok(new)
            }
        }
    }
}

impl fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_flight = self.producer.read().as_ref().map(|p| p.in_flight());
        f.debug_struct("KafkaPublisher")
            .field("in_flight", &in_flight)
            .finish()
    }
}

#[async_trait]
impl Publisher for KafkaPublisher {
    fn publish_batch(&self, topic: &str, batch: Vec<Message>) -> Pending {
        match self.producer() {
            Ok(producer) => {
                let delivery = producer.take(topic, batch);
                Pending::new(async move {
                    delivery.finished().await;
                    outcome::outcomes(&delivery)
                })
            }
            Err(error) => {
                let refused = batch
                    .iter()
                    .map(|_| Err(Unsent::not_stored(error.duplicate())))
                    .collect();
                Pending::ready(refused)
            }
        }
    }

    async fn close(&self) -> Result<()> {
        self.closing.store(true, Ordering::Release);
        let Some(producer) = self.producer.read().clone() else {
            return Ok(());
        };
        // A message is given up at its deadline, or a little later.
        let slack = self.deadline / 50 + GRACE + Duration::from_secs(2);
        let drained = producer.drain(self.deadline + slack).await;
        *self.producer.write() = None;
        drained
    }
}
