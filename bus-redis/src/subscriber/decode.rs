//! The reply to `XREAD`, decoded in place: from the socket's buffer straight into batches, one entry after the other,
//! so that half a reply costs nothing twice.

use crate::{
    entry, id,
    wire::value::{Malformed, bulk, integer, line},
};
use bus_core::{Batch, BatchBuilder};

/// Entries of ours have three fields at most; more are collected on the heap.
const FIELDS: usize = 8;

/// Where in a reply the decoder stands.
#[derive(Debug, Default)]
enum State {
    #[default]
    Start,
    Streams {
        left: usize,
    },
    Entries {
        streams: usize,
        left: usize,
    },
}

/// Reads one reply after the other.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    state: State,
    stream: usize,
    batch: BatchBuilder,
    last: u128,
    /// Bytes of the largest batch lately: what the next arena starts with.
    hint: usize,
}

/// What came out of the input.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing yet: more input is needed.
    Wait,
    /// Records of the stream at this index of the request; the last one's position.
    Batch(usize, Batch, u128),
    /// The reply is complete.
    End,
    /// The reply is an error.
    Refused(String),
}

impl Decoder {
    /// Goes on with `input`, the reply to a request for `keys`; answers how many bytes are used up.
    pub(crate) fn step(
        &mut self,
        input: &[u8],
        keys: &[impl AsRef<[u8]>],
    ) -> Result<(usize, Step), Malformed> {
        let mut used = 0;
        loop {
            match self.state {
                State::Start => {
                    let mut at = used;
                    let Some((kind, rest)) = line(input, &mut at)? else {
                        return Ok((used, Step::Wait));
                    };
                    used = at;
                    match kind {
                        b'-' => return Ok((used, Step::Refused(String::from_utf8_lossy(rest).into_owned()))),
                        b'*' => {}
                        _ => return Err(Malformed),
                    }
                    self.stream = 0;
                    match integer(rest)? {
                        -1 => return Ok((used, Step::End)),
                        left => {
                            self.state = State::Streams {
                                left: count(left, keys.len())?,
                            }
                        }
                    }
                }
                State::Streams { left: 0 } => {
                    self.state = State::Start;
                    return Ok((used, Step::End));
                }
                State::Streams { left } => {
                    let mut at = used;
                    let Some((key, entries)) = stream(input, &mut at)? else {
                        return Ok((used, Step::Wait));
                    };
                    used = at;
                    // Streams come in the order of the request, those without news left out.
                    let found = keys[self.stream.min(keys.len())..]
                        .iter()
                        .position(|k| k.as_ref() == key);
                    self.stream += found.ok_or(Malformed)?;
                    self.batch = BatchBuilder::with_capacity(entries.min(1024), self.hint.min(Batch::ARENA));
                    self.state = State::Entries {
                        streams: left - 1,
                        left: entries,
                    };
                }
                State::Entries { streams, left: 0 } => {
                    self.state = State::Streams { left: streams };
                    let stream = self.stream;
                    self.stream += 1;
                    if !self.batch.is_empty() {
                        return Ok((used, self.take(stream)));
                    }
                }
                State::Entries { streams, left } => {
                    let mut at = used;
                    let full = self.batch.bytes();
                    match self.entry(input, &mut at, full)? {
                        Read::Wait => return Ok((used, Step::Wait)),
                        Read::Full => return Ok((used, self.take(self.stream))),
                        Read::One => {
                            used = at;
                            self.state = State::Entries {
                                streams,
                                left: left - 1,
                            };
                        }
                    }
                }
            }
        }
    }

    fn take(&mut self, stream: usize) -> Step {
        let batch = std::mem::take(&mut self.batch);
        self.hint = batch.bytes() + batch.bytes() / 8;
        Step::Batch(stream, batch.finish(), self.last)
    }

    fn entry(&mut self, input: &[u8], at: &mut usize, full: usize) -> Result<Read, Malformed> {
        let Some(2) = length(input, at, b'*')? else {
            return Ok(Read::Wait);
        };
        let Some(word) = word(input, at)? else {
            return Ok(Read::Wait);
        };
        let position = id::position(word).ok_or(Malformed)?;
        let Some(words) = length(input, at, b'*')? else {
            return Ok(Read::Wait);
        };
        if words % 2 != 0 {
            return Err(Malformed);
        }
        let mut few = [(&[][..], &[][..]); FIELDS];
        let mut many = Vec::new();
        let mut size = 0;
        for nth in 0..words / 2 {
            let Some(name) = self::word(input, at)? else {
                return Ok(Read::Wait);
            };
            let Some(value) = self::word(input, at)? else {
                return Ok(Read::Wait);
            };
            size += value.len();
            match few.get_mut(nth).filter(|_| words / 2 <= FIELDS) {
                Some(slot) => *slot = (name, value),
                None => many.push((name, value)),
            }
        }
        if !self.batch.is_empty() && full + size > Batch::ARENA {
            return Ok(Read::Full);
        }
        let fields = if many.is_empty() {
            &few[..words / 2]
        } else {
            &many[..]
        };
        entry::push(&mut self.batch, position, fields);
        self.last = position;
        Ok(Read::One)
    }
}

enum Read {
    Wait,
    Full,
    One,
}

fn count(value: i64, most: usize) -> Result<usize, Malformed> {
    usize::try_from(value)
        .ok()
        .filter(|n| *n <= most)
        .ok_or(Malformed)
}

/// No reply has more elements or longer strings than this.
const MOST: usize = 1 << 30;

fn length(input: &[u8], at: &mut usize, kind: u8) -> Result<Option<usize>, Malformed> {
    match line(input, at)? {
        None => Ok(None),
        Some((first, digits)) if first == kind => Ok(Some(count(integer(digits)?, MOST)?)),
        Some(_) => Err(Malformed),
    }
}

fn word<'a>(input: &'a [u8], at: &mut usize) -> Result<Option<&'a [u8]>, Malformed> {
    match length(input, at, b'$')? {
        None => Ok(None),
        Some(length) => bulk(input, at, length),
    }
}

/// A stream's key and how many entries follow.
fn stream<'a>(input: &'a [u8], at: &mut usize) -> Result<Option<(&'a [u8], usize)>, Malformed> {
    let Some(two) = length(input, at, b'*')? else {
        return Ok(None);
    };
    if two != 2 {
        return Err(Malformed);
    }
    let Some(key) = word(input, at)? else {
        return Ok(None);
    };
    Ok(length(input, at, b'*')?.map(|entries| (key, entries)))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
