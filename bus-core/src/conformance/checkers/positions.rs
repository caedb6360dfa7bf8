//! Where a group's stored position was, against what was settled.

use super::Answer;
use crate::conformance::{Failure, Happening, Id, What};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Instant,
};

/// A group's stored position in one partition, as an administrator saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// When the answer came.
    pub at: Instant,
    /// Of which partition.
    pub partition: u32,
    /// The first position that is not settled.
    pub next: u128,
}

/// In no partition did the stored position go back.
/// # Errors
/// The first partition where it did, and by how much.
pub fn stored_went_back(seen: &[Stored]) -> Answer {
    let mut last: HashMap<u32, u128> = HashMap::new();
    for s in seen {
        let before = last.insert(s.partition, s.next).unwrap_or(0);
        ensure!(
            before <= s.next,
            "the position of partition {} went back from {before} to {}",
            s.partition,
            s.next
        );
    }
    Ok(())
}

/// No stored position was beyond a message that was not settled by then. Messages of which no place is on record, such
/// as those that were never delivered, are not looked at: they are [lost](super::lost).
/// # Errors
/// The first position that was, and the message.
pub fn passed_unsettled(happenings: &[Happening], seen: &[Stored]) -> Answer {
    let mut places: BTreeMap<(u32, u128), &Id> = BTreeMap::new();
    let mut settled: HashMap<&Id, Instant> = HashMap::new();
    let mut dead: HashSet<&Id> = HashSet::new();
    for h in happenings {
        if let Some(place) = h.place {
            places.insert((place.partition, place.position), &h.id);
        }
        match h.what {
            What::Acked { .. } => drop(settled.entry(&h.id).or_insert(h.at)),
            // Found afterwards: when it was settled is not known.
            What::DeadLettered => drop(dead.insert(&h.id)),
            _ => {}
        }
    }
    // What was settled when an earlier position passed it stays so: only what is new has to be looked at.
    let mut passed: HashMap<u32, u128> = HashMap::new();
    let mut seen: Vec<_> = seen.iter().collect();
    seen.sort_by_key(|s| s.at);
    for s in seen {
        let before = passed.get(&s.partition).copied().unwrap_or(0);
        if s.next <= before {
            continue;
        }
        passed.insert(s.partition, s.next);
        let below = places.range((s.partition, before)..(s.partition, s.next));
        let unsettled =
            |(_, id): &(_, &&Id)| !dead.contains(**id) && settled.get(**id).is_none_or(|at| *at > s.at);
        if let Some(((partition, position), id)) = below.into_iter().find(unsettled) {
            return Err(Failure::new(format_args!(
                "the stored position {} of partition {partition} passed {id:?} at {position}, which was not settled",
                s.next
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::checkers::stories::{acked, dead, delivered, history};
    use std::time::Duration;

    fn stored(at: Instant, next: u128) -> Stored {
        Stored {
            at,
            partition: 0,
            next,
        }
    }

    #[test]
    fn positions_of_a_partition_never_go_back() {
        let now = Instant::now();
        let other = Stored {
            partition: 1,
            ..stored(now, 2)
        };
        assert!(stored_went_back(&[stored(now, 5), other, stored(now, 5)]).is_ok());
        let failure = stored_went_back(&[stored(now, 5), other, stored(now, 4)]).unwrap_err();
        assert!(
            failure.to_string().contains("partition 0 went back from 5 to 4"),
            "{failure}"
        );
    }

    /// `x` is stored at 23 and `y` at 24, as the helper places them.
    #[test]
    fn a_position_waits_for_the_unsettled() {
        let story = history(&[delivered("x", 0), delivered("y", 0), acked("y", 0), acked("x", 0)]);
        let at = |n: usize| story[n].at;
        assert!(passed_unsettled(&story, &[stored(at(2), 23), stored(at(3), 25)]).is_ok());
        let failure = passed_unsettled(&story, &[stored(at(2), 24)])
            .unwrap_err()
            .to_string();
        assert!(failure.contains(r#"passed "x" at 23"#), "{failure}");
        let never = history(&[delivered("x", 0)]);
        let late = stored(never[0].at + Duration::from_secs(1), 24);
        assert!(passed_unsettled(&never, &[late]).is_err(), "never settled");
        let given_up = history(&[delivered("x", 0), dead("x")]);
        assert!(
            passed_unsettled(&given_up, &[late]).is_ok(),
            "a dead letter is settled"
        );
    }
}
