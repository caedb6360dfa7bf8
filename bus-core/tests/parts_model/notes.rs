//! Notes against sets of positions, and against the sizes that their layout says.

use crate::seeds;
use bus_core::flow::notes::{Attempt, Notes, bound};
use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};

/// A position and what is noted behind it, in order.
type Case = (u128, Vec<Piece>);

#[derive(Clone, Debug)]
struct Piece {
    /// Unsettled positions in front of it.
    gap: u64,
    /// It begins in a later upper half (Redis: in a later millisecond).
    upper: u64,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Settled(u64),
    Failed { failures: u32, not_before: u64 },
}

/// To the very end of the upper half.
const TO_END: u64 = u64::MAX;

fn pieces(far: bool) -> impl Strategy<Value = Vec<Piece>> {
    let many = u32::from(far);
    let gap = prop_oneof![8 => 0u64..3, 4 => 0u64..60, many => any::<u64>()];
    let upper = prop_oneof![9 => Just(0u64), many => 1u64..1 << 40];
    let length = prop_oneof![8 => 1u64..4, 4 => 1u64..60, many => 1..u64::MAX, many => Just(TO_END)];
    let kind = prop_oneof![
        4 => length.prop_map(Kind::Settled),
        1 => (1u32.., any::<u64>()).prop_map(|(failures, not_before)| Kind::Failed { failures, not_before }),
    ];
    let piece = (gap, upper, kind).prop_map(|(gap, upper, kind)| Piece { gap, upper, kind });
    prop_oneof![vec(piece.clone(), 0..8), vec(piece, 0..400)]
}

fn cases() -> impl Strategy<Value = Case> {
    let lower = prop_oneof![
        Just(0u64),
        Just(5),
        0u64..1 << 20,
        Just(u64::MAX),
        Just(u64::MAX - 70)
    ];
    (0u64..3, lower, prop_oneof![pieces(false), pieces(true)])
        .prop_map(|(upper, lower, pieces)| (u128::from(upper) << 64 | u128::from(lower), pieces))
}

/// What is noted. `None`: no log reaches that far.
fn notes((next, pieces): &Case) -> Option<Notes> {
    let mut notes = Notes::default();
    let mut at = *next;
    for piece in pieces {
        at = match piece.upper {
            0 => at.checked_add(piece.gap.into())?,
            upper => ((at >> 64) + u128::from(upper)) << 64 | u128::from(piece.gap),
        };
        match piece.kind {
            Kind::Settled(length) => {
                let last = match length {
                    TO_END => at | u128::from(u64::MAX),
                    length => at.checked_add(u128::from(length) - 1)?,
                };
                notes.runs.push((at, last));
                at = last + 1;
            }
            Kind::Failed { failures, not_before } => {
                notes.attempts.push(Attempt {
                    position: at,
                    failures,
                    not_before,
                });
                at += 1;
            }
        }
    }
    (at >> 64 <= u128::from(u64::MAX >> 1)).then_some(notes)
}

/// Runs that touch are one: a bitmap cannot tell them apart, and nobody has to.
fn merged(runs: &[(u128, u128)]) -> Vec<(u128, u128)> {
    let mut merged: Vec<(u128, u128)> = Vec::new();
    for (first, last) in runs {
        match merged.last_mut() {
            Some((_, end)) if *end + 1 == *first => *end = *last,
            _ => merged.push((*first, *last)),
        }
    }
    merged
}

