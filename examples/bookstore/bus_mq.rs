//! The port of the domain, on the bus.

use crate::shop::MqHelper;
use bus::{Message, Publisher, PublisherExt};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// Events become messages, whatever publishes them.
pub(crate) struct BusMq {
    publisher: Arc<dyn Publisher>,
    topic: String,
    /// The last one could not be published, and it was said.
    failing: Arc<AtomicBool>,
}

impl BusMq {
    pub(crate) fn new(publisher: Arc<dyn Publisher>, topic: &str) -> Self {
        Self {
            publisher,
            topic: topic.to_owned(),
            failing: Arc::default(),
        }
    }
}

impl MqHelper for BusMq {
    fn send_event(&self, key: &str, bytes: Vec<u8>) {
        let message = Message::new(bytes)
            .keyed(key.to_owned())
            .header("content-type", "application/json");
        // The bus takes it here, and waits for it when it is closed; whether it was stored comes later.
        let stored = self.publisher.publish_message(&self.topic, message).into_future();
        let failing = self.failing.clone();
        tokio::spawn(async move {
            match stored.await {
                Ok(_) => failing.store(false, Relaxed),
                Err(error) if failing.swap(true, Relaxed) => {
                    tracing::debug!(%error, "a search was not told of")
                }
                Err(error) => {
                    tracing::warn!(%error, "a search was not told of; nor are others until it works again")
                }
            }
        });
    }
}
