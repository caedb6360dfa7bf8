//! Notes: what a commit says about records beyond its position, so that acks out of order, attempt counts and
//! not-before times survive a handover.
//!
//! Layout: version, the position they belong to, settled records as runs or as a bitmap (whichever is smaller), then
//! attempts. Numbers are LEB128. A position is written relative to the one before it, in one part while the upper
//! half stays the same (Kafka, memory) and in two where it does not (Redis: milliseconds and sequence).
//!
//! They name *the position they belong to*: after a reset by any tool they do not match and are dropped, without
//! which a reset backwards would silently skip messages. Unreadable notes mean redeliver.

use crate::mutant;
use bytes::Bytes;

const VERSION: u8 = 1;
const RUNS: u8 = 0;
const RUNS_WIDE: u8 = 1;
const BITMAP: u8 = 2;

/// An unsettled record that failed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its position.
    pub position: u128,
    /// How often it failed.
    pub failures: u32,
    /// Wall-clock milliseconds before which it must not run; 0: at once.
    pub not_before: u64,
}

/// What is settled beyond a position, and who failed how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Runs of settled records, first and last position, in order.
    pub runs: Vec<(u128, u128)>,
    /// Unsettled records that failed, in order.
    pub attempts: Vec<Attempt>,
}

impl Notes {
    /// The encoded form for a commit at `next`, within `limit` bytes; empty when there is nothing to say. What does not
    /// fit is left out from the end, which means it would be redelivered: the flow stops intake before that happens.
    pub fn encode(&self, next: u128, limit: usize) -> Bytes {
        let (mut runs, mut attempts) = (&self.runs[..], &self.attempts[..]);
        while !(runs.is_empty() && attempts.is_empty()) {
            let bytes = encode(next, runs, attempts);
            if bytes.len() <= limit {
                return Bytes::from(bytes);
            }
            if attempts.is_empty() {
                runs = &runs[..runs.len() / 2];
            } else {
                attempts = &attempts[..attempts.len() / 2];
            }
        }
        Bytes::new()
    }
    /// Reads notes that were stored at `next`; empty for those of another position, another version, or garbage.
    pub fn decode(bytes: &[u8], next: u128) -> Self {
        decode(bytes, next).unwrap_or_else(|| {
            let all = mutant("unreadable-notes-settle") && !bytes.is_empty();
            Notes {
                runs: Vec::from_iter(all.then_some((next, u128::MAX >> 1))),
                attempts: Vec::new(),
            }
        })
    }
    /// Whether a record was settled.
    pub fn is_settled(&self, position: u128) -> bool {
        let at = self.runs.partition_point(|(_, last)| *last < position);
        self.runs.get(at).is_some_and(|(first, _)| *first <= position)
    }
    /// The failures of a record.
    pub fn attempt(&self, position: u128) -> Option<&Attempt> {
        let at = self
            .attempts
            .binary_search_by_key(&position, |a| a.position)
            .ok()?;
        self.attempts.get(at)
    }
    /// Drops what is said about positions below `end`.
    pub fn forget(&mut self, end: u128) {
        let runs = self.runs.partition_point(|(_, last)| *last < end);
        let attempts = self.attempts.partition_point(|a| a.position < end);
        self.runs.drain(..runs);
        self.attempts.drain(..attempts);
    }
    /// The last position that is mentioned.
    pub fn last(&self) -> Option<u128> {
        self.runs
            .last()
            .map(|r| r.1)
            .max(self.attempts.last().map(|a| a.position))
    }
}

/// An upper bound of the encoded size: `runs` runs and `attempts` attempts that reach from `next` to `end`.
pub fn bound(next: u128, end: u128, runs: usize, attempts: usize) -> usize {
    let narrow = next >> 64 == end >> 64;
    let span = end.saturating_sub(next);
    let per_position = if narrow {
        (128 - (span | 1).leading_zeros() as usize).div_ceil(7)
    } else {
        16
    };
    let as_runs = runs * 2 * per_position;
    let as_bitmap = if narrow {
        usize::try_from(span / 8 + 1).unwrap_or(usize::MAX)
    } else {
        usize::MAX
    };
    32 + as_runs.min(as_bitmap) + attempts * (per_position + 12)
}

