//! One transaction: begin, produce, wait, send offsets, commit; or abort.

use crate::{
    error,
    native::{Delivery, List, Refusal},
    producer::{Producer, outcomes},
};
use bus_core::{Done, Error, Message, Name, Result};
use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
    time::{Duration, Instant},
};

/// How a transaction ended.
#[derive(Debug)]
pub(super) enum End {
    Committed,
    /// It could not even begin.
    NotBegun(Error),
    /// Nothing of it is or will be visible, for this reason.
    Aborted(Error),
    /// Nobody here can say: a new producer of the same id will have ended it, one way or the other.
    Unclear(Error),
}

pub(super) struct Attempt<'a> {
    pub(super) producer: &'a Arc<Producer>,
    /// Every call ends by then, before brokers lose patience.
    pub(super) deadline: Instant,
    /// How long an abort may take beyond that.
    pub(super) mercy: Duration,
}

impl Attempt<'_> {
    /// `offsets` belongs to `done`; `membership` is asked for as late as possible.
    pub(super) fn run(
        &self,
        done: &[&Done],
        offsets: &List,
        membership: impl Fn() -> Option<crate::native::Membership>,
    ) -> End {
        let client = self.producer.client();
        if let Err(refusal) = client.begin_transaction() {
            return End::NotBegun(told("beginning a transaction", &refusal).transient(true));
        }
        if let Err(error) = self.produce(done) {
            return self.abort(error);
        }
        // Metadata from before a rebalance is refused; metadata of nobody would be taken.
        let Some(member) = membership() else {
            return self.abort(Error::unavailable("not a member of the group at the moment"));
        };
        if let Err(refusal) = self.again(|left| client.send_offsets(offsets, &member, left)) {
            let error = told("storing positions in a transaction", &refusal);
            return if refusal.abort || refusal.retriable {
                self.abort(error)
            } else {
                End::Unclear(error)
            };
        }
        let Err(refusal) = self.again(|left| client.commit_transaction(left)) else {
            return End::Committed;
        };
        let error = told("committing a transaction", &refusal);
        // Of a commit that timed out nobody knows; most have committed. It must not be aborted.
        if refusal.abort && client.unanswered() == 0 {
            self.abort(error)
        } else {
            End::Unclear(error)
        }
    }

    /// Stores outputs, topic by topic in order, and looks at every report.
    fn produce(&self, done: &[&Done]) -> Result<()> {
        let mut by_topic: BTreeMap<&Name, Vec<Message>> = BTreeMap::new();
        for (topic, message) in done.iter().flat_map(|d| &d.outputs) {
            by_topic.entry(topic).or_default().push(message.clone());
        }
        let deliveries: Vec<Arc<Delivery>> = by_topic
            .into_iter()
            .map(|(topic, messages)| self.producer.take(topic, messages))
            .collect();
        let mut collateral = None;
        for delivery in deliveries {
            if !wait(&delivery, self.deadline) {
                return Err(Error::unavailable(format!(
                    "storing outputs in `{}` takes too long",
                    delivery.destination.name
                )));
            }
            for outcome in outcomes(&delivery) {
                match outcome.map_err(|unsent| Error::from(unsent).context("storing an output")) {
                    Ok(_) => {}
                    // It may only have been behind one that says more.
                    Err(error) if error.is_transient() => {
                        collateral.get_or_insert(error);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        collateral.map_or(Ok(()), Err)
    }

    fn abort(&self, why: Error) -> End {
        let deadline = self.deadline.max(Instant::now()) + self.mercy;
        match again(deadline, |left| self.producer.client().abort_transaction(left)) {
            Ok(()) => End::Aborted(why),
            Err(refusal) => End::Unclear(why.context(told("aborting a transaction", &refusal))),
        }
    }

    fn again(&self, call: impl FnMut(Duration) -> Result<(), Refusal>) -> Result<(), Refusal> {
        again(self.deadline, call)
    }
}

/// Makes a call again where that goes on with it, until `deadline`.
fn again(deadline: Instant, mut call: impl FnMut(Duration) -> Result<(), Refusal>) -> Result<(), Refusal> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match call(left) {
            Err(refusal) if refusal.retriable && !left.is_zero() => {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

fn told(what: &str, refusal: &Refusal) -> Error {
    error::classify(what, &refusal.failure)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks this thread until everything in `delivery` has its report. Whether it has by `deadline`.
fn wait(delivery: &Arc<Delivery>, deadline: Instant) -> bool {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut finished = std::pin::pin!(delivery.finished());
    loop {
        if let Poll::Ready(()) = finished.as_mut().poll(&mut Context::from_waker(&waker)) {
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        std::thread::park_timeout(left);
    }
}
