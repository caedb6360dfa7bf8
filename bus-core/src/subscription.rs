//! Reading messages: a stream of deliveries, or a handler for each.

use crate::{
    Chunks, Codec, Control, Delivery, Error, Result,
    delivery::RawDelivery,
    flow::Verdict,
    pump::Command,
    shared::{Reader, Shared},
};
use futures_core::Stream;
use std::{
    fmt,
    future::{Future, poll_fn},
    marker::PhantomData,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};

/// How many records a reader takes under one lock. Half of the default window, so that two readers can work.
const LOAN: usize = 256;
/// How long [`Subscription::close`] waits for deliveries that are still out: the default of a shutdown.
const CLOSE: Duration = Duration::from_secs(30);

/// A running subscription: a [`Stream`] of deliveries.
///
/// Messages are taken in, and partitions handed over, also while nobody calls [`next`](Self::next). Dropping it stops
/// it in the background: what is acknowledged by then is stored, deliveries that are still out are lost, and their
/// messages come again; [`close`](Self::close) waits for them instead.
pub struct Subscription<T, C> {
    reader: Reader,
    codec: C,
    commands: mpsc::UnboundedSender<Command>,
    payload: PhantomData<fn() -> T>,
}

impl<T, C: Codec<T>> Subscription<T, C> {
    pub(crate) fn new(shared: Arc<Shared>, codec: C, commands: mpsc::UnboundedSender<Command>) -> Self {
        Self {
            reader: Reader::new(shared, LOAN),
            codec,
            commands,
            payload: PhantomData,
        }
    }
    /// The next delivery, or `None` after the end. An error ends the subscription. Cancel-safe: a delivery is either
    /// returned or stays.
    pub async fn next(&mut self) -> Option<Result<Delivery<T>>> {
        poll_fn(|cx| self.poll_delivery(cx)).await
    }
    /// What its parts share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.reader.shared
    }
    pub(crate) fn poll_delivery(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery<T>>>> {
        poll_decoded(&mut self.reader, &self.codec, cx)
    }
    /// Runs `handler` for each delivery, up to `concurrency` at a time, until the subscription ends. One delivery of a
    /// key runs at a time. The handler settles its delivery; one that returns without, or panics, has it dropped, which
    /// is a nack. A handler whose partition was taken is cancelled at its next await.
    /// # Errors
    /// What ended the subscription; `Ok` after [`Control::drain`].
    pub async fn for_each<F, R>(self, concurrency: usize, handler: F) -> Result<()>
    where
        T: Send + 'static,
        F: Fn(Delivery<T>) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let Self {
            reader,
            codec,
            commands,
            ..
        } = self;
        let (shared, handler) = (reader.shared.clone(), Arc::new(handler));
        drop(reader);
        // More than one in a worker's hand would wait behind a slow handler while others are idle.
        let most = if concurrency > 1 { 1 } else { LOAN };
        let worker = || {
            let reader = Reader::new(shared.clone(), most);
            work(reader, codec.clone(), handler.clone())
        };
        let result = run(concurrency, worker).await;
        drop(commands);
        result
    }
    /// Deliveries in chunks of up to `size`, for what is cheaper done for many at once: see [`Chunks`]. The window of
    /// [`in_flight`](crate::Subscribe::in_flight) is the most a chunk can hold.
    pub fn chunks(self, size: usize, max_age: Duration) -> Chunks<T, C> {
        Chunks::new(self.reader, self.codec, self.commands, size, max_age)
    }
    /// Runs `handler` for each [chunk](Chunks) of up to `size` deliveries, up to `concurrency` at a time, until the
    /// subscription ends. One chunk is collected at a time. The handler settles each delivery by itself; those it does
    /// not, or all of them if it panics, are dropped, which is a nack. It is cancelled at its next await once every delivery
    /// that it still holds was taken by another member; while it holds others, [`Delivery::is_lost`] says which were.
    /// # Errors
    /// What ended the subscription; `Ok` after [`Control::drain`].
    pub async fn for_each_chunk<F, R>(
        self,
        size: usize,
        max_age: Duration,
        concurrency: usize,
        handler: F,
    ) -> Result<()>
    where
        T: Send + 'static,
        F: Fn(Vec<Delivery<T>>) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let shared = self.reader.shared.clone();
        let chunks = Arc::new(Mutex::new(self.chunks(size, max_age)));
        let handler = Arc::new(handler);
        run(concurrency, || {
            let (shared, chunks, handler) = (shared.clone(), chunks.clone(), handler.clone());
            async move {
                while let Some(chunk) = { chunks.lock().await.next().await } {
                    let chunk = chunk?;
                    let places: Vec<_> = chunk.iter().map(Delivery::place).collect();
                    unless_taken(&shared, || shared.are_taken(&places), handler(chunk)).await;
                }
                Ok(())
            }
        })
        .await
    }
    /// A handle for stopping it from elsewhere.
    pub fn control(&self) -> Control {
        Control::new(&self.reader.shared, &self.commands)
    }
    /// Waits until everything that was acknowledged before is stored.
    /// # Errors
    /// As [`Control::flush`].
    pub async fn flush(&self) -> Result<()> {
        self.control().flush().await
    }
    /// Hands nothing out any more, gives deliveries that are out `grace` to be settled, stores what was settled,
    /// releases the partitions and leaves the group.
    /// # Errors
    /// What ended the subscription, if it was not this.
    pub async fn drain(self, grace: Duration) -> Result<()> {
        self.control().drain(grace).await
    }
    /// [`drain`](Self::drain) with 30 seconds, the time most supervisors give a process.
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn close(self) -> Result<()> {
        self.drain(CLOSE).await
    }
}

