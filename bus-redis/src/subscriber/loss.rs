//! What was removed before it was read, told by counting: ids have holes, so that they tell nothing.

use super::ordinals::Ordinals;
use crate::facts::Facts;

/// The positions that are missing, given what the ends of the stream were `before` and are `now`, while everything up to
/// `read_to` is read. No range holds a position at which there is a record.
pub(super) fn missing(
    ordinals: &mut Ordinals,
    before: Option<Facts>,
    now: Facts,
    read_to: u128,
) -> Vec<(u128, u128)> {
    let missing = match now.deleted {
        0 => trimmed(ordinals, now, read_to).into_iter().collect(),
        _ => with_holes(ordinals, before, now, read_to),
    };
    if read_to == now.tip.saturating_add(1) {
        // Everything that was ever added is behind the reader, whatever became of it. Further on there is more
        // than was counted then.
        ordinals.resync(now.added);
    }
    missing
}

/// Without `XDEL` counts are exact.
fn trimmed(ordinals: &mut Ordinals, now: Facts, read_to: u128) -> Option<(u128, u128)> {
    let begin = now.begin();
    let (known, from) = if read_to <= begin {
        (ordinals.total()?, read_to)
    } else {
        // The reader is past the gap already: it lies behind the last record before the first one that is there.
        (ordinals.before(begin)?, ordinals.last_before(begin)? + 1)
    };
    let gone = now.removed().checked_sub(known).filter(|gone| *gone > 0)?;
    ordinals.skip(gone);
    (from < begin).then_some((from, begin))
}

/// With `XDEL` the server tells the highest hole, and the first entry; holes below the highest, made between two looks,
/// stay unknown.
fn with_holes(
    ordinals: &mut Ordinals,
    before: Option<Facts>,
    now: Facts,
    read_to: u128,
) -> Vec<(u128, u128)> {
    let (begin, hole) = (now.begin(), now.deleted);
    let fresh = before.is_none_or(|before| before.deleted < hole);
    let hole = (fresh && hole >= read_to && hole >= begin).then_some((hole, hole + 1));
    let gone = match ordinals.total() {
        Some(known) if read_to <= begin => now.removed().saturating_sub(known),
        _ => u64::from(hole.is_some()),
    };
    // One that is gone can only be the hole; more are also gone from the front, unless that did not move.
    let moved = before.map_or(gone > u64::from(hole.is_some()), |before| before.begin() < begin);
    let front = (gone > 0 && moved && read_to < begin).then_some((read_to, begin));
    if gone > 0 {
        ordinals.skip(gone);
    }
    front.into_iter().chain(hole.filter(|_| gone > 0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries 1 to `tip` were added, `there` are left.
    fn facts(tip: u64, there: &[u128], deleted: u128) -> Facts {
        Facts {
            added: tip,
            length: there.len() as u64,
            first: there.first().copied(),
            tip: u128::from(tip),
            newest: there.last().copied(),
            deleted,
        }
    }
    fn read(upto: u128) -> Ordinals {
        let mut ordinals = Ordinals::new(Some(0));
        ordinals.read((1..=upto).collect());
        ordinals
    }

    #[test]
    fn what_was_trimmed_unread_is_told_once() {
        let now = facts(20, &[16, 17, 18, 19, 20], 0);
        let mut ordinals = read(10);
        assert_eq!(missing(&mut ordinals, None, now, 11), [(11, 16)]);
        assert_eq!(missing(&mut ordinals, Some(now), now, 11), []);
        assert_eq!(missing(&mut read(17), None, now, 18), [], "all of it was read");
    }

    #[test]
    fn a_hole_ahead_is_told_and_nothing_around_it() {
        let there: Vec<u128> = (1..=20).filter(|i| *i != 15).collect();
        let (before, now) = (facts(20, &(1..=20).collect::<Vec<_>>(), 0), facts(20, &there, 15));
        for before in [None, Some(before)] {
            assert_eq!(missing(&mut read(10), before, now, 11), [(15, 16)]);
            assert_eq!(missing(&mut read(0), before, now, 0), [(15, 16)]);
        }
        let mut ordinals = read(10);
        assert_eq!(missing(&mut ordinals, Some(now), now, 11), [], "told already");
        assert_eq!(missing(&mut read(15), Some(before), now, 16), [], "it was read");
    }

    #[test]
    fn holes_behind_the_reader_are_no_loss_later() {
        // 5 was deleted after it was read; then 1 to 12 go, and 11 and 12 were not read.
        let there: Vec<u128> = (1..=20).filter(|i| *i != 5).collect();
        let (before, now) = (facts(20, &there, 5), facts(20, &(13..=20).collect::<Vec<_>>(), 5));
        assert_eq!(missing(&mut read(10), Some(before), now, 11), [(11, 13)]);
        let now = facts(20, &(11..=20).collect::<Vec<_>>(), 5);
        assert_eq!(missing(&mut read(10), Some(before), now, 11), []);
    }

    #[test]
    fn a_reader_at_the_end_knows_the_count_again() {
        // Two holes were made ahead of it between two looks; only the higher one is known.
        let there: Vec<u128> = (1..=20).filter(|i| ![13, 15].contains(i)).collect();
        let now = facts(20, &there, 15);
        let mut ordinals = read(10);
        assert_eq!(missing(&mut ordinals, None, now, 11), [(15, 16)]);
        ordinals.read((11..=20).filter(|i| ![13, 15].contains(i)).collect());
        assert_eq!(missing(&mut ordinals, Some(now), now, 21), []);
        assert_eq!(ordinals.total(), Some(20));
        let later = facts(30, &(26..=30).collect::<Vec<_>>(), 15);
        assert_eq!(missing(&mut ordinals, Some(now), later, 21), [(21, 26)]);
    }
}
