//! A publisher that does not store what it was given.

use super::{Fault, shared::Shared};
use crate::{
    Admin, Error, Headers, Message, Outcome, Pending, Publisher, Receipt, Result, TopicSpec, Unsent,
    partition,
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::task::yield_now;

#[derive(Debug)]
pub(super) struct BrokenPublisher {
    pub(super) inner: Arc<dyn Publisher>,
    pub(super) admin: Arc<dyn Admin>,
    pub(super) shared: Arc<Shared>,
    /// What the first close is to store; `None` after it.
    pub(super) held: Mutex<Option<Held>>,
}

#[async_trait]
impl Publisher for BrokenPublisher {
    fn publish_batch(&self, topic: &str, batch: Vec<Message>) -> Pending {
        let (shared, fault) = (self.shared.clone(), self.shared.fault);
        if matches!(fault, Fault::TakeLate | Fault::CreateMissing) {
            let (inner, admin, topic) = (self.inner.clone(), self.admin.clone(), topic.to_owned());
            return Pending::new(async move {
                if fault == Fault::CreateMissing {
                    let _ = admin.create(&[TopicSpec::new(topic.as_str())]).await;
                }
                inner.publish_batch(&topic, batch).await
            });
        }
        if fault == Fault::CloseOnce {
            let confirmed = batch.iter().map(|_| Ok(nowhere())).collect();
            if let Some(held) = &mut *self.held.lock() {
                held.push((topic.to_owned(), batch));
            }
            return Pending::ready(confirmed);
        }
        if let Some(answer) = self.harmed(topic, &batch) {
            return answer;
        }
        let count = batch.len();
        let (mut topic, mut sent, mut lost) = (topic.to_owned(), Vec::with_capacity(count), Vec::new());
        let mut repeats = Vec::new();
        {
            let mut state = shared.state.lock();
            for (at, message) in batch.into_iter().enumerate() {
                state.published += 1;
                let nth = |n: u64| state.published.is_multiple_of(n);
                match fault {
                    Fault::LoseEvery(n) if nth(n) => {
                        lost.push(at);
                        continue;
                    }
                    Fault::DuplicateEvery(n) if nth(n) => repeats.push(message.clone()),
                    _ => {}
                }
                if fault == Fault::SkipForeign {
                    state.own.insert(message.payload.clone());
                }
                sent.push(alter(fault, message));
            }
            if let Fault::MixTopics(n) = fault {
                let nth = state.published.is_multiple_of(n);
                if let Some(last) = state.last_topic.replace(topic.clone()).filter(|_| nth) {
                    topic = last;
                }
            }
        }
        let reversed = fault == Fault::ReverseBatches;
        if reversed {
            sent.reverse();
        }
        let pending = self.inner.publish_batch(&topic, sent);
        let again = (!repeats.is_empty()).then(|| self.inner.publish_batch(&topic, repeats));
        Pending::new(async move {
            let mut outcomes = pending.await;
            if let Some(again) = again {
                again.await;
            }
            if reversed {
                outcomes.reverse();
            }
            for at in lost {
                outcomes.insert(at, Ok(nowhere()));
            }
            answers(&shared, outcomes)
        })
    }
    async fn close(&self) -> Result<()> {
        if self.shared.is(Fault::PublishAfterClose) {
            return Ok(());
        }
        if self.shared.is(Fault::CloseOnce) {
            let held = self.held.lock().take();
            for (topic, batch) in held.into_iter().flatten() {
                yield_now().await;
                self.inner.publish_batch(&topic, batch).await;
            }
            return Ok(());
        }
        self.inner.close().await
    }
}

impl BrokenPublisher {
    /// What the faults make of a publish that is about harm.
    fn harmed(&self, topic: &str, batch: &[Message]) -> Option<Pending> {
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        match shared.fault {
            Fault::StuckWhenGivenUp if state.stuck => Some(Pending::new(std::future::pending())),
            Fault::StuckWhenGivenUp => {
                let (pending, kept) = (
                    self.inner.publish_batch(topic, batch.to_vec()),
                    Kept(self.shared.clone()),
                );
                Some(Pending::new(async move {
                    let outcomes = pending.await;
                    std::mem::forget(kept);
                    outcomes
                }))
            }
            Fault::ResendAnew if state.unanswered > 0 => {
                state.unanswered -= 1;
                let unanswered = self.inner.publish_batch(topic, batch.to_vec());
                let again = self.inner.publish_batch(topic, batch.to_vec());
                Some(Pending::new(async move {
                    unanswered.await;
                    again.await
                }))
            }
            Fault::LoseWhenHarmed if state.harmed > 0 => {
                state.harmed -= 1;
                Some(Pending::ready(batch.iter().map(|_| Ok(nowhere())).collect()))
            }
            _ => None,
        }
    }
}

/// What a publish keeps until it has an answer.
struct Kept(Arc<Shared>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.state.lock().stuck = true;
    }
}

