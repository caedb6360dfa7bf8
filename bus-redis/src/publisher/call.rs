//! One `publish_batch`: its messages go different ways, its caller waits for all of them.

use bus_core::{Error, Outcome, Unsent};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;

type Answer = Result<Outcome, Unsent>;

/// Collects outcomes until each message has one.
#[derive(Debug)]
pub(crate) struct Call(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    outcomes: Vec<Option<Answer>>,
    left: usize,
    done: Option<oneshot::Sender<Vec<Answer>>>,
}

impl Call {
    /// A call with so many messages, at least one.
    pub(crate) fn new(messages: usize) -> (Arc<Self>, oneshot::Receiver<Vec<Answer>>) {
        let (done, receiver) = oneshot::channel();
        let outcomes = std::iter::repeat_with(|| None).take(messages).collect();
        (
            Arc::new(Self(Mutex::new(Inner {
                outcomes,
                left: messages,
                done: Some(done),
            }))),
            receiver,
        )
    }

    /// Outcomes of the messages at these places.
    pub(crate) fn settle(&self, indexes: &[u32], mut outcome: impl FnMut(usize) -> Answer) {
        let mut inner = self.0.lock();
        for (nth, index) in indexes.iter().enumerate() {
            let slot = &mut inner.outcomes[*index as usize];
            if slot.is_none() {
                *slot = Some(outcome(nth));
                inner.left -= 1;
            }
        }
        if inner.left == 0
            && let Some(done) = inner.done.take()
        {
            let outcomes = std::mem::take(&mut inner.outcomes);
            let none = || Err(Unsent::unknown(Error::closed("publisher")));
            // Nobody may be waiting: dropping the future cancels nothing.
            let _ = done.send(outcomes.into_iter().map(|o| o.unwrap_or_else(none)).collect());
        }
    }
}
