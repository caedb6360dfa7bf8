//! What the flags say about every message; a line's own fields win.

use super::Args;
use bus::{Bytes, Headers, Message};

/// Key, headers and partition of messages that name none.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    key: Option<Bytes>,
    headers: Headers,
    partition: Option<u32>,
}

impl Defaults {
    pub(crate) fn new(args: &Args) -> Self {
        let header =
            |(name, value): &(String, String)| (Bytes::from(name.clone()), Some(Bytes::from(value.clone())));
        Self {
            key: args.key.clone().map(Bytes::from),
            headers: args.header.iter().map(header).collect(),
            partition: args.partition,
        }
    }
    /// The message that a plain payload becomes.
    pub(crate) fn raw(&self, payload: Bytes) -> Message {
        self.complete(Message::new(payload), false)
    }
    /// Adds what the message lacks. A key that is null was said, one that is absent was not.
    pub(crate) fn complete(&self, mut message: Message, key_said: bool) -> Message {
        if !key_said && message.key.is_none() {
            message.key = self.key.clone();
        }
        for (name, value) in self.headers.iter() {
            message.headers.push(
                Bytes::copy_from_slice(name),
                Bytes::copy_from_slice(value.unwrap_or_default()),
            );
        }
        message.partition = message.partition.or(self.partition);
        message
    }
}
