//! One partition of one publisher: what waits, what is in flight, and the sequence that makes a resend harmless.

use super::call::Call;
use crate::{entry, keys, topics::TopicInfo, wire::encode};
use bus_core::{Error, Message, Name, Outcome, Receipt, Unsent};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// Messages of one pack at most, so that a server's other clients are not kept waiting long.
const PACK_MESSAGES: usize = 1000;
/// Bytes of one pack at most, unless a message is larger.
const PACK_BYTES: usize = 1024 * 1024;
/// How long a marker outlives its publisher's last message, in seconds.
pub(crate) const MARKER_LIFE: &[u8] = b"86400";
const MARKER_LIVES: Duration = Duration::from_secs(86_400);

/// Waits of a pack that was refused for now.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How a pack is made to be stored once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A transaction that sets the marker, behind a connection that can be killed before anything is sent again: as
    /// fast as plain `XADD`.
    Transaction,
    /// A script that looks at the marker first: where `CLIENT KILL` is denied.
    Script,
}

/// Messages that are stored together.
#[derive(Debug)]
pub(crate) struct Pack {
    body: Vec<u8>,
    words: usize,
    parts: Vec<Part>,
    pub(crate) messages: usize,
    pub(crate) since: Instant,
    pub(crate) sequence: u64,
}

/// The messages of one call in a pack.
#[derive(Debug)]
struct Part {
    call: Arc<Call>,
    indexes: Vec<u32>,
}

/// The last pack that was confirmed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Confirmed {
    pub(crate) position: Option<u128>,
    at: (Instant, SystemTime),
}

impl Confirmed {
    /// Whether the marker may have expired since then, by whichever clock is ahead.
    fn is_old(&self) -> bool {
        let most = MARKER_LIVES / 2;
        self.at.0.elapsed() > most || self.at.1.elapsed().is_ok_and(|time| time > most)
    }
}

/// One partition.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) topic: Name,
    pub(crate) partition: u32,
    pub(crate) stream: String,
    pub(crate) marker: String,
    /// What every `XADD` to this stream begins with, behind the number of its words.
    prefix: Vec<u8>,
    form: Form,
    /// The number of the node that it goes to.
    pub(crate) route: usize,
    pub(crate) waiting: VecDeque<Pack>,
    pub(crate) flying: Option<Pack>,
    /// Where the pack that flies was stored, while it is not known to be as durable as it has to be.
    pub(crate) unconfirmed: Option<Vec<u128>>,
    /// The last sequence given to a pack.
    pub(crate) sequence: u64,
    /// The lowest marker that the server may have.
    pub(crate) low: u64,
    /// A pack was given up while it was unclear whether it is stored: the marker has to be read first.
    pub(crate) unclear: bool,
    /// Why the server refused the pack that flies, for now: it is certainly not stored, and waits to be sent again.
    pub(crate) refused: Option<Error>,
    /// How often in a row.
    refusals: u32,
    /// The last pack that was confirmed: where it ends, where that is known, and when it was.
    pub(crate) confirmed: Option<Confirmed>,
    /// Confirmed records are gone: what the next publish is told.
    pub(crate) lost: Option<Error>,
    /// In the list of lanes that have something to send.
    pub(crate) ready: bool,
}

impl Lane {
    pub(crate) fn new(info: &TopicInfo, partition: u32, publisher: &str, form: Form, route: usize) -> Self {
        let stream = info.stream(partition);
        let mut prefix = Vec::new();
        for word in [&b"XADD"[..], stream.as_bytes(), b"NOMKSTREAM", b"*"] {
            encode::bulk(&mut prefix, word);
        }
        Self {
            topic: info.name.clone(),
            partition,
            marker: keys::marker(&stream, &info.name, partition, publisher),
            stream,
            prefix,
            form,
            route,
            waiting: VecDeque::new(),
            flying: None,
            unconfirmed: None,
            sequence: 0,
            low: 0,
            unclear: false,
            refused: None,
            refusals: 0,
            confirmed: None,
            lost: None,
            ready: false,
        }
    }

    /// Puts a message behind what waits.
    pub(crate) fn push(&mut self, message: &Message, call: &Arc<Call>, index: u32, now: Instant) {
        let full = |p: &Pack| p.messages >= PACK_MESSAGES || p.body.len() + message.size() > PACK_BYTES;
        if self.waiting.back().is_none_or(full) {
            self.waiting.push_back(Pack {
                body: Vec::new(),
                words: 0,
                parts: Vec::new(),
                messages: 0,
                since: now,
                sequence: 0,
            });
        }
        let Some(pack) = self.waiting.back_mut() else {
            return;
        };
        let words = entry::words(message);
        match self.form {
            Form::Transaction => {
                encode::array(&mut pack.body, 4 + words);
                pack.body.extend_from_slice(&self.prefix);
            }
            Form::Script => encode::number(&mut pack.body, words as i64),
        }
        entry::encode(message, &mut pack.body);
        pack.words += 1 + words;
        pack.messages += 1;
        match pack.parts.last_mut().filter(|part| Arc::ptr_eq(&part.call, call)) {
            Some(part) => part.indexes.push(index),
            None => pack.parts.push(Part {
                call: call.clone(),
                indexes: vec![index],
            }),
        }
    }

