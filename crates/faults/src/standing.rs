//! Where a group stands in its log, also in one of which records are removed while a test goes on.

use crate::{
    evidence::Evidence,
    observer::{self, Logged},
    stage::{PARTITIONS, Stage},
    test::until,
};
use bus::Start;
use bus_core::conformance::{Failure, Happening, Id, What, checkers::Stored};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

impl Stage<'_> {
    /// Notes what came into the log since the last time, before somebody removes records of it. What was removed counts
    /// as stored all the same; what of it nobody got is in `unread` at the end, and the test has to explain that.
    pub(crate) async fn remember(&mut self) -> Result<(), Failure> {
        let begins = self.bus.admin().positions(&self.topic, Start::Earliest).await?;
        let mut begins: BTreeMap<u32, u128> = begins.into_iter().collect();
        for place in self.known.keys() {
            if let Some(begin) = begins.get_mut(&place.partition) {
                *begin = (*begin).max(place.position + 1);
            }
        }
        let new = observer::log_from(&self.bus, &self.topic, begins).await?;
        self.known.extend(new.into_iter().map(|l| (l.place, l)));
        Ok(())
    }
    /// The group's stored positions.
    pub(crate) async fn positions(&self) -> Result<BTreeMap<u32, u128>, Failure> {
        let lag = self.bus.admin().lag(&self.group).await?.into_iter();
        let of = lag.filter(|l| *l.topic == *self.topic);
        Ok(of.map(|l| (l.partition, l.position)).collect())
    }
    /// Waits until something of every partition was delivered: before that a group may have no position at all.
    pub(crate) async fn all_begun(&self) -> Result<(), Failure> {
        until("every partition has begun", Duration::from_secs(60), || async {
            let handled = self.evidence().map_err(|e| e.to_string())?.handled;
            let begun: BTreeSet<u32> = handled.iter().filter_map(|h| Some(h.place?.partition)).collect();
            let all = begun.len() == PARTITIONS as usize;
            all.then_some(()).ok_or_else(|| format!("{begun:?}"))
        })
        .await
    }
    /// The group's stored positions at all times.
    pub(crate) fn stored(&self) -> Vec<Stored> {
        self.watch.seen()
    }
    /// Puts what was removed back into the log.
    pub(crate) fn put_back(&mut self, evidence: &Evidence, log: &mut Vec<Logged>) {
        let mut removed = self.known.clone();
        log.iter().for_each(|l| drop(removed.remove(&l.place)));
        log.extend(removed.values().cloned());
        log.sort_by_key(|l| l.place);
        let delivered = |h: &&Happening| matches!(h.what, What::Delivered { .. });
        let got: HashSet<&Id> = evidence.handled.iter().filter(delivered).map(|h| &h.id).collect();
        removed.retain(|_, l| !got.contains(&l.id));
        self.unread = removed.into_values().collect();
    }
}
