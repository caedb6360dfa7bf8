//! Committing: when a commit is due, what it says, and what its end means.

use super::{
    machine::{Flow, Now, Work},
    shard::{Phase, ShardState},
};
use crate::{Done, ErrorKind, Result, Shard};
use std::time::Instant;

impl Flow {
    /// What there is to do; [`Self::step`] first, so that nothing that was marked is left out. `commits` is empty while
    /// a commit is under way. Ask [`Self::has_ready`] afterwards: a commit can let a record run.
    pub fn work(&mut self, now: Now) -> Work {
        let mut work = Work::default();
        self.late |= self.draining.is_some_and(|deadline| now.mono >= deadline);
        for state in self.shards.iter_mut().flatten() {
            state.late |= matches!(state.phase, Phase::Leaving(until) if now.mono >= until);
        }
        if !self.busy && self.is_commit_due(now) {
            work.commits = self.commit(now, 0);
            self.busy = !work.commits.is_empty();
            // One that left outputs behind is a part: the number is that of the last part.
            self.begun += u64::from(self.busy && !self.partial);
        }
        if !self.busy && self.wanted > self.begun && self.is_stored() {
            // What a flush asked for was stored by the commit before, or is gone with its shard.
            self.begun = self.wanted;
            self.ended = self.begun;
        }
        self.warn_of_half();
        self.release(&mut work);
        self.pause(&mut work);
        self.open_gates();
        self.counters.in_flight.set(self.in_flight() as u64);
        self.counters.in_flight_bytes.set(self.bytes as u64);
        self.counters.unstored.set(self.unstored as u64);
        // Whoever asks for work asks for the deadline too.
        self.alarm = false;
        work
    }
    /// What has come to be stored beside a commit that is tried again: one shard that cannot be stored now is not to hold
    /// up the others. `carried` outputs are in that commit already. Answer as for [`Work::commits`].
    pub fn commit_beside(&mut self, now: Now, carried: usize) -> Vec<Done> {
        let commits = self.commit(now, carried);
        self.busy |= !commits.is_empty();
        commits
    }
    fn commit(&mut self, now: Now, mut outputs: usize) -> Vec<Done> {
        let mut commits = Vec::new();
        let limits = self.settings.limits;
        for state in self.shards.iter_mut().flatten() {
            if !state.dirty || !state.commits() || state.committing.is_some() {
                continue;
            }
            let before = state.diverted.len();
            let bytes: usize = state.diverted.iter().map(|d| d.bytes).sum();
            commits.push(state.done(&self.slab, now, &limits, &mut outputs));
            let carried = before - state.diverted.len();
            self.diverted -= carried;
            self.unstored += carried;
            self.bytes -= bytes - state.diverted.iter().map(|d| d.bytes).sum::<usize>();
        }
        let partial = self.live().any(|s| s.commits() && !s.diverted.is_empty());
        self.partial = partial;
        commits
    }
    fn is_commit_due(&self, now: Now) -> bool {
        let auto = self.settings.auto_commit;
        let at_once = (auto && self.is_half()) || self.wanted > self.begun || self.partial;
        self.live().filter(|s| s.dirty && s.commits()).any(|s| {
            let aged = s
                .since
                .is_some_and(|t| auto && now.mono >= t + self.settings.commit_every);
            let leaves = matches!(s.phase, Phase::Leaving(_)) && (s.out == 0 || s.late);
            let ends = self.draining.is_some() && (s.out == 0 || self.late);
            at_once || aged || leaves || ends
        })
    }
    /// Half of what may be unstored is: a commit goes out at once.
    pub(super) fn is_half(&self) -> bool {
        self.unstored >= self.settings.unstored.div_ceil(2)
            || self.diverted >= self.settings.in_flight.div_ceil(2)
    }
    /// Where nothing is stored by itself, reading will stop.
    fn warn_of_half(&mut self) {
        if self.settings.auto_commit || self.warned || !self.is_half() {
            return;
        }
        self.warned = true;
        tracing::warn!(
            group = &*self.settings.group,
            unstored = self.unstored,
            most = self.settings.unstored,
            "commits are by hand, and half of what may be settled without being stored is: call `flush`, or reading stops"
        );
    }
    fn release(&mut self, work: &mut Work) {
        for state in self.shards.iter_mut().flatten() {
            // Past the grace an owner that could not store is still asked to let go: the next one redelivers.
            let stored = state.committing.is_none() && (!state.dirty || state.mute);
            let finished = state.out == 0 || state.late;
            if matches!(state.phase, Phase::Leaving(_)) && finished && stored {
                state.phase = Phase::Released;
                work.release.push(state.shard);
            }
        }
        for shard in &work.release {
            self.void_deliveries(*shard);
        }
    }
    /// The answer to one of [`Work::commits`].
    pub fn committed(&mut self, shard: Shard, result: Result<()>) {
        let others = self.live().any(|s| s.committing.is_some() && s.shard != shard);
        self.busy = others;
        if !others {
            self.ended = self.begun;
        }
        let Some(index) = self.index(shard) else { return };
        let Some(state) = &mut self.shards[index] else {
            return;
        };
        let Some(count) = state.committing.take() else {
            return;
        };
        self.unstored -= count;
        let Err(error) = result else { return };
        let (topic, partition) = (state.topic.clone(), shard.partition);
        if error.kind() == ErrorKind::Fenced {
            tracing::info!(
                topic = &*topic,
                partition,
                "commit refused: another member owns the partition"
            );
            state.phase = Phase::Fenced;
            self.stop(shard);
            self.void_deliveries(shard);
        } else {
            // The ledger has settled what this commit carried, outputs included: a later one of this epoch would store a
            // position beyond outputs that never were.
            state.mute = true;
            (state.dirty, state.since) = (false, None);
            // The caller tries a transient failure again for as long as there is time; there was none left.
            if error.is_transient() && (self.draining.is_some() || state.phase != Phase::Owned) {
                tracing::warn!(topic = &*topic, partition, %error, "given up without a last commit: its messages come again");
            } else {
                self.fail(error.context(format!("commit to {topic}[{partition}] failed")));
            }
            self.stop(shard);
        }
        self.forget_diverted(index);
    }
    /// Outputs that no commit will carry.
    pub(super) fn forget_diverted(&mut self, index: usize) {
        if let Some(state) = &mut self.shards[index] {
            self.diverted -= state.diverted.len();
            self.bytes -= state.diverted.drain(..).map(|d| d.bytes).sum::<usize>();
        }
    }
    /// When [`Self::step`] or [`Self::work`] would do something by the time alone. It never lies in the past after both
    /// were called. What deliveries mark is not in it: who sleeps until then must also be woken by [`Self::wants_pump`],
    /// and by marks ([`Marks::park`](super::Marks::park)) where nobody else steps.
    pub fn deadline(&self) -> Option<Instant> {
        let (every, auto) = (self.settings.commit_every, self.settings.auto_commit);
        let commit = |s: &ShardState| {
            s.since
                .filter(|_| auto && !self.busy && s.commits())
                .map(|t| t + every)
        };
        let leaving = |s: &ShardState| match s.phase {
            Phase::Leaving(until) if !s.late => Some(until),
            _ => None,
        };
        let shards = self.live().flat_map(|s| [commit(s), leaving(s)]);
        let drain = self.draining.filter(|_| !self.late);
        shards.chain([self.timers.earliest(), drain]).flatten().min()
    }
}
