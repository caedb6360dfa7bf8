//! Pure questions about what happened: each says what is wrong with the first message that is.
//!
//! Most need nothing but the history. What a fault did is told beside it: [`Interruption`]s say which member was killed
//! or fenced and when, [`Stored`] says where a group's position was seen.

mod interruptions;
mod logs;
mod owners;
mod positions;
#[cfg(test)]
mod stories;

pub use interruptions::{Cause, Interruption, completed, explained, within};
pub use logs::{Sent, Told, log_holds};
pub use owners::former_owner;
pub use positions::{Stored, passed_unsettled, stored_went_back};

use super::{Failure, Happening, Id, What};
use std::collections::{HashMap, HashSet};

type Answer = Result<(), Failure>;

/// Every message that was published was acknowledged, or is a dead letter.
pub fn lost(happenings: &[Happening]) -> Answer {
    let done = |h: &&Happening| matches!(h.what, What::Acked { .. } | What::DeadLettered);
    let done: HashSet<&Id> = happenings.iter().filter(done).map(|h| &h.id).collect();
    let lost: Vec<_> = published(happenings)
        .filter(|h| !done.contains(&h.id))
        .map(|h| &h.id)
        .collect();
    ensure!(
        lost.is_empty(),
        "{} messages were lost, the first: {:?}",
        lost.len(),
        &lost[..lost.len().min(5)]
    );
    Ok(())
}

/// Nothing arrived that was not published.
pub fn unexpected(happenings: &[Happening]) -> Answer {
    let known: HashSet<&Id> = published(happenings).map(|h| &h.id).collect();
    let arrived = |h: &&Happening| matches!(h.what, What::Delivered { .. } | What::DeadLettered);
    match happenings.iter().filter(arrived).find(|h| !known.contains(&h.id)) {
        None => Ok(()),
        Some(h) => Err(Failure::new(format_args!(
            "{:?} arrived and was never published",
            h.id
        ))),
    }
}

/// No message was delivered more often than there is a cause for: once, and once for each time it was nacked; and
/// none was acknowledged twice. That a handler was stopped is no cause: without faults, none is.
pub fn duplicated(happenings: &[Happening]) -> Answer {
    let mut allowed: HashMap<&Id, i64> = HashMap::new();
    let mut acked = HashSet::new();
    for h in happenings {
        let left = allowed.entry(&h.id).or_insert(1);
        match h.what {
            What::Delivered { member, attempt } => {
                *left -= 1;
                ensure!(
                    *left >= 0,
                    "{:?} came again without a cause, to member {member} as attempt {attempt}",
                    h.id
                );
            }
            What::Nacked { .. } => *left += 1,
            What::Acked { member } => {
                ensure!(
                    acked.insert(&h.id),
                    "{:?} was acknowledged twice, at last by member {member}",
                    h.id
                )
            }
            What::Published | What::Returned | What::DeadLettered => {}
        }
    }
    Ok(())
}

/// Within a key, no message was delivered before all that were published before it were acknowledged or dead-lettered.
pub fn reordered(happenings: &[Happening]) -> Answer {
    let mut order: HashMap<&Id, (&Id, usize)> = HashMap::new();
    let mut published_of: HashMap<&Id, Vec<&Id>> = HashMap::new();
    for h in published(happenings) {
        let Some(key) = &h.key else { continue };
        let ids = published_of.entry(key).or_default();
        order.insert(&h.id, (key, ids.len()));
        ids.push(&h.id);
    }
    // What is not in the history as settled before it was given up is known only from the dead letters.
    let dead = |h: &&Happening| h.what == What::DeadLettered;
    let dead: HashSet<&Id> = happenings.iter().filter(dead).map(|h| &h.id).collect();
    let mut settled: HashSet<&Id> = dead;
    let mut front: HashMap<&Id, usize> = HashMap::new();
    for h in happenings {
        let Some((key, at)) = order.get(&h.id) else {
            continue;
        };
        match h.what {
            What::Acked { .. } => drop(settled.insert(&h.id)),
            What::Delivered { .. } => {
                let ids = &published_of[key];
                let front = front.entry(key).or_insert(0);
                while *front < *at && settled.contains(ids[*front]) {
                    *front += 1;
                }
                ensure!(
                    *front >= *at,
                    "{:?} of key {key:?} was delivered before {:?} was settled",
                    h.id,
                    ids[*front]
                );
            }
            _ => {}
        }
    }
    Ok(())
}

