//! Leaving a hop in the trail of what is published.

use super::{
    Context, context, ext, header,
    trail::{Hop, Trail},
};
use bus_core::{Bytes, Message, Name};
use sha2::{Digest, Sha256};
use std::{fmt::Write, time::SystemTime};

/// Hops that a trail keeps unless it is said otherwise: more than a chain of services has that nobody calls a loop.
const HOPS: usize = 32;
/// Bytes of the header, at most: it travels with each message.
const BYTES: usize = 16 * 1024;

/// What an audit trail records of each message beside event, sender, and the times at which it was sent and received. See
/// [`Bus::audit_trail`](crate::Bus::audit_trail).
///
/// It travels in the header `bus-trail`, which holds 16 KiB and [so many](Self::most) hops at most: beyond either the
/// oldest are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    most: usize,
    payload: Keep,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Keep {
    Nothing,
    Digest,
    Copy(usize),
}

impl Audit {
    /// The last 32 hops, and nothing of their payloads.
    pub fn new() -> Self {
        Self {
            most: HOPS,
            payload: Keep::Nothing,
        }
    }
    /// Keeps so many hops, the newest (default 32: more than any chain of services that is no loop; 0 counts as 1).
    pub fn most(mut self, hops: usize) -> Self {
        self.most = hops.max(1);
        self
    }
    /// Records the SHA-256 of each payload: says later whether a payload is the one that was sent, and no more of it.
    pub fn digests(mut self) -> Self {
        self.payload = Keep::Digest;
        self
    }
    /// Records each payload itself, up to so many bytes; of a larger one, and of one for which the header has no room, its
    /// SHA-256.
    pub fn copies(mut self, most_bytes: usize) -> Self {
        self.payload = Keep::Copy(most_bytes);
        self
    }
    fn hop(&self, number: u32, message: &Message, sender: &str) -> Hop {
        let text = |name| {
            message
                .headers
                .get(name)
                .and_then(|text| std::str::from_utf8(text).ok())
        };
        let mut hop = Hop {
            number,
            event: text(header::TYPE).unwrap_or_default().to_owned(),
            sender: text(header::SOURCE).unwrap_or(sender).to_owned(),
            sent: Some(SystemTime::now()),
            ..Hop::default()
        };
        let payload = message.payload.clone().unwrap_or_default();
        match self.payload {
            Keep::Nothing => {}
            Keep::Copy(most) if payload.len() <= most => hop.payload = Some(payload),
            Keep::Copy(_) | Keep::Digest => hop.sha256 = Some(digest(&payload)),
        }
        hop
    }
    /// The header, within its bounds.
    fn write(&self, mut trail: Trail, payload: &Bytes) -> Vec<u8> {
        loop {
            let text = serde_json::to_vec(&trail).unwrap_or_default();
            let hops = trail.hops();
            let (count, fits) = (hops.len(), text.len() <= BYTES);
            if count <= self.most && fits {
                return text;
            }
            match hops.last_mut() {
                // Also alone it does not fit.
                Some(last) if count == 1 && last.payload.is_some() => {
                    (last.payload, last.sha256) = (None, Some(digest(payload)));
                }
                Some(_) if count == 1 => return text,
                _ => drop(hops.drain(..1.max(count.saturating_sub(self.most)))),
            }
        }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self::new()
    }
}

/// Adds a hop, once: to what is published by who keeps a trail, and to what follows from a message that has one. A
/// message that comes with a trail of its own keeps that, unless it is the one of the message that is handled.
pub(super) fn leave(
    message: &mut Message,
    audit: Option<&Audit>,
    sender: Option<&Name>,
    from: Option<&Context>,
) {
    let there = from.and_then(|context| context.record().headers().get(header::TRAIL));
    if audit.is_none() && there.is_none() {
        return;
    }
    if message.headers.contains(header::TRAIL) && message.headers.get(header::TRAIL) != there {
        return;
    }
    let mut trail = from.map(Context::trail).unwrap_or_default();
    let number = trail.last().map_or(0, |last| last.number).saturating_add(1);
    let (standard, sender) = (Audit::new(), sender.unwrap_or_else(|| ext::program()));
    let audit = audit.unwrap_or(&standard);
    trail.hops().push(audit.hop(number, message, sender));
    let payload = message.payload.clone().unwrap_or_default();
    message.headers.set(header::TRAIL, audit.write(trail, &payload));
}

/// What a bus that keeps a trail does with each message that is published through it.
pub(crate) fn record(message: &mut Message, audit: &Audit, sender: Option<&Name>) {
    context::with(|context| leave(message, Some(audit), sender, context));
}

fn digest(payload: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(payload) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