fn varint(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Bytes of a list of positions, each relative to the one before it.
fn positions(next: u128, wide: bool, positions: impl Iterator<Item = u128>) -> usize {
    let mut from = next;
    let size = |to: u128| {
        let upper = ((to >> 64) - (from >> 64)) as u64;
        let lower = if upper == 0 { (to - from) as u64 } else { to as u64 };
        from = to;
        varint(lower) + if wide { varint(upper) } else { 0 }
    };
    positions.map(size).sum()
}

/// The least that the layout needs.
fn least(notes: &Notes, next: u128) -> usize {
    let Some(last) = notes.last() else { return 0 };
    let wide = last >> 64 != next >> 64;
    let head = 1 + varint((next >> 64) as u64) + varint(next as u64) + 1;
    let ends = notes.runs.iter().flat_map(|(first, last)| [*first, *last]);
    let as_runs = varint(notes.runs.len() as u64) + positions(next, wide, ends);
    let bits = notes.runs.last().map_or(0, |(_, last)| last - next + 1);
    let bytes = u64::try_from(bits.div_ceil(8)).unwrap_or(u64::MAX);
    let as_bitmap = match wide {
        true => usize::MAX,
        false => (bytes as usize).saturating_add(varint(bytes)),
    };
    let failed = notes.attempts.iter().map(|attempt| attempt.position);
    let counts = |a: &Attempt| varint(a.failures.into()) + varint(a.not_before);
    let attempts = varint(notes.attempts.len() as u64)
        + positions(next, wide, failed)
        + notes.attempts.iter().map(counts).sum::<usize>();
    head + as_runs.min(as_bitmap) + attempts
}

fn round_trip(case: Case) -> Result<(), TestCaseError> {
    let (next, Some(notes)) = (case.0, notes(&case)) else {
        return Ok(());
    };
    let bytes = notes.encode(next, usize::MAX);
    let back = Notes::decode(&bytes, next);
    prop_assert_eq!(merged(&back.runs), merged(&notes.runs));
    prop_assert_eq!(&back.attempts, &notes.attempts);
    prop_assert_eq!(bytes.len(), least(&notes, next), "the smallest form");
    let (end, runs, failed) = (
        notes.last().map_or(next, |last| last + 1),
        notes.runs.len(),
        notes.attempts.len(),
    );
    prop_assert!(bytes.len() <= bound(next, end, runs, failed), "the bound is one");
    for (first, last) in &notes.runs {
        prop_assert!(back.is_settled(*first) && back.is_settled(*last));
    }
    for attempt in &notes.attempts {
        prop_assert_eq!(back.attempt(attempt.position), Some(attempt));
        prop_assert!(!back.is_settled(attempt.position));
    }
    for other in [next + 1, next.wrapping_sub(1), next ^ 1 << 64] {
        prop_assert_eq!(
            Notes::decode(&bytes, other),
            Notes::default(),
            "of another position"
        );
    }
    Ok(())
}

#[test]
fn what_was_noted_comes_back_in_the_smallest_form() {
    seeds::each(800, cases(), round_trip);
}

#[test]
fn what_does_not_fit_is_left_out_from_the_end() {
    seeds::each(400, (cases(), 0usize..400), |(case, limit)| {
        let (next, Some(notes)) = (case.0, notes(&case)) else {
            return Ok(());
        };
        let bytes = notes.encode(next, limit);
        prop_assert!(bytes.len() <= limit);
        let back = Notes::decode(&bytes, next);
        let merged = merged(&notes.runs);
        let within =
            |(first, last): &(u128, u128)| merged.iter().any(|run| run.0 <= *first && *last <= run.1);
        prop_assert!(back.runs.iter().all(within), "nothing is settled that was not");
        prop_assert!(notes.attempts.starts_with(&back.attempts));
        if least(&notes, next) <= limit {
            prop_assert_eq!(back.attempts.len(), notes.attempts.len());
            prop_assert_eq!(bytes.len(), least(&notes, next), "what fits is not cut");
        }
        Ok(())
    });
}

/// What is said below a position is forgotten, and only that.
#[test]
fn what_was_read_again_is_forgotten() {
    seeds::each(300, (cases(), any::<prop::sample::Index>()), |(case, pick)| {
        let Some(mut notes) = notes(&case).filter(|notes| notes.last().is_some()) else {
            return Ok(());
        };
        let (all, ends) = (
            notes.clone(),
            notes.runs.iter().flat_map(|run| [run.0, run.1 + 1]),
        );
        let ends: Vec<_> = ends
            .chain(notes.attempts.iter().map(|a| a.position + 1))
            .collect();
        let end = *pick.get(&ends);
        notes.forget(end);
        prop_assert!(notes.runs.iter().all(|run| run.1 >= end));
        prop_assert_eq!(
            notes.runs.len(),
            all.runs.iter().filter(|run| run.1 >= end).count()
        );
        prop_assert_eq!(
            notes.attempts.len(),
            all.attempts.iter().filter(|a| a.position >= end).count()
        );
        Ok(())
    });
}

/// How stored bytes can be spoiled.
#[derive(Clone, Debug)]
enum Spoil {
    Cut(prop::sample::Index),
    Append(Vec<u8>),
    Version(u8),
    Flip(prop::sample::Index, u8),
    Garbage(Vec<u8>),
}

fn spoils() -> impl Strategy<Value = Spoil> {
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Spoil::Cut),
        vec(any::<u8>(), 1..20).prop_map(Spoil::Append),
        any::<u8>()
            .prop_filter("another version", |v| *v != 1)
            .prop_map(Spoil::Version),
        (any::<prop::sample::Index>(), 1u8..).prop_map(|(at, bits)| Spoil::Flip(at, bits)),
        vec(any::<u8>(), 0..200).prop_map(Spoil::Garbage),
    ]
}

#[test]
fn what_cannot_be_read_settles_nothing() {
    seeds::each(1_000, (cases(), spoils()), |(case, spoil)| {
        let (next, Some(notes)) = (case.0, notes(&case)) else {
            return Ok(());
        };
        let mut bytes = notes.encode(next, usize::MAX).to_vec();
        if bytes.is_empty() {
            return Ok(());
        }
        // Whether it can be told that they are not as they were.
        let told = match spoil {
            Spoil::Cut(at) => {
                bytes.truncate(at.index(bytes.len()));
                true
            }
            Spoil::Append(more) => {
                bytes.extend(more);
                true
            }
            Spoil::Version(version) => {
                bytes[0] = version;
                true
            }
            Spoil::Flip(at, bits) => {
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
                false
            }
            Spoil::Garbage(garbage) => {
                bytes.truncate(3);
                bytes.extend(garbage);
                false
            }
        };
        let back = Notes::decode(&bytes, next);
        if told {
            prop_assert_eq!(back, Notes::default());
        } else {
            // Without a checksum a changed bit can say something else, but nothing that has no sense.
            prop_assert!(
                back.runs
                    .iter()
                    .all(|(first, last)| next <= *first && first <= last)
            );
            prop_assert!(back.attempts.iter().all(|a| next <= a.position && a.failures > 0));
        }
        Ok(())
    });
}

/// Two runs one of which has a part of the other, and two attempts of one record: nobody writes that.
#[test]
fn what_is_not_in_order_is_unreadable() {
    let head = [1, 0, 1];
    for body in [
        &[0, 2, 4, 0, 0, 0, 0][..],
        &[0, 2, 4, 3, 0, 0, 0],
        &[0, 0, 2, 4, 1, 0, 0, 1, 0],
    ] {
        let bytes: Vec<u8> = head.iter().chain(body).copied().collect();
        assert_eq!(Notes::decode(&bytes, 1), Notes::default(), "{body:?}");
    }
    let good: Vec<u8> = head
        .iter()
        .chain(&[0, 2, 4, 0, 2, 0, 1, 9, 1, 0])
        .copied()
        .collect();
    let read = Notes::decode(&good, 1);
    assert_eq!((read.runs, read.attempts.len()), (vec![(5, 5), (7, 7)], 1));
}