/// No two deliveries of a key were out at once.
pub fn overlapping(happenings: &[Happening]) -> Answer {
    let mut out: HashMap<&Id, Vec<&Id>> = HashMap::new();
    for h in happenings {
        let Some(key) = &h.key else { continue };
        let out = out.entry(key).or_default();
        match h.what {
            What::Delivered { member, .. } => {
                out.push(&h.id);
                ensure!(
                    out.len() < 2,
                    "{:?} of key {key:?} came to member {member} while {:?} was out",
                    h.id,
                    out[0]
                );
            }
            What::Acked { .. } | What::Nacked { .. } | What::Returned => out.retain(|id| **id != h.id),
            What::Published | What::DeadLettered => {}
        }
    }
    Ok(())
}

/// Nothing that was nacked came back before its time.
pub fn early(happenings: &[Happening]) -> Answer {
    let mut not_before = HashMap::new();
    for h in happenings {
        match h.what {
            What::Nacked { until } => drop(not_before.insert(&h.id, until)),
            What::Delivered { .. } => {
                if let Some(until) = not_before.remove(&h.id) {
                    ensure!(h.at >= until, "{:?} came back {:?} too early", h.id, until - h.at);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Nothing was both acknowledged and dead-lettered, or dead-lettered twice.
pub fn ended_twice(happenings: &[Happening]) -> Answer {
    let acked = happenings.iter().filter(|h| matches!(h.what, What::Acked { .. }));
    let mut ended: HashSet<&Id> = acked.map(|h| &h.id).collect();
    for h in happenings.iter().filter(|h| h.what == What::DeadLettered) {
        ensure!(
            ended.insert(&h.id),
            "the dead letter of {:?} is not its only end",
            h.id
        );
    }
    Ok(())
}

/// The attempts that each message's deliveries say count its failures: one more after each nack, the same after it was
/// given back.
pub fn miscounted(happenings: &[Happening]) -> Answer {
    let mut next: HashMap<&Id, u32> = HashMap::new();
    for h in happenings {
        match h.what {
            What::Delivered { attempt, .. } => {
                let expected = *next.entry(&h.id).or_insert(1);
                ensure!(
                    attempt == expected,
                    "{:?} came as attempt {attempt} instead of {expected}",
                    h.id
                );
            }
            What::Nacked { .. } => *next.entry(&h.id).or_insert(1) += 1,
            _ => {}
        }
    }
    Ok(())
}

/// The stored positions that were seen of one partition never went back.
pub fn went_back(positions: &[u128]) -> Answer {
    match positions.windows(2).find(|pair| pair[1] < pair[0]) {
        None => Ok(()),
        Some(pair) => Err(Failure::new(format_args!(
            "the position went back from {} to {}",
            pair[0], pair[1]
        ))),
    }
}

/// Everything that holds without faults.
pub fn all(happenings: &[Happening]) -> Answer {
    for checker in [
        lost,
        unexpected,
        duplicated,
        reordered,
        overlapping,
        early,
        ended_twice,
        miscounted,
        former_owner,
    ] {
        checker(happenings)?;
    }
    Ok(())
}

/// What holds without faults and without an order of keys.
pub fn all_but_order(happenings: &[Happening]) -> Answer {
    for checker in [lost, unexpected, duplicated, early, ended_twice, miscounted] {
        checker(happenings)?;
    }
    Ok(())
}

/// What holds although members crashed: what was acknowledged and not stored may come again, and only that.
pub fn after_crashes(happenings: &[Happening]) -> Answer {
    for checker in [lost, unexpected, reordered, early, ended_twice, former_owner] {
        checker(happenings)?;
    }
    Ok(())
}

fn published(happenings: &[Happening]) -> impl Iterator<Item = &Happening> {
    happenings.iter().filter(|h| h.what == What::Published)
}

#[cfg(test)]
#[path = "checkers_tests.rs"]
mod tests;
