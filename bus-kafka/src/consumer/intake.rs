//! From fetched records to batches.

use super::{
    mailbox::Mailbox,
    part::{End, Part},
};
use crate::native::{Code, Fetch};
use bus_core::{Batch, BatchBuilder};

/// What one look into a partition's queue brought.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) any: bool,
    /// The partition cannot go on by itself.
    pub(super) trouble: Option<Code>,
}

/// Copies what has been fetched into batches and gives librdkafka its messages back at once: a client that is
/// destroyed waits for every message that is still held.
pub(super) fn take(part: &mut Part, fetch: &mut Fetch, mail: &Mailbox) -> Taken {
    let mut taken = Taken::default();
    let Some(queue) = &part.queue else {
        return taken;
    };
    let fetched = queue.fetch(fetch);
    if fetched.len() == 0 {
        return taken;
    }
    taken.any = true;
    let mut left = fetched.len();
    let mut bytes: usize = fetched
        .iter()
        .filter(|m| m.code().is_ok())
        .map(|m| m.key().map_or(0, <[u8]>::len) + m.payload().map_or(0, <[u8]>::len))
        .sum();
    let mut builder = BatchBuilder::with_capacity(left, bytes.min(Batch::ARENA));
    for message in fetched.iter() {
        left -= 1;
        let code = message.code();
        if !code.is_ok() {
            tracing::debug!(target: "bus::kafka", shard = ?part.shard, ?code, "fetching: {}", message.text());
            taken.trouble = Some(code);
            continue;
        }
        let offset = message.offset();
        // Records from before a seek, or of an assignment that is no more.
        if offset < part.expected {
            continue;
        }
        let (key, payload) = (message.key(), message.payload());
        let size = key.map_or(0, <[u8]>::len) + payload.map_or(0, <[u8]>::len);
        if !builder.is_empty() && builder.bytes() + size > Batch::ARENA {
            let rest = BatchBuilder::with_capacity(left + 1, bytes.min(Batch::ARENA));
            send(part, std::mem::replace(&mut builder, rest), mail);
        }
        bytes -= size;
        builder.push(
            offset as u128,
            message.timestamp(),
            key,
            payload,
            message.headers(),
        );
        part.expected = offset + 1;
    }
    if !builder.is_empty() {
        send(part, builder, mail);
    }
    reached(part, -1, mail);
    taken
}

fn send(part: &Part, builder: BatchBuilder, mail: &Mailbox) {
    let bytes = builder.bytes();
    mail.records(part.shard, builder.finish(), bytes);
}

/// Says so once when the end that was seen at the beginning has been handed out. `read` is how far librdkafka has
/// read: what holds no record, such as transaction markers, may lie between the last record and the end.
pub(super) fn reached(part: &mut Part, read: i64, mail: &Mailbox) {
    if let End::At(end) = part.end
        && part.expected.max(read) >= end
    {
        part.end = End::Reached;
        mail.caught_up(part.shard);
    }
}
