//! What a former owner of a partition starts before it knows that it is none any more.

use bus_core::conformance::{Happening, What};
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

/// How long what a former owner had in hand may go on to be started: it has to ask whether it is still the owner.
const STRAY: Duration = Duration::from_secs(2);

/// A member that wakes, or hears late that it was cut off, may start what it had in hand before it knows that the
/// partition went: somebody else was told since that the partition is his, and not for long. That makes it no owner; its
/// word does not count, and the messages have to come to the owner like any others. `gained` says who was told when that a
/// partition is its own. What is left, and how many deliveries are not.
pub(crate) fn without(
    history: Vec<Happening>,
    was_cut: impl Fn(u32, Instant) -> bool,
    gained: &[(Instant, u32, u32)],
) -> (Vec<Happening>, usize) {
    // When each began to start what it should not have, after it had gained the partition for the last time.
    let mut begun: HashMap<(u32, u32, Option<Instant>), Instant> = HashMap::new();
    let (mut out, mut kept, mut dropped) = (HashSet::new(), Vec::with_capacity(history.len()), 0);
    for h in history {
        match (h.what, h.place) {
            (What::Delivered { member, .. }, Some(place)) => {
                let own = gained_before(gained, place.partition, h.at, |who| who == member);
                let other = gained_before(gained, place.partition, h.at, |who| who != member);
                let is_former = other > own && was_cut(member, h.at);
                if is_former {
                    let begun = *begun.entry((member, place.partition, own)).or_insert(h.at);
                    if h.at - begun < STRAY {
                        dropped += 1;
                        out.insert((member, h.id));
                        continue;
                    }
                }
                kept.push(h);
            }
            (What::Acked { member }, _) if out.remove(&(member, h.id.clone())) => {}
            _ => kept.push(h),
        }
    }
    (kept, dropped)
}

/// When this partition was last gained, until then, by somebody who `counts`.
fn gained_before(
    gained: &[(Instant, u32, u32)],
    partition: u32,
    until: Instant,
    counts: impl Fn(u32) -> bool,
) -> Option<Instant> {
    let these = gained
        .iter()
        .filter(|(at, who, what)| *what == partition && *at <= until && counts(*who));
    these.map(|(at, ..)| *at).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus_core::conformance::{Id, Place};

    /// Deliveries, each with its acknowledgement: when (in milliseconds), to whom, and which message.
    fn history(begin: Instant, deliveries: &[(u64, u32, u128)]) -> Vec<Happening> {
        let happening = |at: u64, message: u128, what| Happening {
            at: begin + Duration::from_millis(at),
            id: Id::from(format!("p:{message}")),
            key: None,
            place: matches!(what, What::Delivered { .. }).then_some(Place {
                partition: 0,
                position: message,
            }),
            what,
        };
        let both = deliveries.iter().flat_map(|(at, member, message)| {
            let (member, attempt) = (*member, 1);
            [
                happening(*at, *message, What::Delivered { member, attempt }),
                happening(*at, *message, What::Acked { member }),
            ]
        });
        both.collect()
    }

    /// What is left of deliveries where these gained the partition, when and who: to whom, and which message.
    fn left(gains: &[(u64, u32)], deliveries: &[(u64, u32, u128)]) -> Vec<(u32, u128)> {
        let begin = Instant::now();
        let gained: Vec<_> = gains
            .iter()
            .map(|(at, who)| (begin + Duration::from_millis(*at), *who, 0))
            .collect();
        let (kept, dropped) = without(history(begin, deliveries), |_, _| true, &gained);
        assert_eq!(
            kept.len() + 2 * dropped,
            2 * deliveries.len(),
            "an end without its begin"
        );
        let delivered = kept.iter().filter_map(|h| match h.what {
            What::Delivered { member, .. } => Some((member, h.place?.position)),
            _ => None,
        });
        delivered.collect()
    }

    const WOKEN: [(u64, u32, u128); 5] = [
        (0, 1, 1),
        (5_000, 2, 1),
        (5_100, 1, 2),
        (5_200, 2, 2),
        (9_000, 2, 3),
    ];

    #[test]
    fn what_a_former_owner_starts_is_left_out() {
        assert_eq!(
            left(&[(0, 1), (4_900, 2)], &WOKEN),
            [(1, 1), (2, 1), (2, 2), (2, 3)]
        );
    }

    #[test]
    fn whoever_was_not_cut_off_is_left_in() {
        let begin = Instant::now();
        let gained = [(begin, 1, 0), (begin + Duration::from_millis(4_900), 2, 0)];
        let (kept, dropped) = without(history(begin, &WOKEN), |member, _| member == 2, &gained);
        assert_eq!((kept.len(), dropped), (10, 0));
    }

    #[test]
    fn who_gained_it_again_is_left_in_and_what_it_started_before_is_not() {
        let gains = [(0, 1), (4_900, 2), (6_700, 1)];
        let moved = [
            (0, 1, 1),
            (5_000, 2, 2),
            (5_400, 1, 3),
            (6_800, 1, 3),
            (9_000, 1, 4),
        ];
        assert_eq!(left(&gains, &moved), [(1, 1), (2, 2), (1, 3), (1, 4)]);
    }

    #[test]
    fn another_partition_is_nobodys_business() {
        let begin = Instant::now();
        let own = history(begin, &[(0, 1, 1), (5_400, 1, 3)]);
        let gained = [(begin, 1, 0), (begin + Duration::from_secs(5), 2, 1)];
        assert_eq!(without(own, |_, _| true, &gained).1, 0);
    }

    #[test]
    fn whoever_goes_on_for_long_is_left_in() {
        let long: Vec<_> = (0..41).map(|i| (5_000 + 100 * i, 1, u128::from(i))).collect();
        assert_eq!(left(&[(0, 1), (4_900, 2)], &long).len(), 21);
    }
}
