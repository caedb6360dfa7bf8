//! What a worker is.

use super::call::alone;
use crate::{Json, Topic, handler::Failure};
use bus_core::{Delivery, Message, Order, Retry};
use std::{future::Future, time::Duration};

/// What reads a topic, does something for each message, and may publish what came of it.
///
/// `C` and `O` are the codecs of its topics, JSON unless others are named: `impl Worker<Raw> for …`.
///
/// # Behavior
/// - A message is decoded by the codec of its topic; one that cannot be is a dead letter at once and no hook is called for
///   it, since there is nothing to call it with.
/// - `process` fails with what every error converts to by `?`: the message is tried again by [`RETRY`](Self::RETRY), which waits
///   1, 2, 4 s by default. [`Failure::permanent`] sends it to the dead letters at once, [`Failure::retry_after`] says when it is
///   tried again. A panic is such a failure too.
/// - What it returns is published to [`output`](Self::output) if it is `Some`, also when it is empty, **with the ack**: under
///   [`EXACTLY_ONCE`](Self::EXACTLY_ONCE) both or neither. Without it, on Kafka, the output is stored first: a crash between the
///   two brings the message again and leaves a second output; never is a message settled whose output is not stored.
/// - An output has the key, the correlation id and the trace (`traceparent`, `tracestate`) of what it came from, unless
///   [`shape`](Self::shape) sets others.
/// - At most [`CONCURRENCY`](Self::CONCURRENCY) messages are worked on at the same time, and one of a key: the next of a key waits
///   for it, also while it waits for another try. Messages without a key have no order.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no worker for the codecs `{C}` and `{O}`",
    note = "`impl Worker for {Self}` reads and writes JSON; for other codecs name them: `impl Worker<Raw, Raw> for {Self}`"
)]
pub trait Worker<C = Json, O = C>: Send + Sync + 'static {
    /// What it reads.
    type Input: Send + Sync + 'static;
    /// What it makes; `()` for a worker without outputs.
    type Output: Send + Sync + 'static;

    /// Its name, by which it is found on a command line and in the log.
    const NAME: &'static str;
    /// The group whose members share the topic's partitions (default: the worker's name). Renaming it makes a new group,
    /// which reads everything again.
    const GROUP: Option<&'static str> = None;
    /// How many messages, or batches, are worked on at the same time (default 1: what keeps the order for everybody).
    const CONCURRENCY: usize = 1;
    /// Waits and tries (default: three retries, exponential from one second, so four calls within seven seconds).
    const RETRY: Retry = Retry::exponential(Duration::from_secs(1));
    /// Where its messages go that are given up; may hold `{topic}` and `{group}` (default: `<topic>.<group>.dlq`).
    const DEAD_LETTER: Option<&'static str> = None;
    /// How many messages a call of [`process_batch`](Self::process_batch) gets, at most (default 1: `process` is called for
    /// each instead).
    const BATCH_SIZE: usize = 1;
    /// The age of the oldest message of a batch at which it goes, although it is not full (default 1 s: what nobody waits
    /// for notices least).
    const BATCH_TIMEOUT: Duration = Duration::from_secs(1);
    /// Which messages may be worked on at the same time (default: one of a key).
    const ORDER: Order = Order::Key;
    /// Whether output and ack take effect together or not at all (default no: it costs a transaction each commit, and a
    /// broker that has them).
    const EXACTLY_ONCE: bool = false;

    /// What it reads.
    fn topic(&self) -> Topic<Self::Input, C>;
    /// Where outputs go; `None` (the default): nowhere.
    fn output(&self) -> Option<Topic<Self::Output, O>> {
        None
    }
    /// Does the work for one message. It is dropped at an await when the message's partition was taken by another member,
    /// which then does it again.
    fn process(
        &self,
        task: &Delivery<Self::Input>,
    ) -> impl Future<Output = Result<Option<Self::Output>, Failure>> + Send;
    /// Does the work for a batch, with [`BATCH_SIZE`](Self::BATCH_SIZE) above 1: one outcome for each message, in their order. Only
    /// messages that failed are tried again, each by its own count. Another number of outcomes is an error of all of
    /// them, since nobody knows whose is missing. A batch holds one message of a key at most, see [`Chunks`](crate::Chunks);
    /// with few keys, and messages that need no order, set [`ORDER`](Self::ORDER) to [`Order::None`].
    ///
    /// The default calls `process` for each, one after the other, and each as it is called without batches: a panic fails its
    /// message alone, and what is published there is of that message. A panic of one's own fails the whole batch.
    fn process_batch(
        &self,
        tasks: &[Delivery<Self::Input>],
    ) -> impl Future<Output = Vec<Result<Option<Self::Output>, Failure>>> + Send {
        async move {
            let mut outcomes = Vec::with_capacity(tasks.len());
            for task in tasks {
                outcomes.push(alone(task, async { self.process(task).await }).await);
            }
            outcomes
        }
    }
    /// Changes the message that an output becomes, as its codec wrote it: set a key, headers, a delay. What is not set is
    /// inherited.
    fn shape(&self, task: &Delivery<Self::Input>, output: &Self::Output, message: Message) -> Message {
        let _ = (task, output);
        message
    }
    /// Called once a message is done and its output accepted, so that nothing but the loss of its partition keeps it from
    /// being settled; before its ack is stored: after a crash it may be called again. An output that is refused is a failure
    /// of its message.
    fn on_success(
        &self,
        task: &Delivery<Self::Input>,
        output: Option<&Self::Output>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (task, output);
        async {}
    }
    /// Called once a message is given up: after the last try, or a permanent failure, and before its dead letter is stored.
    /// Not called for tries that are followed by another, nor where the partition was taken meanwhile.
    fn on_error(&self, task: &Delivery<Self::Input>, error: &Failure) -> impl Future<Output = ()> + Send {
        let _ = (task, error);
        async {}
    }
}
