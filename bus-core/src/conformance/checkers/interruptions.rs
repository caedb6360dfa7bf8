//! Members that were killed, frozen or fenced, and what that explains.

use super::Answer;
use crate::conformance::{Failure, Happening, Id, What};
use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

/// Something that took partitions from a member without asking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interruption {
    /// When: for one that was killed the moment of the kill, for one that was frozen or cut off the moment at which
    /// another member owned the partition.
    pub at: Instant,
    /// From whom.
    pub member: u32,
    /// Which partition; `None`: all it had.
    pub partition: Option<u32>,
}

/// Why a message came again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// It was nacked.
    Nacked,
    /// It was given back unsettled.
    Returned,
    /// It was out when its member was interrupted.
    InFlight,
    /// It was acknowledged, and its member was interrupted before that was stored.
    Unstored,
}

/// The history with what an interrupted member could not write any more: its deliveries that were out are returned.
pub fn completed(happenings: &[Happening], interruptions: &[Interruption]) -> Vec<Happening> {
    let mut interruptions = interruptions.to_vec();
    interruptions.sort_by_key(|i| i.at);
    let mut due = interruptions.into_iter().peekable();
    let mut out: HashMap<(&Id, u32), &Happening> = HashMap::new();
    let mut all = Vec::with_capacity(happenings.len());
    for h in happenings {
        while let Some(i) = due.next_if(|i| i.at <= h.at) {
            interrupt(&mut out, &mut all, &i);
        }
        match h.what {
            What::Delivered { member, .. } => drop(out.insert((&h.id, member), h)),
            What::Acked { member } => drop(out.remove(&(&h.id, member))),
            What::Nacked { .. } | What::Returned | What::DeadLettered => {
                out.retain(|(id, _), _| **id != h.id)
            }
            What::Published => {}
        }
        all.push(h.clone());
    }
    due.for_each(|i| interrupt(&mut out, &mut all, &i));
    all
}

fn interrupt(out: &mut HashMap<(&Id, u32), &Happening>, all: &mut Vec<Happening>, i: &Interruption) {
    let mut taken: Vec<_> = out
        .extract_if(|(_, member), h| *member == i.member && hits(i, h))
        .map(|(_, h)| h)
        .collect();
    taken.sort_by_key(|h| h.at);
    all.extend(taken.into_iter().map(|h| Happening {
        at: i.at,
        what: What::Returned,
        ..h.clone()
    }));
}

/// Whether the interruption concerns this delivery's partition; where that is not on record, it does.
fn hits(i: &Interruption, delivery: &Happening) -> bool {
    match (i.partition, delivery.place) {
        (Some(partition), Some(place)) => partition == place.partition,
        _ => true,
    }
}

/// Where a message's last delivery is.
#[derive(Debug)]
struct Last<'a> {
    delivery: &'a Happening,
    member: u32,
    settled: Option<(Instant, Cause)>,
}

/// Finds the cause of each delivery that is not the first of its message, and counts the causes. A delivery without
/// one is a duplicate that nothing explains.
///
/// Who knows a bound, such as so many unstored acks for each kill, compares it with the count.
/// # Errors
/// The first delivery without a cause.
pub fn explained(
    happenings: &[Happening],
    interruptions: &[Interruption],
) -> Result<BTreeMap<Cause, usize>, Failure> {
    let mut last: HashMap<&Id, Last<'_>> = HashMap::new();
    let mut causes = BTreeMap::new();
    for h in happenings {
        match h.what {
            What::Delivered { member, attempt } => {
                let now = Last {
                    delivery: h,
                    member,
                    settled: None,
                };
                if let Some(before) = last.insert(&h.id, now) {
                    let cause = cause(&before, h, interruptions).ok_or_else(|| {
                        let how = match before.settled {
                            Some(_) => "was acknowledged by it and no interruption lost that",
                            None => "was still out",
                        };
                        Failure::new(format_args!(
                            "{:?} came to member {member} as attempt {attempt} without a cause: member {} had it, and it {how}",
                            h.id, before.member
                        ))
                    })?;
                    *causes.entry(cause).or_insert(0) += 1;
                }
            }
            // Only the word of who had it last counts; a former owner's comes too late.
            What::Acked { member } => settle(&mut last, h, Some(member), Cause::Unstored),
            What::Nacked { .. } => settle(&mut last, h, None, Cause::Nacked),
            What::Returned => settle(&mut last, h, None, Cause::Returned),
            What::Published | What::DeadLettered => {}
        }
    }
    Ok(causes)
}

fn settle<'a>(last: &mut HashMap<&'a Id, Last<'a>>, h: &'a Happening, by: Option<u32>, cause: Cause) {
    if let Some(last) = last.get_mut(&h.id)
        && by.is_none_or(|member| member == last.member)
        && last.settled.is_none()
    {
        last.settled = Some((h.at, cause));
    }
}

fn cause(before: &Last<'_>, now: &Happening, interruptions: &[Interruption]) -> Option<Cause> {
    let interrupted = || {
        interruptions.iter().any(|i| {
            i.member == before.member
                && hits(i, before.delivery)
                && (before.delivery.at..=now.at).contains(&i.at)
        })
    };
    match before.settled {
        Some((_, Cause::Unstored)) => interrupted().then_some(Cause::Unstored),
        Some((_, cause)) => Some(cause),
        None => interrupted().then_some(Cause::InFlight),
    }
}

/// Fails where a cause was seen more often than there is room for.
/// # Errors
/// The cause, how often it was seen, and the bound.
pub fn within(causes: &BTreeMap<Cause, usize>, cause: Cause, bound: usize) -> Answer {
    let seen = causes.get(&cause).copied().unwrap_or(0);
    ensure!(
        seen <= bound,
        "{seen} messages came again because of {cause:?}, and at most {bound} may"
    );
    Ok(())
}

#[cfg(test)]
#[path = "interruptions_tests.rs"]
mod tests;
