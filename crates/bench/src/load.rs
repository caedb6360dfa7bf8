//! The messages that every measurement sends.

use bus::Message;
use bytes::Bytes;

/// Keys in use: enough to spread over partitions, few enough to meet again while in flight.
const KEYS: usize = 1_000;
/// Messages of one `publish_batch`.
pub(crate) const BATCH: usize = 1_000;

#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) messages: usize,
    pub(crate) payload: Bytes,
    keys: Vec<Bytes>,
}

impl Load {
    pub(crate) fn new(messages: usize, size: usize) -> Self {
        let keys = (0..KEYS).map(|k| Bytes::from(format!("key-{k}"))).collect();
        Self {
            messages,
            payload: Bytes::from(vec![b'x'; size]),
            keys,
        }
    }
    pub(crate) fn key(&self, i: usize) -> &Bytes {
        &self.keys[i % KEYS]
    }
    pub(crate) fn message(&self, i: usize) -> Message {
        Message::new(self.payload.clone()).keyed(self.key(i).clone())
    }
    /// Ranges of message numbers, a batch each.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Vec<Message>> + '_ {
        (0..self.messages).step_by(BATCH).map(|from| {
            (from..(from + BATCH).min(self.messages))
                .map(|i| self.message(i))
                .collect()
        })
    }
}
