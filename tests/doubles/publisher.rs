//! A publisher that is answered by hand: late, never, or out of order.

use async_trait::async_trait;
use bus::{Error, Message, Outcome, Pending, Publisher, Receipt, Result, Unsent};
use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering::SeqCst},
};
use tokio::sync::{Notify, oneshot};

/// One batch that was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) topic: String,
    pub(crate) batch: Vec<Message>,
    answer: Option<oneshot::Sender<bool>>,
}

/// Takes batches and answers when told to.
#[derive(Debug, Default)]
pub(crate) struct Manual {
    taken: Mutex<Vec<Taken>>,
    changed: Notify,
    pub(crate) closed: AtomicBool,
}

impl Manual {
    /// Waits until so many batches were taken.
    pub(crate) async fn taken(&self, batches: usize) {
        loop {
            let changed = self.changed.notified();
            if self.count() >= batches {
                return;
            }
            changed.await;
        }
    }
    pub(crate) fn count(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
    /// Payloads and topics in the order in which they were taken.
    pub(crate) fn seen(&self) -> Vec<(String, String)> {
        let text = |m: &Message| String::from_utf8(m.payload.clone().unwrap_or_default().to_vec()).unwrap();
        let taken = self.taken.lock().unwrap();
        let each = |t: &Taken| {
            t.batch
                .iter()
                .map(|m| (t.topic.clone(), text(m)))
                .collect::<Vec<_>>()
        };
        taken.iter().flat_map(each).collect()
    }
    /// Answers a batch: stored, or not.
    pub(crate) fn answer(&self, batch: usize, stored: bool) {
        let answer = self.taken.lock().unwrap()[batch].answer.take();
        let _ = answer.expect("it is answered once").send(stored);
    }
}

#[async_trait]
impl Publisher for Manual {
    fn publish_batch(&self, topic: &str, batch: Vec<Message>) -> Pending {
        tokio::runtime::Handle::current();
        let count = batch.len();
        let closed = self.closed.load(SeqCst);
        let (send, answer) = oneshot::channel();
        self.taken.lock().unwrap().push(Taken {
            topic: topic.to_owned(),
            batch,
            answer: Some(send),
        });
        self.changed.notify_waiters();
        let outcome = |stored: bool| match stored {
            true => Ok(Outcome::Stored(Receipt {
                partition: 0,
                position: None,
            })),
            false => Err(Unsent::not_stored(Error::closed("the double"))),
        };
        if closed {
            return Pending::ready((0..count).map(|_| outcome(false)).collect());
        }
        Pending::new(async move {
            let stored = answer.await.unwrap_or(false);
            (0..count).map(|_| outcome(stored)).collect()
        })
    }
    async fn close(&self) -> Result<()> {
        self.closed.store(true, SeqCst);
        Ok(())
    }
}