fn nowhere() -> Outcome {
    Outcome::Stored(Receipt {
        partition: 0,
        position: None,
    })
}

fn answers(shared: &Shared, mut outcomes: Vec<Result<Outcome, Unsent>>) -> Vec<Result<Outcome, Unsent>> {
    let failed = outcomes.iter().any(Result::is_err);
    for outcome in &mut outcomes {
        match (shared.fault, &mut *outcome) {
            (
                Fault::WrongReceipts,
                Ok(Outcome::Stored(Receipt {
                    position: Some(position),
                    ..
                })),
            ) => *position += 1,
            (Fault::ConfirmFailures, Err(_)) => {
                *outcome = Ok(nowhere());
            }
            (Fault::FailBatches, _) if failed => {
                *outcome = Err(Unsent::not_stored(Error::invalid(
                    "another message of the batch is bad",
                )));
            }
            (Fault::UnknownAsNotStored, Err(unsent)) => {
                *unsent = Unsent::not_stored(unsent.error().duplicate());
            }
            (Fault::WrongKinds, Err(unsent)) => {
                *unsent = Unsent::not_stored(shared.error(unsent.error().duplicate()));
            }
            _ => {}
        }
    }
    outcomes
}

/// Batches with their topics.
type Held = Vec<(String, Vec<Message>)>;

/// The message as it is stored.
pub(super) fn alter(fault: Fault, mut m: Message) -> Message {
    let text = |bytes: Bytes| Bytes::from(String::from_utf8_lossy(&bytes).into_owned());
    match fault {
        Fault::DropHeaders => m.headers = Headers::new(),
        Fault::DistinctHeaders => {
            let mut distinct = Headers::new();
            for (name, value) in m.headers.iter() {
                let (name, value) = (Bytes::copy_from_slice(name), value.unwrap_or_default());
                distinct.set(name, Bytes::copy_from_slice(value));
            }
            m.headers = distinct;
        }
        Fault::LowercaseHeaders => {
            let lower = |(name, value): (&[u8], Option<&[u8]>)| {
                (
                    Bytes::from(name.to_ascii_lowercase()),
                    value.map(Bytes::copy_from_slice),
                )
            };
            m.headers = m.headers.iter().map(lower).collect();
        }
        Fault::NullAsEmpty => m.payload = Some(m.payload.unwrap_or_default()),
        Fault::EmptyKeyAsNone => m.key = m.key.filter(|key| !key.is_empty()),
        Fault::KeyForAll => m.key = Some(m.key.unwrap_or_default()),
        Fault::LossyText => (m.key, m.payload) = (m.key.map(text), m.payload.map(text)),
        Fault::CutPayloads => m.payload = m.payload.map(|p| p.slice(..p.len().min(65_536))),
        Fault::DropTimestamps => m.timestamp = None,
        // Every topic of the suite has at least two partitions.
        Fault::WrongPartitioner => {
            let wrong = |key: &Bytes| partition::crc32(key) % 2;
            m.partition = m.partition.or_else(|| m.key.as_ref().map(wrong));
        }
        Fault::IgnorePartition => m.partition = None,
        Fault::OnePartition if m.key.is_none() => m.partition = m.partition.or(Some(0)),
        _ => {}
    }
    m
}