pub(crate) fn poll_decoded<T, C: Codec<T>>(
    reader: &mut Reader,
    codec: &C,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Delivery<T>>>> {
    loop {
        let handout = match reader.poll(cx) {
            Poll::Ready(Some(Ok(handout))) => handout,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        let raw = RawDelivery::new(reader.shared.clone(), handout);
        let Some(raw) = raw.if_due() else {
            continue;
        };
        match codec.decode(raw.record()) {
            Ok(value) => return Poll::Ready(Some(Ok(raw.with(value)))),
            Err(error) => undecoded(raw, codec, &error),
        }
    }
}

/// A record that the codec refuses, or cannot read yet.
#[cold]
fn undecoded<T, C: Codec<T>>(raw: RawDelivery, codec: &C, error: &Error) {
    let refused = match error.need() {
        None => error.to_string(),
        Some(need) => {
            let shared = raw.shared().clone();
            match shared.awaiting.ask(need, || codec.ready(need)) {
                Some(refused) => refused,
                None => {
                    let place = raw.place();
                    // Before it is in the list, or what comes in between would not find it waiting.
                    raw.settle(Verdict::Unready);
                    shared.awaiting.join(need, place);
                    return shared.pump.notify_one();
                }
            }
        }
    };
    raw.settle(Verdict::Reject {
        reason: "undecodable",
        error: refused,
    });
}

async fn work<T, C, F, R>(mut reader: Reader, codec: C, handler: Arc<F>) -> Result<()>
where
    C: Codec<T>,
    F: Fn(Delivery<T>) -> R,
    R: Future<Output = ()>,
{
    while let Some(delivery) = poll_fn(|cx| poll_decoded(&mut reader, &codec, cx)).await {
        let delivery = delivery?;
        let place = delivery.place();
        let shared = &reader.shared;
        unless_taken(shared, || shared.is_taken(place), handler(delivery)).await;
    }
    Ok(())
}

/// Runs so many workers; one that panics is replaced.
async fn run<W>(concurrency: usize, worker: impl Fn() -> W) -> Result<()>
where
    W: Future<Output = Result<()>> + Send + 'static,
{
    let mut workers = JoinSet::new();
    for _ in 0..concurrency.max(1) {
        workers.spawn(worker());
    }
    let mut result = Ok(());
    while let Some(ended) = workers.join_next().await {
        match ended {
            Ok(Err(error)) => result = Err(error),
            Ok(Ok(())) => {}
            Err(panic) if panic.is_panic() => {
                tracing::error!(%panic, "a handler panicked; its message is tried again");
                workers.spawn(worker());
            }
            // Another worker would be cancelled as well.
            Err(_) => result = Err(Error::closed("the runtime")),
        }
    }
    result
}

/// Runs a handler to its end, or until what it works on was taken.
async fn unless_taken(shared: &Shared, is_taken: impl Fn() -> bool, handler: impl Future<Output = ()>) {
    let begun = shared.counters.begin();
    let mut running = pin!(handler);
    loop {
        let lost = shared.lost.notified();
        // It may have been taken between its claim and now.
        if is_taken() {
            break;
        }
        tokio::select! {
            biased;
            () = &mut running => break,
            () = lost => {}
        }
    }
    shared.counters.end(begun);
}

impl<T, C: Codec<T> + Unpin> Stream for Subscription<T, C> {
    type Item = Result<Delivery<T>>;
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_delivery(cx)
    }
}

impl<T, C> fmt::Debug for Subscription<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topics", &self.reader.shared.topics)
            .finish_non_exhaustive()
    }
}
