//! Deliveries in chunks.

use crate::{
    Codec, Control, Delivery, Result,
    flow::{Collected, LONGEST},
    pump::Command,
    shared::Reader,
    subscription::poll_decoded,
};
use futures_core::Stream;
use std::{
    fmt,
    future::{Future, poll_fn},
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep_until},
};

/// A running subscription read in chunks: a [`Stream`] of deliveries, each of which is settled by itself.
///
/// A chunk goes
/// - when it is full;
/// - when its oldest message could have run for `max_age`: an age, which messages that come later do not begin anew. What
///   was ready while an earlier chunk was handled has that time behind it;
/// - at once, when waiting could only hold things up: a message of one of its keys waits behind it, or nothing can join
///   it because the window is used up.
///
/// **Order.** A chunk holds one message of a key at most (under [`Order::Partition`](crate::Order) one of a partition), and
/// the next of that key comes in a later chunk, when this one is settled. So a message that failed is tried again alone and
/// still before its successors, and chunks may run side by side. With fewer keys than `size` chunks are as small as the
/// number of keys; messages without a key, and [`Order::None`](crate::Order), fill them.
///
/// What is collected counts as delivered: poll it, or drop it. Dropping it returns what was collected with the same
/// attempt count, and stops the subscription as dropping a [`Subscription`](crate::Subscription) does.
pub struct Chunks<T, C> {
    reader: Reader,
    codec: C,
    commands: mpsc::UnboundedSender<Command>,
    size: usize,
    max_age: Duration,
    hand: Vec<Delivery<T>>,
    timer: Option<Pin<Box<Sleep>>>,
    payload: PhantomData<fn() -> T>,
}

impl<T, C: Codec<T>> Chunks<T, C> {
    pub(crate) fn new(
        reader: Reader,
        codec: C,
        commands: mpsc::UnboundedSender<Command>,
        size: usize,
        max_age: Duration,
    ) -> Self {
        Self {
            reader,
            codec,
            commands,
            size: size.max(1),
            max_age: max_age.min(LONGEST),
            hand: Vec::new(),
            timer: None,
            payload: PhantomData,
        }
    }
    /// The next chunk, never empty, or `None` after the end. An error ends the subscription. Cancel-safe: what was
    /// collected stays for the next call.
    pub async fn next(&mut self) -> Option<Result<Vec<Delivery<T>>>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }
    /// A handle for stopping it from elsewhere.
    pub fn control(&self) -> Control {
        Control::new(&self.reader.shared, &self.commands)
    }
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<Delivery<T>>>>> {
        loop {
            if let Some(end) = self.fill(cx) {
                self.hand.clear();
                return Poll::Ready(end.err().map(Err));
            }
            if self.hand.is_empty() {
                return Poll::Pending;
            }
            let places = self.hand.iter().map(Delivery::place);
            match self.reader.shared.collected(places, cx) {
                // Their partitions leave, or are stopped.
                Err(stopped) => {
                    let stays = |d: &mut Delivery<T>| stopped.contains(&d.place());
                    self.hand.extract_if(.., stays).for_each(Delivery::put_back);
                }
                Ok(collected) if self.hand.len() >= self.size || self.is_due(collected, cx) => {
                    return Poll::Ready(Some(Ok(std::mem::take(&mut self.hand))));
                }
                Ok(_) => return Poll::Pending,
            }
        }
    }
    /// Takes what is ready; `Some`: the subscription is over.
    fn fill(&mut self, cx: &mut Context<'_>) -> Option<Result<()>> {
        while self.hand.len() < self.size {
            self.reader.at_most(self.size - self.hand.len());
            match poll_decoded(&mut self.reader, &self.codec, cx) {
                Poll::Ready(Some(Ok(delivery))) => self.hand.push(delivery),
                Poll::Ready(Some(Err(error))) => return Some(Err(error)),
                Poll::Ready(None) => return Some(Ok(())),
                Poll::Pending => return None,
            }
        }
        None
    }
    fn is_due(&mut self, collected: Collected, cx: &mut Context<'_>) -> bool {
        let Collected::Since(since) = collected else {
            return true;
        };
        let at = Instant::from_std(since) + self.max_age;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(cx).is_ready()
    }
}

impl<T, C> Drop for Chunks<T, C> {
    fn drop(&mut self) {
        self.hand.drain(..).for_each(Delivery::put_back);
    }
}

// Nothing in it is pinned but the timer, which is in a box of its own.
impl<T, C> Unpin for Chunks<T, C> {}

impl<T, C: Codec<T>> Stream for Chunks<T, C> {
    type Item = Result<Vec<Delivery<T>>>;
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_chunk(cx)
    }
}

impl<T, C> fmt::Debug for Chunks<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks")
            .field("topics", &self.reader.shared.topics)
            .field("size", &self.size)
            .field("max_age", &self.max_age)
            .field("collected", &self.hand.len())
            .finish_non_exhaustive()
    }
}
