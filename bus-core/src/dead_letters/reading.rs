//! Reading dead letters that are open.

use super::{DeadLetter, DeadLetters};
use crate::{
    Bytes, ErrorKind, Expired, LossPolicy, Name, Order, Raw, Record, Result, Start, Subscription, Topic,
    topic::check_name,
};
use futures_core::Stream;
use std::{
    fmt,
    future::IntoFuture,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Dead letters that were open when [`DeadLetters::read`] was called: a [`Stream`] that ends behind them.
pub struct OpenLetters {
    letters: DeadLetters,
    stored_in: Name,
    observer: Subscription<Bytes, Raw>,
}

impl OpenLetters {
    pub(super) async fn new(letters: DeadLetters) -> Result<Self> {
        let stored_in = letters.stored_in();
        check_name(&stored_in)?;
        let missing = |error: crate::Error| match error.kind() {
            ErrorKind::TopicMissing => letters.missing(),
            _ => error,
        };
        letters.partitions(&stored_in).await.map_err(missing)?;
        let dealt = letters.dealt_with().await?;
        let from = dealt
            .into_iter()
            .map(|(partition, dealt)| (partition, dealt.next));
        let topic: Topic<Bytes, Raw> = Topic::named(&*stored_in);
        let observe = letters
            .bus
            .observe(&topic)
            .start(Start::Positions(from.collect()))
            .until(Start::Latest)
            .order(Order::None)
            .on_expired(Expired::Deliver)
            // What retention took was not read in time; what is left is what there is.
            .on_data_loss(LossPolicy::GoOn);
        let observer = observe.into_future().await.map_err(missing)?;
        Ok(Self {
            letters,
            stored_in,
            observer,
        })
    }
    /// The next one, or `None` behind the last. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<DeadLetter>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }
    /// The same, with the record as it is stored.
    pub(super) async fn next_record(&mut self) -> Option<Result<(DeadLetter, Record)>> {
        std::future::poll_fn(|cx| self.poll_record(cx)).await
    }
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<DeadLetter>>> {
        let next = ready!(self.poll_record(cx));
        Poll::Ready(next.map(|next| next.map(|(letter, _)| letter)))
    }
    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(DeadLetter, Record)>>> {
        loop {
            let delivery = match ready!(Pin::new(&mut self.observer).poll_next(cx)) {
                Some(Ok(delivery)) => delivery,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            let letter = DeadLetter::read(&self.stored_in, delivery.partition(), delivery.record());
            let record = delivery.record().clone();
            delivery.ack();
            if self.letters.wants(&letter) {
                return Poll::Ready(Some(Ok((letter, record))));
            }
        }
    }
}

impl Stream for OpenLetters {
    type Item = Result<DeadLetter>;
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(cx)
    }
}

impl fmt::Debug for OpenLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenLetters").field(&self.stored_in).finish()
    }
}
