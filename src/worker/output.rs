//! What a worker's output becomes.

use crate::{Topic, handler::Failure};
use bus_core::{Bytes, Delivery, Error, Message};

/// What an output has of the message that it came from, unless it says otherwise. What belongs together and what caused it
/// is added where the bus takes outputs.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

/// The message of an output.
pub(super) fn message<I, T, O>(
    topic: &Topic<T, O>,
    task: &Delivery<I>,
    message: Message,
    limit: usize,
    shape: impl FnOnce(Message) -> Message,
) -> Result<Message, Failure> {
    let mut message = shape(message);
    if message.key.is_none() {
        message.key = task.key().map(Bytes::copy_from_slice);
    }
    for name in TRACE {
        if let Some(value) = task
            .headers()
            .get(name)
            .filter(|_| !message.headers.contains(name))
        {
            message.headers.push(name, value.to_vec());
        }
    }
    if message.size() > limit {
        return Err(Failure::new(Error::too_large(
            topic.name(),
            message.size(),
            limit,
        )));
    }
    Ok(message)
}