fn encode(next: u128, runs: &[(u128, u128)], attempts: &[Attempt]) -> Vec<u8> {
    let last = runs
        .last()
        .map_or(next, |r| r.1)
        .max(attempts.last().map_or(next, |a| a.position));
    let wide = last >> 64 != next >> 64;
    let mut out = vec![VERSION];
    varint(&mut out, (next >> 64) as u64);
    varint(&mut out, next as u64);
    let mut body = Vec::new();
    varint(&mut body, runs.len() as u64);
    let mut from = next;
    for (first, last) in runs {
        relative(&mut body, wide, &mut from, *first);
        relative(&mut body, wide, &mut from, *last);
    }
    // Bit 0 is `next` itself: a former owner's run may begin there while nothing behind it was read again. Counted in
    // 128 bits, because the last of an upper half is as many behind the first as 64 bits cannot say.
    let bytes = runs.last().map_or(0, |r| (r.1 - next + 1).div_ceil(8));
    let mut length = Vec::new();
    varint(&mut length, bytes as u64);
    if !wide && bytes + (length.len() as u128) < body.len() as u128 {
        out.push(BITMAP);
        let mut map = vec![0u8; bytes as usize];
        for (first, last) in runs {
            for bit in (first - next)..=(last - next) {
                map[bit as usize / 8] |= 1 << (bit % 8);
            }
        }
        out.extend(length);
        out.extend(map);
    } else {
        out.push(if wide { RUNS_WIDE } else { RUNS });
        out.extend(body);
    }
    varint(&mut out, attempts.len() as u64);
    let mut from = next;
    for attempt in attempts {
        relative(&mut out, wide, &mut from, attempt.position);
        varint(&mut out, u64::from(attempt.failures));
        varint(&mut out, attempt.not_before);
    }
    out
}

fn decode(mut bytes: &[u8], next: u128) -> Option<Notes> {
    let input = &mut bytes;
    if take(input)? != VERSION {
        return None;
    }
    let position = u128::from(read(input)?) << 64 | u128::from(read(input)?);
    if position != next {
        return None;
    }
    let mut notes = Notes::default();
    let kind = take(input)?;
    match kind {
        BITMAP => {
            let length = usize::try_from(read(input)?).ok()?;
            let (map, rest) = input.split_at_checked(length)?;
            *input = rest;
            notes.runs = from_bitmap(map, next);
        }
        RUNS | RUNS_WIDE => {
            let mut from = next;
            for _ in 0..read(input)? {
                let first = read_relative(input, kind == RUNS_WIDE, &mut from)?;
                let last = read_relative(input, kind == RUNS_WIDE, &mut from)?;
                if notes.runs.last().is_some_and(|(_, before)| *before >= first) {
                    return None;
                }
                notes.runs.push((first, last));
            }
        }
        _ => return None,
    }
    let mut from = next;
    for _ in 0..read(input)? {
        let position = read_relative(input, kind == RUNS_WIDE, &mut from)?;
        if notes
            .attempts
            .last()
            .is_some_and(|before| before.position >= position)
        {
            return None;
        }
        let failures = u32::try_from(read(input)?).ok().filter(|n| *n > 0)?;
        notes.attempts.push(Attempt {
            position,
            failures,
            not_before: read(input)?,
        });
    }
    input.is_empty().then_some(notes)
}

fn from_bitmap(map: &[u8], next: u128) -> Vec<(u128, u128)> {
    let mut runs: Vec<(u128, u128)> = Vec::new();
    for bit in (0..map.len() * 8).filter(|bit| map[bit / 8] & (1 << (bit % 8)) != 0) {
        let position = next.saturating_add(bit as u128);
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == position => *last = position,
            _ => runs.push((position, position)),
        }
    }
    runs
}

fn relative(out: &mut Vec<u8>, wide: bool, from: &mut u128, to: u128) {
    let upper = ((to >> 64) - (*from >> 64)) as u64;
    if wide {
        varint(out, upper);
    }
    varint(
        out,
        if upper == 0 {
            (to as u64).wrapping_sub(*from as u64)
        } else {
            to as u64
        },
    );
    *from = to;
}

fn read_relative(input: &mut &[u8], wide: bool, from: &mut u128) -> Option<u128> {
    let upper = if wide { read(input)? } else { 0 };
    let lower = read(input)?;
    let to = if upper == 0 {
        from.checked_add(u128::from(lower))
            .filter(|to| to >> 64 == *from >> 64)?
    } else {
        u128::from(u64::try_from(*from >> 64).ok()?.checked_add(upper)?) << 64 | u128::from(lower)
    };
    *from = to;
    Some(to)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take(input: &mut &[u8]) -> Option<u8> {
    let (head, rest) = input.split_first()?;
    *input = rest;
    Some(*head)
}

fn read(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(input)?;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
