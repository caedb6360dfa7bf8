//! What the target does not take: it was deleted, or takes smaller messages, or has fewer partitions than the message says.
//!
//! A commit with such an output is refused whole, and would be for ever. So after a refusal the mover publishes for a
//! while, one message after the other, and what is refused by itself becomes a dead letter in `<topic>.delay.dlq`. A crash
//! between such a publish and the commit leaves at most a second copy with the same origin id, on every backend.

use super::{held::Held, ticket::Ticket};
use crate::{Bytes, Delivery, Error, ErrorKind, Message, Outcome, Unsent, clock, gate::Gate};
use futures_util::future::BoxFuture;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Without a refusal for so long, the mover goes back to commits.
const CALM: Duration = Duration::from_secs(60);
/// When something is tried again that failed for another reason, in milliseconds.
const AGAIN: i64 = 1_000;

type Answer = (Result<Outcome, Unsent>, Ticket, Delivery<Bytes>);

pub(super) struct OneByOne {
    gate: Arc<Gate>,
    target: Arc<str>,
    waiting: VecDeque<(Message, Ticket, Delivery<Bytes>)>,
    on_the_way: Option<BoxFuture<'static, Answer>>,
    refused: Instant,
}

impl OneByOne {
    pub(super) fn new(gate: Arc<Gate>, target: Arc<str>) -> Self {
        Self {
            gate,
            target,
            waiting: VecDeque::new(),
            on_the_way: None,
            refused: Instant::now(),
        }
    }
    pub(super) fn push(&mut self, message: Message, ticket: Ticket, delivery: Delivery<Bytes>) {
        self.waiting.push_back((message, ticket, delivery));
    }
    /// The next answer; pending for ever while nothing waits. Cancel-safe.
    pub(super) async fn answer(&mut self) -> Answer {
        if self.on_the_way.is_none()
            && let Some((message, ticket, delivery)) = self.waiting.pop_front()
        {
            let pending = self.gate.publish(&self.target, vec![message]);
            self.on_the_way = Some(Box::pin(async move {
                let silent = || {
                    Err(Unsent::unknown(Error::new(
                        ErrorKind::Other,
                        "the backend gave no outcome",
                    )))
                };
                (pending.await.pop().unwrap_or_else(silent), ticket, delivery)
            }));
        }
        match &mut self.on_the_way {
            Some(answer) => {
                let answer = answer.await;
                self.on_the_way = None;
                answer
            }
            None => std::future::pending().await,
        }
    }
    /// Settles what has its answer.
    pub(super) fn settle(&mut self, (outcome, ticket, delivery): Answer, held: &mut Held) {
        match outcome {
            Ok(_) => delivery.ack(),
            Err(unsent) if is_refusal(unsent.error().kind()) => {
                self.refused = Instant::now();
                delivery.reject(format_args!("`{}` does not take it: {unsent}", self.target));
            }
            Err(error) => {
                tracing::warn!(topic = &*self.target, %error, "a delayed message was not published, trying again");
                held.push_until(clock::millis() + AGAIN, ticket, delivery);
            }
        }
    }
    pub(super) fn is_calm(&self) -> bool {
        self.refused.elapsed() > CALM && self.waiting.is_empty() && self.on_the_way.is_none()
    }
    /// Gives back what belongs to somebody else soon.
    pub(super) fn give_back(&mut self, mut is_leaving: impl FnMut(&Delivery<Bytes>) -> bool) {
        self.waiting.retain(|(_, _, delivery)| !is_leaving(delivery));
    }
}

/// What the same message would be refused for again.
fn is_refusal(kind: ErrorKind) -> bool {
    use ErrorKind::{Invalid, TooLarge, TopicMissing, Unsupported};
    matches!(kind, TopicMissing | Invalid | TooLarge | Unsupported)
}
