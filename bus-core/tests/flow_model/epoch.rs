//! One partition during one ownership, as the model sees it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What the backend has stored of a partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) next: u128,
    pub(crate) settled: BTreeSet<u128>,
    /// Failures, and the time before which it must not run.
    pub(crate) attempts: BTreeMap<u128, (u32, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum St {
    Held,
    Lent,
    Out,
    Diverted,
    Settled,
    /// Came back after its shard was gone.
    Gone,
}

#[derive(Clone, Debug)]
pub(crate) struct Rec {
    pub(crate) st: St,
    pub(crate) failures: u32,
    pub(crate) not_before: u64,
    /// Its codec waits for something.
    pub(crate) unready: bool,
    pub(crate) key: Option<u64>,
    pub(crate) size: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Owned,
    Leaving,
    Released,
    Fenced,
    Lost,
}

/// One partition during one ownership.
#[derive(Debug)]
pub(crate) struct Epoch {
    pub(crate) member: usize,
    pub(crate) phase: Phase,
    pub(crate) suspended: bool,
    /// A commit was given up, so nothing is stored any more.
    pub(crate) mute: bool,
    /// Data loss was to stop it: it takes nothing in.
    pub(crate) deaf: bool,
    pub(crate) end: u128,
    pub(crate) recs: BTreeMap<u128, Rec>,
    pub(crate) carried: Stored,
    pub(crate) gaps: VecDeque<(u128, u128)>,
    pub(crate) diverted: VecDeque<(u128, Vec<String>)>,
    pub(crate) last: u128,
    pub(crate) pending: Option<(Stored, Vec<String>)>,
}

impl Epoch {
    pub(crate) fn is_void(&self) -> bool {
        !matches!(self.phase, Phase::Owned | Phase::Leaving)
    }
    pub(crate) fn runs(&self) -> bool {
        self.phase == Phase::Owned && !self.suspended && !self.mute
    }
    pub(crate) fn skip_gaps(&mut self) {
        while let Some((_, to)) = self.gaps.pop_front_if(|(from, _)| *from <= self.end) {
            self.end = self.end.max(to);
        }
    }
    pub(crate) fn count(&self, st: St) -> usize {
        self.recs.values().filter(|r| r.st == st).count()
    }
    pub(crate) fn next(&self) -> u128 {
        let open = self.recs.iter().find(|(_, r)| r.st != St::Settled);
        open.map_or(self.end, |(position, _)| *position)
    }
}

impl Epoch {
    /// A record that is settled, or has outputs, and is not stored.
    pub(crate) fn unstored(&self, stored: &Stored) -> Option<u128> {
        let done = self
            .recs
            .range(stored.next..)
            .filter(|(_, r)| matches!(r.st, St::Settled | St::Diverted));
        done.map(|(p, _)| *p).find(|p| !stored.settled.contains(p))
    }
    /// Slots that the flow must hold for it.
    pub(crate) fn slots(&self) -> usize {
        let waiting = match self.phase {
            Phase::Lost => 0,
            _ => self.count(St::Held) + self.count(St::Lent),
        };
        waiting + self.count(St::Out) + self.diverted.len()
    }
    /// Bytes of the records in them.
    pub(crate) fn bytes(&self) -> usize {
        let held = |r: &&Rec| match r.st {
            St::Held | St::Lent => self.phase != Phase::Lost,
            st => st == St::Out,
        };
        self.recs.values().filter(held).map(|r| r.size).sum()
    }
}
