//! What goes wrong, and when: by the seed alone.

use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    mem::discriminant,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A batch is stored, and its reply is lost: each of its messages is answered *unknown* (`Timeout`). Strikes at a
    /// publish.
    LostReply,
    /// A batch is refused before anything of it is stored: each message is answered *not stored* (`Unavailable`). Strikes
    /// at a publish.
    NotStored,
    /// A commit is stored, and its reply is lost: what it stored is answered `Unavailable`, so core sends the same again.
    /// Strikes at a commit.
    LostCommit,
    /// A shard is taken away right before its commit, which the backend then refuses as `Fenced`; `Lost` follows.
    /// Strikes at a commit.
    FencedCommit,
    /// A shard is taken away right after records of it were handed out: `Lost` follows, and `Gained` in a new epoch where
    /// it comes back to the same member. Strikes at records of a group.
    TakenAway,
    /// An answer comes so much later: a publish is taken and stored at once, any other call waits first, and the next
    /// records come later. Strikes at every call but a close.
    Slow(Duration),
    /// The broker is out of reach for so long, from this call on: [`Faults::down`](super::Faults::down). Strikes at every
    /// call but a close.
    Outage(Duration),
}

/// Where a fault can strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Publish,
    Commit,
    Records,
    Other,
}

impl Fault {
    fn strikes_at(self, place: Place) -> bool {
        match self {
            Self::LostReply | Self::NotStored => place == Place::Publish,
            Self::LostCommit | Self::FencedCommit => place == Place::Commit,
            Self::TakenAway => place == Place::Records,
            Self::Slow(_) | Self::Outage(_) => true,
        }
    }
}

/// Faults by chance, repeatable: whether the n-th opportunity of a fault is taken depends on the seed, the fault's place
/// in the plan and n alone, not on the time or on other faults.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    seed: u64,
    faults: Vec<(Fault, u32)>,
}

impl Plan {
    /// No fault, but those that are asked for by [`Faults::next`](super::Faults::next).
    pub fn none() -> Self {
        Self::default()
    }
    /// A plan of this seed, without a fault so far.
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            faults: Vec::new(),
        }
    }
    /// This fault strikes one time in `n`, on average; never with 0. Where two of a plan strike at once, the earlier one
    /// does.
    pub fn one_in(mut self, n: u32, fault: Fault) -> Self {
        self.faults.push((fault, n));
        self
    }
}

/// A plan under way.
#[derive(Debug)]
pub(super) struct Dice {
    plan: Plan,
    /// Opportunities so far, a fault of the plan.
    seen: Vec<AtomicU64>,
    asked: Mutex<VecDeque<Fault>>,
    struck: Mutex<Vec<(Fault, u64)>>,
}

impl Dice {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            seen: plan.faults.iter().map(|_| AtomicU64::new(0)).collect(),
            plan,
            asked: Mutex::default(),
            struck: Mutex::default(),
        }
    }
    pub(super) fn next(&self, fault: Fault) {
        self.asked.lock().push_back(fault);
    }
    /// The fault that strikes here and now.
    pub(super) fn roll(&self, place: Place) -> Option<Fault> {
        let planned = self.planned(place);
        let asked = {
            let mut asked = self.asked.lock();
            let at = asked.iter().position(|fault| fault.strikes_at(place));
            at.and_then(|at| asked.remove(at))
        };
        let fault = asked.or(planned)?;
        let mut struck = self.struck.lock();
        match struck.iter_mut().find(|(known, _)| same(*known, fault)) {
            Some((_, times)) => *times += 1,
            None => struck.push((fault, 1)),
        }
        Some(fault)
    }
    fn planned(&self, place: Place) -> Option<Fault> {
        let mut first = None;
        for (number, (fault, one_in)) in self.plan.faults.iter().enumerate() {
            if *one_in == 0 || !fault.strikes_at(place) {
                continue;
            }
            let nth = self.seen[number].fetch_add(1, Relaxed);
            let chance = mix(mix(self.plan.seed ^ mix(number as u64)) ^ nth);
            if chance.is_multiple_of(u64::from(*one_in)) {
                first = first.or(Some(*fault));
            }
        }
        first
    }
    pub(super) fn struck(&self, fault: Fault) -> u64 {
        let struck = self.struck.lock();
        let found = struck.iter().find(|(known, _)| same(*known, fault));
        found.map_or(0, |(_, times)| *times)
    }
}

/// The same fault, however long it takes.
fn same(one: Fault, other: Fault) -> bool {
    discriminant(&one) == discriminant(&other)
}

/// The output step of SplitMix64 (Steele, Lea, Flood 2014): neighbouring numbers become unrelated ones.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(seed: u64) -> Vec<Option<Fault>> {
        let plan = Plan::seeded(seed)
            .one_in(5, Fault::LostReply)
            .one_in(7, Fault::NotStored);
        let dice = Dice::new(plan);
        (0..1_000).map(|_| dice.roll(Place::Publish)).collect()
    }

    #[test]
    fn a_seed_repeats_itself_and_no_other() {
        assert_eq!(strikes(7), strikes(7));
        assert_ne!(strikes(7), strikes(8));
        let lost = strikes(7)
            .iter()
            .filter(|f| **f == Some(Fault::LostReply))
            .count();
        assert!(
            (150..=250).contains(&lost),
            "{lost} of 1000 are not about one in five"
        );
        let other = strikes(7)
            .iter()
            .filter(|f| **f == Some(Fault::NotStored))
            .count();
        assert!((70..=170).contains(&other), "{other}");
    }

    #[test]
    fn what_is_asked_for_strikes_next_where_it_can() {
        let dice = Dice::new(Plan::none());
        dice.next(Fault::LostCommit);
        dice.next(Fault::NotStored);
        assert_eq!(dice.roll(Place::Publish), Some(Fault::NotStored));
        assert_eq!(dice.roll(Place::Records), None);
        assert_eq!(dice.roll(Place::Commit), Some(Fault::LostCommit));
        assert_eq!(dice.roll(Place::Commit), None);
        assert_eq!(
            (dice.struck(Fault::LostCommit), dice.struck(Fault::TakenAway)),
            (1, 0)
        );
    }
}
