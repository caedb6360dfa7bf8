//! Numbered messages, and publishing them on the record.

use super::{Failure, History, Id, Lab, Proof, What};
use crate::{Bus, Message, Outcome, Receipt, Unsent};
use std::{fmt, sync::Arc};

/// What a message of the suite is known by.
pub(crate) fn id_of(payload: Option<&[u8]>) -> Id {
    Arc::from(String::from_utf8_lossy(payload.unwrap_or_default()))
}

/// A key as the history has it.
pub(crate) fn key_of(key: Option<&[u8]>) -> Option<Id> {
    key.map(|key| Arc::from(String::from_utf8_lossy(key)))
}

/// Message number `n` of this key.
pub(crate) fn keyed(key: impl fmt::Display, n: usize) -> Message {
    let key = key.to_string();
    Message::new(format!("{key}:{n}")).keyed(key)
}

/// `count` messages, dealt in turn to `keys` keys.
pub(crate) fn messages(keys: usize, count: usize) -> Vec<Message> {
    (0..count)
        .map(|n| keyed(format_args!("k{}", n % keys), n / keys))
        .collect()
}

/// `count` messages without keys, spread over partitions.
pub(crate) fn unkeyed(name: &str, partitions: u32, count: usize) -> Vec<Message> {
    let message = |n| Message::new(format!("{name}:{n}")).to_partition(n as u32 % partitions);
    (0..count).map(message).collect()
}

/// The payloads, sorted.
pub(crate) fn names(messages: &[Message]) -> Vec<String> {
    let mut names: Vec<_> = messages
        .iter()
        .map(|m| id_of(m.payload.as_deref()).to_string())
        .collect();
    names.sort();
    names
}

/// Where a message was stored, or the failure.
pub(crate) fn stored(outcome: Result<Outcome, Unsent>) -> Result<Receipt, Failure> {
    match outcome? {
        Outcome::Stored(receipt) => Ok(receipt),
        other => Err(Failure::new(format_args!(
            "expected a message to be stored, got {other:?}"
        ))),
    }
}

impl Lab {
    /// Publishes batches of up to 500, puts each message on the record, and returns where they were stored.
    pub(crate) async fn publish(
        &self,
        bus: &Bus,
        topic: &str,
        history: &History,
        messages: Vec<Message>,
    ) -> Result<Vec<Receipt>, Failure> {
        let mut receipts = Vec::with_capacity(messages.len());
        for batch in messages.chunks(500) {
            for m in batch {
                history.add(
                    &id_of(m.payload.as_deref()),
                    &key_of(m.key.as_deref()),
                    What::Published,
                );
            }
            receipts.extend(self.store(bus, topic, batch.to_vec()).await?);
        }
        Ok(receipts)
    }
    /// Publishes one batch off the record.
    pub(crate) async fn store(
        &self,
        bus: &Bus,
        topic: &str,
        batch: Vec<Message>,
    ) -> Result<Vec<Receipt>, Failure> {
        let (count, what) = (batch.len(), format!("publishing {} messages", batch.len()));
        let outcomes = self.within(what, bus.publish_batch(topic, batch)).await?;
        ensure_eq!(outcomes.len(), count, "outcomes of a batch");
        outcomes.into_iter().map(stored).collect()
    }
    /// Publishes one message off the record.
    pub(crate) async fn store_one(
        &self,
        bus: &Bus,
        topic: &str,
        message: Message,
    ) -> Result<Receipt, Failure> {
        let receipts = self.store(bus, topic, vec![message]).await?;
        receipts
            .into_iter()
            .next()
            .ok_or_else(|| Failure::new("no receipt"))
    }
    /// Publishes on the record, one message after the other, until it is told to stop; then says how many.
    pub(crate) fn publish_steadily(
        &self,
        bus: &Bus,
        topic: &str,
        history: &Arc<History>,
        keys: usize,
    ) -> Steady {
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let (lab, bus, topic, history) = (self.clone(), bus.clone(), topic.to_owned(), history.clone());
        let task = tokio::spawn(async move {
            for n in 0.. {
                if stopped.try_recv() != Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
                    break;
                }
                let batch = (0..keys).map(|key| keyed(format_args!("k{key}"), n)).collect();
                if let Err(failure) = lab.publish(&bus, &topic, &history, batch).await {
                    history.fail(format!("the publisher: {failure}"));
                    return Err(failure);
                }
                // A rate, so that a fast server does not drown the members: about 100 rounds a second.
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            Ok(())
        });
        Steady { stop, task }
    }
}

/// A publisher that goes on until it is stopped.
#[derive(Debug)]
pub(crate) struct Steady {
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Proof>,
}

impl Steady {
    /// Stops it and waits for its last message.
    pub(crate) async fn stop(self) -> Proof {
        drop(self.stop);
        self.task.await?
    }
}