    /// The lowest marker that the server may have. One that expired says nothing about what was lost.
    pub(crate) fn floor(&mut self) -> u64 {
        if self.confirmed.is_none_or(|confirmed| confirmed.is_old()) {
            self.low = 0;
        }
        self.low
    }

    /// Lets the next pack fly, if one waits and none flies.
    pub(crate) fn launch(&mut self) -> Option<&Pack> {
        if self.flying.is_some() {
            return None;
        }
        self.floor();
        let mut pack = self.waiting.pop_front()?;
        self.sequence += 1;
        pack.sequence = self.sequence;
        self.flying = Some(pack);
        self.flying.as_ref()
    }

    /// Writes the pack that flies, for the first time or again.
    pub(crate) fn write(&mut self, sha: &str, out: &mut Vec<u8>) {
        self.refused = None;
        let Some(pack) = &self.flying else { return };
        match self.form {
            Form::Transaction => {
                encode::command(out, &[b"MULTI"]);
                let sequence = pack.sequence.to_string();
                encode::command(
                    out,
                    &[
                        b"SET",
                        self.marker.as_bytes(),
                        sequence.as_bytes(),
                        b"EX",
                        MARKER_LIFE,
                        b"GET",
                    ],
                );
                out.extend_from_slice(&pack.body);
                encode::command(out, &[b"EXEC"]);
            }
            Form::Script => {
                encode::array(out, 8 + pack.words);
                for word in [
                    &b"EVALSHA"[..],
                    sha.as_bytes(),
                    b"2",
                    self.marker.as_bytes(),
                    self.stream.as_bytes(),
                ] {
                    encode::bulk(out, word);
                }
                encode::number(out, self.low as i64);
                encode::number(out, pack.sequence as i64);
                encode::bulk(out, MARKER_LIFE);
                out.extend_from_slice(&pack.body);
            }
        }
    }

    /// The server refused the pack for now; how long it waits before it flies again. A full server refuses a while, and
    /// every attempt costs it the pack's bytes.
    pub(crate) fn refuse(&mut self, error: Error) -> Duration {
        self.refused = Some(error);
        self.refusals += 1;
        (FIRST_WAIT * (1 << (self.refusals - 1).min(5))).min(LONGEST_WAIT)
    }

    /// The pack that flew is stored: at these positions, where they are known.
    pub(crate) fn stored(&mut self, positions: &[u128]) {
        self.unconfirmed = None;
        let Some(pack) = self.flying.take() else { return };
        self.low = pack.sequence;
        self.refusals = 0;
        self.confirmed = Some(Confirmed {
            position: positions.last().copied(),
            at: (Instant::now(), SystemTime::now()),
        });
        let mut nth = 0;
        for part in pack.parts {
            part.call.settle(&part.indexes, |index| {
                let position = positions.get(nth + index).copied();
                Ok(Outcome::Stored(Receipt {
                    partition: self.partition,
                    position,
                }))
            });
            nth += part.indexes.len();
        }
    }

    /// The pack that flew is not stored, or unclear, and nothing behind it will be.
    pub(crate) fn failed(&mut self, error: &Error, unclear: bool) {
        self.refused = None;
        self.refusals = 0;
        // In the server's history, whether or not it stays there.
        let certain = self.unconfirmed.take().is_some();
        if let Some(pack) = self.flying.take() {
            match unclear {
                true if certain => self.low = pack.sequence,
                true => self.unclear = true,
                false => self.low = pack.sequence.saturating_sub(1),
            }
            pack.fail(|| {
                if unclear {
                    Unsent::unknown(error.duplicate())
                } else {
                    Unsent::not_stored(error.duplicate())
                }
            });
        }
        for pack in std::mem::take(&mut self.waiting) {
            pack.fail(|| Unsent::not_stored(error.duplicate()));
        }
    }

    /// Confirmed records are gone. What flies and waits is refused, or else the next publish: whoever publishes has to
    /// hear of it.
    pub(crate) fn lose(&mut self, marker: u64, error: Error) {
        self.low = marker;
        self.sequence = self.sequence.max(marker);
        self.confirmed = None;
        if self.since().is_some() {
            self.failed(&error, false);
            self.low = marker;
        } else {
            self.lost = Some(error);
        }
    }

    /// Confirmed records are gone, as the marker tells that was there before the pack that flies, which is stored behind
    /// the gap. What waits is refused, or else the next publish.
    pub(crate) fn lost_before(&mut self, error: Error) {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            self.lost = Some(error);
        } else {
            for pack in waiting {
                pack.fail(|| Unsent::not_stored(error.duplicate()));
            }
        }
    }

    /// Since when the oldest message waits.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.flying
            .as_ref()
            .or(self.waiting.front())
            .map(|pack| pack.since)
    }
}

impl Pack {
    fn fail(self, reason: impl Fn() -> Unsent) {
        for part in self.parts {
            part.call.settle(&part.indexes, |_| Err(reason()));
        }
    }
}
