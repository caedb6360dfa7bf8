//! The reference model: what a flow may say and do, kept as simply as possible and checked at every step.

use crate::{
    cover::Cover,
    epoch::{Epoch, Phase, Rec, St, Stored},
    log::Part,
    ops::Setup,
};
use bus_core::{
    Done,
    flow::{Handout, Order, Verdict, notes::Notes},
};
use std::collections::{BTreeMap, VecDeque};

pub(crate) type Check = Result<(), String>;

macro_rules! ensure {
    ($cond:expr, $($text:tt)*) => {
        if !$cond {
            return Err(format!($($text)*));
        }
    };
}
pub(crate) use ensure;

/// Wall time at the clock's zero.
pub(crate) const WALL: u64 = 1_700_000_000_000;

pub(crate) type Id = (usize, u64);

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) setup: Setup,
    pub(crate) now: u64,
    pub(crate) epochs: BTreeMap<Id, Epoch>,
    pub(crate) stored: Vec<Stored>,
    /// Outputs that the backend has, and how often.
    pub(crate) outputs: BTreeMap<String, usize>,
    pub(crate) draining: [bool; 2],
    pub(crate) cover: Cover,
}

impl Model {
    pub(crate) fn epoch(&mut self, id: Id) -> Result<&mut Epoch, String> {
        self.epochs.get_mut(&id).ok_or(format!("{id:?} was never gained"))
    }
    /// Forgets what is gone and of which nothing is out.
    pub(crate) fn prune(&mut self) {
        let gone = |e: &Epoch| {
            e.phase == Phase::Lost && !e.recs.values().any(|r| matches!(r.st, St::Out | St::Lent))
        };
        self.epochs.retain(|_, epoch| !gone(epoch));
    }
    pub(crate) fn gained(&mut self, id: Id, member: usize, next: u128) -> Check {
        let carried = self.stored[id.0].clone();
        ensure!(
            carried.next == next,
            "{id:?} begins at {next}, stored is {}",
            carried.next
        );
        self.cover.carried += u64::from(!carried.settled.is_empty());
        self.cover.attempts_carried += u64::from(!carried.attempts.is_empty());
        let epoch = Epoch {
            member,
            phase: Phase::Owned,
            suspended: false,
            mute: false,
            deaf: false,
            end: next,
            recs: BTreeMap::new(),
            carried,
            gaps: VecDeque::new(),
            diverted: VecDeque::new(),
            last: next,
            pending: None,
        };
        self.epochs.insert(id, epoch);
        Ok(())
    }
    pub(crate) fn received(&mut self, id: Id, position: u128, key: Option<u64>, size: usize) -> Check {
        let epoch = self.epoch(id)?;
        ensure!(
            position >= epoch.end,
            "the simulated backend is wrong: {position} again"
        );
        let noted = epoch.carried.settled.contains(&position);
        let (failures, not_before) = epoch.carried.attempts.get(&position).copied().unwrap_or_default();
        let st = if noted { St::Settled } else { St::Held };
        epoch.recs.insert(
            position,
            Rec {
                st,
                failures,
                not_before,
                unready: false,
                key,
                size,
            },
        );
        epoch.end = position + 1;
        epoch.skip_gaps();
        Ok(())
    }
    pub(crate) fn lost_data(&mut self, id: Id, from: u128, to: u128) -> Check {
        let stop = self.setup.loss == bus_core::flow::LossPolicy::Stop;
        let epoch = self.epoch(id)?;
        let overtook = from > epoch.end;
        if stop {
            epoch.deaf = true;
            self.cover.data_loss_stop += 1;
            return Ok(());
        }
        if !epoch.is_void() {
            epoch.gaps.push_back((from, to));
            epoch.skip_gaps();
        }
        self.cover.data_loss += 1;
        self.cover.data_loss_overtook += u64::from(overtook);
        Ok(())
    }
    pub(crate) fn lent(&mut self, member: usize, handout: &Handout) -> Check {
        let id = (handout.shard.partition as usize, handout.shard.epoch);
        let (position, now) = (handout.record.position(), self.now);
        let (order, attempts, draining) = (self.setup.order, self.setup.attempts, self.draining[member]);
        let epoch = self.epoch(id)?;
        ensure!(
            epoch.runs() && !draining,
            "{id:?} {position} handed out while {:?}",
            epoch.phase
        );
        let rec = epoch
            .recs
            .get(&position)
            .ok_or(format!("{id:?} {position} was never received"))?;
        ensure!(
            rec.st == St::Held,
            "{id:?} {position} handed out while {:?}",
            rec.st
        );
        ensure!(!rec.unready, "{id:?} {position} handed out before it is ready");
        ensure!(
            now >= rec.not_before,
            "{id:?} {position} handed out {} ms early",
            rec.not_before - now
        );
        ensure!(
            handout.attempt == rec.failures + 1,
            "{id:?} {position} is attempt {}, not {}",
            rec.failures + 1,
            handout.attempt
        );
        ensure!(
            handout.is_last == (handout.attempt >= attempts),
            "{id:?} {position}: is_last is wrong"
        );
        let same = |other: &Rec| match order {
            Order::Partition => true,
            Order::Key => rec.key.is_some() && rec.key == other.key,
            _ => false,
        };
        let open = |r: &Rec| !matches!(r.st, St::Settled | St::Diverted);
        let before = epoch.recs.range(..position).find(|(_, r)| open(r) && same(r));
        ensure!(
            before.is_none(),
            "{id:?} {position} handed out before {:?}",
            before.map(|b| b.0)
        );
        let running = |r: &Rec| matches!(r.st, St::Lent | St::Out);
        let after = epoch
            .recs
            .range(position + 1..)
            .find(|(_, r)| running(r) && same(r));
        ensure!(
            after.is_none(),
            "{id:?} {position} handed out beside {:?}",
            after.map(|b| b.0)
        );
        let retried = handout.attempt > 1;
        self.set(id, position, St::Lent)?;
        self.cover.retried += u64::from(retried);
        Ok(())
    }
    pub(crate) fn set(&mut self, id: Id, position: u128, st: St) -> Check {
        let rec = self.epoch(id)?.recs.get_mut(&position);
        rec.ok_or(format!("{id:?} {position} is unknown"))?.st = st;
        Ok(())
    }
    pub(crate) fn claimed(&mut self, id: Id, position: u128) -> Check {
        let draining = self.draining[self.epoch(id)?.member];
        let epoch = self.epoch(id)?;
        ensure!(
            epoch.runs() && !draining,
            "{id:?} {position} claimed while {:?}",
            epoch.phase
        );
        let st = epoch.recs.get(&position).map(|r| r.st);
        ensure!(st == Some(St::Lent), "{id:?} {position} claimed while {st:?}");
        self.cover.claimed += 1;
        self.set(id, position, St::Out)
    }
    /// A verdict was taken in.
    pub(crate) fn settled(&mut self, id: Id, position: u128, verdict: &Verdict, wait: u64) -> Check {
        let (now, most, letters) = (self.now, self.setup.attempts, self.setup.dead_letters);
        let draining = self.draining[self.epoch(id)?.member];
        let cover = &mut self.cover;
        let epoch = self.epochs.get_mut(&id).ok_or("unknown")?;
        if epoch.is_void() {
            cover.settled_void += 1;
            return self.set(id, position, St::Gone);
        }
        let returned = match verdict {
            Verdict::Returned => true,
            Verdict::Dropped => draining || !epoch.runs(),
            _ => false,
        };
        let Some(rec) = epoch.recs.get_mut(&position) else {
            return Err(format!("{id:?} {position} is unknown"));
        };
        ensure!(rec.st == St::Out, "{id:?} {position} settled while {:?}", rec.st);
        let letter = |why: &str, n: u32| {
            vec![format!(
                "dlq {}/{} {why} {n}",
                id.0,
                bus_core::position::format(position)
            )]
        };
        let outputs = match verdict {
            Verdict::AckWith(outputs) => outputs.iter().map(crate::log::origin).collect(),
            Verdict::Reject { reason, .. } => letter(reason, rec.failures + 1),
            Verdict::Dropped | Verdict::Nack { .. } if !returned && rec.failures + 1 >= most => {
                letter("max-attempts", rec.failures + 1)
            }
            Verdict::Dropped | Verdict::Returned | Verdict::Nack { .. } | Verdict::Unready => {
                rec.st = St::Held;
                if matches!(verdict, Verdict::Unready) {
                    (rec.unready, cover.unready) = (true, cover.unready + 1);
                } else if returned {
                    cover.returned += 1;
                } else {
                    (rec.failures, rec.not_before) = (rec.failures + 1, now + wait);
                }
                return Ok(());
            }
        };
        let skipped = !letters && !matches!(verdict, Verdict::AckWith(_));
        if outputs.is_empty() || skipped {
            rec.st = St::Settled;
        } else {
            rec.st = St::Diverted;
            epoch.diverted.push_back((position, outputs));
        }
        Ok(())
    }
    /// What a record waited for will not come: it was given up.
    pub(crate) fn given_up(&mut self, id: Id, position: u128, verdict: &Verdict) -> Check {
        self.cover.refused_unready += 1;
        self.set(id, position, St::Out)?;
        self.settled(id, position, verdict, 0)
    }
    /// What a record waited for is there.
    pub(crate) fn ready(&mut self, id: Id, position: u128) {
        if let Some(rec) = self
            .epochs
            .get_mut(&id)
            .and_then(|epoch| epoch.recs.get_mut(&position))
        {
            rec.unready = false;
        }
    }
    /// What one call of `work` wants to have stored for one shard.
    pub(crate) fn done(&mut self, log: &Part, done: &Done, carried: &mut usize) -> Check {
        let (now, limits) = (self.now, (self.setup.notes, self.setup.outputs));
        let id = (done.shard.partition as usize, done.shard.epoch);
        let epoch = self.epochs.get_mut(&id).ok_or("a commit of an unknown shard")?;
        ensure!(
            !epoch.is_void() && !epoch.mute,
            "{id:?} commits while {:?}",
            epoch.phase
        );
        ensure!(epoch.pending.is_none(), "{id:?} commits twice at the same time");
        let outputs: Vec<_> = done.outputs.iter().map(crate::log::origin).collect();
        let mut left = &outputs[..];
        while let Some((position, expected)) = epoch.diverted.front().filter(|_| !left.is_empty()) {
            ensure!(
                left.starts_with(expected),
                "{id:?} carries {left:?}, not {expected:?} of {position}"
            );
            left = &left[expected.len()..];
            ensure!(
                *carried == 0 || *carried + expected.len() <= limits.1,
                "a commit carries more outputs than {}",
                limits.1
            );
            *carried += expected.len();
            if let Some(rec) = epoch.recs.get_mut(position) {
                rec.st = St::Settled;
            }
            epoch.diverted.pop_front();
        }
        ensure!(left.is_empty(), "{id:?} carries {left:?}, which nobody asked for");
        let next = epoch.next();
        ensure!(
            done.next <= next,
            "{id:?} commits {}, beyond {next}, which is not settled",
            done.next
        );
        ensure!(
            done.next == next,
            "{id:?} commits {}, but everything is settled below {next}",
            done.next
        );
        ensure!(
            done.next >= epoch.last,
            "{id:?} goes back from {} to {next}",
            epoch.last
        );
        ensure!(
            done.notes.len() <= limits.0,
            "notes of {} bytes, over {}",
            done.notes.len(),
            limits.0
        );
        epoch.last = next;
        let mut stored = Stored {
            next,
            ..Stored::default()
        };
        for (position, rec) in epoch.recs.range(next..) {
            if rec.st == St::Settled {
                stored.settled.insert(*position);
            } else if rec.failures > 0 {
                let wait = rec.not_before.max(now) - now;
                let until = if wait > 0 { rec.not_before } else { 0 };
                stored.attempts.insert(*position, (rec.failures, until));
            }
        }
        stored.settled.extend(epoch.carried.settled.range(epoch.end..));
        stored.attempts.extend(epoch.carried.attempts.range(epoch.end..));
        let notes = Notes::decode(&done.notes, next);
        // Of what was removed before it was read notes may say anything.
        let known = |p: u128| p >= epoch.end || epoch.recs.contains_key(&p);
        for rec in log.log.iter().filter(|r| r.position >= next && known(r.position)) {
            let expected = stored.settled.contains(&rec.position);
            ensure!(
                notes.is_settled(rec.position) == expected,
                "{id:?} at {next}: notes say settled of {}: {}",
                rec.position,
                !expected
            );
            let (failures, until) = stored.attempts.get(&rec.position).copied().unwrap_or_default();
            let noted = notes
                .attempt(rec.position)
                .map_or((0, 0), |a| (a.failures, a.not_before));
            ensure!(
                noted.0 == failures,
                "{id:?} at {next}: notes say {} failures of {}, not {failures}",
                noted.0,
                rec.position
            );
            let early = until > now && noted.1 < WALL + until;
            ensure!(!early, "{id:?} at {next}: notes let {} run early", rec.position);
        }
        self.cover.notes += u64::from(!done.notes.is_empty());
        self.cover.outputs += outputs.len() as u64;
        self.cover.partial += u64::from(!epoch.diverted.is_empty());
        epoch.pending = Some((stored, outputs));
        Ok(())
    }
    /// The backend has stored it.
    pub(crate) fn stored(&mut self, id: Id, owner: Option<u64>) -> Check {
        ensure!(
            owner == Some(id.1),
            "{id:?} was stored, but the owner is {owner:?}"
        );
        let Some((stored, outputs)) = self.epoch(id)?.pending.take() else {
            return Err(format!("{id:?} stored what was not committed"));
        };
        for output in outputs {
            *self.outputs.entry(output).or_default() += 1;
        }
        self.stored[id.0] = stored;
        Ok(())
    }
    /// It was not stored and will not be.
    pub(crate) fn refused(&mut self, id: Id, phase: Option<Phase>) -> Check {
        let Some(epoch) = self.epochs.get_mut(&id) else {
            return Ok(());
        };
        epoch.pending = None;
        if epoch.phase == Phase::Lost {
            return Ok(());
        }
        epoch.mute = true;
        epoch.phase = phase.unwrap_or(epoch.phase);
        epoch.diverted.clear();
        Ok(())
    }
    pub(crate) fn released(&mut self, id: Id, owner: bool) -> Check {
        let clean = !self.setup.faults;
        let epoch = self.epochs.get_mut(&id).ok_or("released, but unknown")?;
        ensure!(
            epoch.phase == Phase::Leaving,
            "{id:?} released while {:?}",
            epoch.phase
        );
        ensure!(epoch.pending.is_none(), "{id:?} released during its commit");
        let out = epoch.count(St::Out);
        ensure!(!clean || out == 0, "{id:?} released, but {out} are out");
        if !epoch.mute && owner {
            let missing = epoch.unstored(&self.stored[id.0]);
            ensure!(
                missing.is_none(),
                "{id:?} released, but {missing:?} is not stored"
            );
        }
        self.cover.released += 1;
        self.cover.overdue += u64::from(out > 0);
        epoch.phase = Phase::Released;
        Ok(())
    }
}
