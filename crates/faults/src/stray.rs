//! What a former owner of a partition starts before it knows that it is none any more.

use bus_core::conformance::{Happening, What};
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

/// How long what a former owner had in hand may go on to be started: it has to ask whether it is still the owner.
const STRAY: Duration = Duration::from_secs(2);

/// Deliveries of one partition to one member, with nobody else's between them.
struct Run {
    member: u32,
    from: Instant,
    numbers: Vec<usize>,
}

/// A member that wakes, or hears late that it was cut off, may start what it had in hand before it knows that the
/// partition went: between deliveries of its owner, without having gained it since that one began, and not for long.
/// That makes it no owner; its word does not count, and the messages have to come to the owner like any others.
/// `gained` says who was told when that a partition is its own. What is left, and how many deliveries are not.
pub(crate) fn without(
    history: Vec<Happening>,
    was_cut: impl Fn(u32, Instant) -> bool,
    gained: &[(Instant, u32, u32)],
) -> (Vec<Happening>, usize) {
    let mut stray: HashSet<usize> = HashSet::new();
    for (partition, runs) in runs(&history) {
        let gained = |run: &Run, since| {
            let own = gained
                .iter()
                .filter(|(_, who, what)| (*who, *what) == (run.member, partition));
            own.into_iter().any(|(at, ..)| (since..=run.from).contains(at))
        };
        for (since, run) in strays(&runs) {
            if was_cut(run.member, run.from) && !gained(run, since) {
                stray.extend(&run.numbers);
            }
        }
    }
    let (mut out, mut kept) = (HashSet::new(), Vec::with_capacity(history.len()));
    for (number, h) in history.into_iter().enumerate() {
        match h.what {
            What::Delivered { member, .. } if stray.contains(&number) => drop(out.insert((member, h.id))),
            What::Acked { member } if out.remove(&(member, h.id.clone())) => {}
            _ => kept.push(h),
        }
    }
    (kept, stray.len())
}

fn runs(history: &[Happening]) -> HashMap<u32, Vec<Run>> {
    let mut all: HashMap<u32, Vec<Run>> = HashMap::new();
    for (number, h) in history.iter().enumerate() {
        if let (What::Delivered { member, .. }, Some(place)) = (h.what, h.place) {
            let runs = all.entry(place.partition).or_default();
            match runs.last_mut() {
                Some(run) if run.member == member => run.numbers.push(number),
                _ => runs.push(Run {
                    member,
                    from: h.at,
                    numbers: vec![number],
                }),
            }
        }
    }
    all
}

/// Where two take turns, the one that is left in the end is the owner, from its first delivery on: what others start
/// behind that, and soon, is stray. Each with the time since when the owner is that.
fn strays(runs: &[Run]) -> Vec<(Instant, &Run)> {
    let mut found = Vec::new();
    let mut at = 1;
    while at < runs.len() {
        let changes = runs[at..]
            .windows(2)
            .take_while(|two| two[1].from - two[0].from < STRAY);
        let end = at + changes.count();
        let owner = runs[end].member;
        // It may have been the owner all the time.
        let begin = (at - 1..end).find(|i| runs[*i].member == owner).unwrap_or(end);
        let began = if begin < at {
            runs[at].from
        } else {
            runs[begin].from
        };
        let others = runs[begin..end].iter().filter(|run| run.member != owner);
        let soon = others.filter(|run| run.from - began < STRAY);
        found.extend(soon.map(|run| (runs[begin].from, run)));
        at = end + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus_core::conformance::{Id, Place};

    /// Deliveries, each with its acknowledgement: when (in milliseconds), to whom, and which message.
    fn history(deliveries: &[(u64, u32, u128)]) -> Vec<Happening> {
        let begin = Instant::now();
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

    /// What is left of them: to whom, and which message.
    fn left(deliveries: &[(u64, u32, u128)]) -> Vec<(u32, u128)> {
        let (kept, dropped) = without(history(deliveries), |_, _| true, &[]);
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

    #[test]
    fn what_a_former_owner_starts_is_left_out() {
        let woken = [
            (0, 1, 1),
            (5_000, 2, 1),
            (5_100, 1, 2),
            (5_200, 2, 2),
            (9_000, 2, 3),
        ];
        assert_eq!(left(&woken), [(1, 1), (2, 1), (2, 2), (2, 3)]);
        let (kept, dropped) = without(history(&woken), |member, _| member == 2, &[]);
        assert_eq!((kept.len(), dropped), (10, 0), "it was not cut off");
    }

    #[test]
    fn who_gained_it_since_is_left_in() {
        let moved = history(&[(0, 1, 1), (5_000, 2, 2), (5_400, 1, 3), (9_000, 1, 4)]);
        let at = |number: usize| moved[number].at - Duration::from_millis(1);
        let gains = [(at(2), 2, 0), (at(4), 1, 0)];
        assert_eq!(without(moved.clone(), |_, _| true, &gains).1, 0);
        let elsewhere = [(at(2), 2, 1), (at(4), 1, 0)];
        assert_eq!(without(moved.clone(), |_, _| true, &elsewhere).1, 1);
    }

    #[test]
    fn of_two_that_take_turns_one_is_the_owner() {
        let turns = [
            (0, 1, 1),
            (5_000, 2, 1),
            (5_100, 1, 2),
            (5_200, 2, 2),
            (5_300, 1, 3),
            (5_400, 2, 3),
            (9_000, 2, 4),
        ];
        assert_eq!(left(&turns), [(1, 1), (2, 1), (2, 2), (2, 3), (2, 4)]);
    }

    #[test]
    fn a_visitor_does_not_end_an_ownership() {
        let visited = [(0, 1, 1), (5_000, 2, 1), (5_100, 1, 2), (9_000, 1, 3)];
        assert_eq!(left(&visited), [(1, 1), (1, 2), (1, 3)]);
    }

    #[test]
    fn whoever_goes_on_for_long_is_not_left_out() {
        let steps = (0..61).map(|i| (5_000 + 100 * i, 2 - (i % 2) as u32, u128::from(i)));
        let long: Vec<_> = [(0, 1, 100)]
            .into_iter()
            .chain(steps)
            .chain([(20_000, 2, 200)])
            .collect();
        let seen = left(&long);
        assert!(
            seen.iter().filter(|(member, _)| *member == 1).count() > 15,
            "{seen:?}"
        );
        assert_eq!(
            seen.iter().filter(|(member, _)| *member == 2).count(),
            32,
            "{seen:?}"
        );
    }

    #[test]
    fn ownership_that_moves_on_is_no_visit() {
        let moves = [(0, 1, 1), (5_000, 2, 2), (5_500, 3, 3), (9_000, 3, 4)];
        assert_eq!(left(&moves).len(), 4);
        let back = [(0, 1, 1), (5_000, 2, 2), (9_000, 1, 3), (15_000, 2, 4)];
        assert_eq!(left(&back).len(), 4);
    }
}
