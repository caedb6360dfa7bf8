//! A run: members, the backend and the clock under a schedule, and then calm until everything is settled and stored.

use crate::{
    check::{Check, Id, Model, ensure},
    cover::Cover,
    epoch::{Phase, Stored},
    log::{Part, shard},
    member::{Member, at},
    mutate::Mutation,
    ops::{End, How, Op, Setup},
};
use bus_core::{ErrorKind, Event};
use bytes::Bytes;
use std::{collections::BTreeMap, time::Duration};

/// Long enough never to run out.
const AGES: u64 = 1 << 40;

pub(crate) struct World {
    pub(crate) setup: Setup,
    mutation: Mutation,
    pub(crate) parts: Vec<Part>,
    pub(crate) members: [Option<Member>; 2],
    pub(crate) model: Model,
    /// Who was thrown out and does not know yet.
    notices: [Vec<Id>; 2],
    pub(crate) resets: usize,
}

/// Runs a schedule; what the checker found, or what occurred.
pub(crate) fn run(setup: &Setup, ops: &[Op], mutation: Mutation) -> Result<Cover, String> {
    let partitions = setup.partitions;
    let mut world = World {
        setup: setup.clone(),
        mutation,
        parts: (0..partitions).map(|_| Part::default()).collect(),
        members: [None, None],
        model: Model {
            setup: setup.clone(),
            now: 0,
            epochs: BTreeMap::new(),
            stored: vec![Stored::default(); partitions],
            outputs: BTreeMap::new(),
            draining: [false; 2],
            cover: Cover::default(),
        },
        notices: [Vec::new(), Vec::new()],
        resets: 0,
    };
    for part in 0..partitions {
        for n in 0..setup.records {
            let gap = if n % 7 == 3 { 3 } else { 0 };
            world.parts[part].publish(setup.sparse, gap, Some(n % 5).filter(|k| *k > 0), 10);
        }
        world.assign(part, part % 2)?;
    }
    for (n, op) in ops.iter().enumerate() {
        world
            .apply(*op)
            .and_then(|()| world.check())
            .map_err(|e| format!("{e}\n  in step {n}, {op:?}"))?;
    }
    world.calm().map_err(|e| format!("{e}\n  in the calm after"))?;
    Ok(world.model.cover)
}

impl World {
    fn apply(&mut self, op: Op) -> Check {
        let parts = self.setup.partitions;
        let part = |p: u8| usize::from(p) % parts;
        let faults = self.setup.faults;
        match op {
            Op::Publish {
                part: p,
                count,
                keys,
                size,
                gap,
            } => {
                for n in 0..count {
                    let key = (keys > 0).then(|| n % keys).filter(|k| *k != 3);
                    let gap = if n % 3 == 0 { gap } else { 0 };
                    self.parts[part(p)].publish(self.setup.sparse, gap, key, usize::from(size));
                }
            }
            Op::Advance(ms) => self.model.now += u64::from(ms),
            Op::Assign { part: p, member } => self.assign(part(p), member.into())?,
            Op::Losing { part: p, grace } => {
                let grace = if faults { u64::from(grace) } else { AGES };
                self.losing(part(p), grace)?;
            }
            Op::Steal { part: p, member } if faults => self.steal(part(p), member.into())?,
            Op::Notice(member) => self.notice(member.into())?,
            Op::Hurry { part: p, grace, late } => {
                if let Some((owner, _)) = self.current(part(p)) {
                    self.of_member(Op::Load(owner as u8), owner as u8)?;
                }
                self.losing(part(p), if faults { grace.into() } else { AGES })?;
                self.model.now += u64::from(late);
            }
            Op::Busy { member, turns, how } => {
                for turn in 0..turns {
                    for op in [
                        Op::Load(member),
                        Op::Step(member),
                        Op::Commit {
                            member,
                            end: End::Stored,
                        },
                    ] {
                        self.of_member(op, member)?;
                        self.check()?;
                        for pick in 0..5 {
                            let how = if pick == turn { how } else { How::Ack };
                            let settle = Op::Settle { member, pick, how };
                            self.of_member(settle, member)?;
                        }
                    }
                    self.model.now += 40;
                }
            }
            Op::Suspend(p) => self.suspend(part(p), true)?,
            Op::Resume(p) => self.suspend(part(p), false)?,
            Op::Drain { member, grace } => {
                let grace = if faults { u64::from(grace) } else { AGES };
                self.drain(member.into(), grace)?;
            }
            Op::Crash(member) if faults => self.crash(member.into()),
            Op::Reset { part: p, to } if faults => {
                // Tools move groups without live members only.
                if let Some((owner, _)) = self.current(part(p)) {
                    self.crash(owner);
                }
                self.reset(part(p), to.into());
            }
            Op::Trim { part: p, count } if faults => {
                let part = &mut self.parts[part(p)];
                part.trimmed = (part.trimmed + usize::from(count)).min(part.log.len());
            }
            Op::Steal { .. } | Op::Crash(_) | Op::Reset { .. } | Op::Trim { .. } => {}
            Op::Pump(m) | Op::Load(m) | Op::Step(m) | Op::Ready(m) | Op::Refuse(m) | Op::Flush(m) => {
                self.of_member(op, m)?
            }
            Op::Lend { member: m, .. } | Op::Claim { member: m, .. } | Op::Settle { member: m, .. } => {
                self.of_member(op, m)?
            }
            Op::SettleAll { member: m } | Op::Commit { member: m, .. } => self.of_member(op, m)?,
        }
        self.end_failed()
    }
    fn of_member(&mut self, op: Op, number: u8) -> Check {
        let (parts, model) = (&mut self.parts, &mut self.model);
        let Some(member) = &mut self.members[usize::from(number)] else {
            return Ok(());
        };
        match op {
            Op::Pump(_) => {
                member.receive(parts, model)?;
                member.work(parts, model)?;
            }
            Op::Load(_) => {
                member.receive(parts, model)?;
                member.work(parts, model)?;
                for reader in 0..self.setup.readers {
                    member.lend(reader, 7, model)?;
                    member.claim(reader, usize::MAX, model)?;
                }
            }
            Op::Step(_) => member.reader_step(model)?,
            Op::Ready(_) => member.ready(model)?,
            Op::Refuse(_) => member.refuse(model)?,
            Op::Lend { reader, most, .. } => drop(member.lend(reader.into(), most.into(), model)?),
            Op::Claim { reader, count, .. } => drop(member.claim(reader.into(), count.into(), model)?),
            Op::Settle { pick, how, .. } => member.settle(pick.into(), how),
            Op::SettleAll { .. } => {
                while member.has_hands() {
                    member.settle(0, How::Ack);
                }
            }
            Op::Flush(_) => member.flush(model)?,
            Op::Commit { end, .. } => member.commit(end, parts, model)?,
            _ => {}
        }
        self.end_drained()
    }
    pub(crate) fn check(&mut self) -> Check {
        self.model.prune();
        for member in self.members.iter().flatten() {
            member.check(&mut self.model)?;
        }
        Ok(())
    }

    pub(crate) fn assign(&mut self, part: usize, to: usize) -> Check {
        if self.parts[part].owner.is_some() || self.members[to].as_ref().is_some_and(|m| m.draining) {
            return Ok(());
        }
        // A subscriber hears of the end of one ownership before it gains the next.
        for id in self.notices[to]
            .extract_if(.., |id| id.0 == part)
            .collect::<Vec<_>>()
        {
            self.lose(to, id)?;
        }
        let stale: Vec<_> = self.known(to).filter(|id| id.0 == part).collect();
        for id in stale {
            self.lose(to, id)?;
        }
        let (setup, mutation) = (&self.setup, self.mutation);
        let member = self.members[to].get_or_insert_with(|| Member::new(to, setup, mutation));
        let mut event = self.parts[part].gain(part, to);
        if let (Mutation::ForgetNotes, Event::Gained { notes, .. }) = (self.mutation, &mut event) {
            *notes = Bytes::new();
        }
        let next = self.parts[part].next;
        self.model.gained((part, self.parts[part].epoch), to, next)?;
        member.flow.input(event, at(self.model.now));
        member.wake = true;
        Ok(())
    }
    /// What the member's flow has and was not told to be lost.
    fn known(&self, member: usize) -> impl Iterator<Item = Id> {
        let known = self
            .model
            .epochs
            .iter()
            .filter(move |(_, e)| e.member == member && e.phase != Phase::Lost);
        known.map(|(id, _)| *id).collect::<Vec<_>>().into_iter()
    }
    fn lose(&mut self, member: usize, id: Id) -> Check {
        self.parts[id.0].readings.retain(|r| r.epoch != id.1);
        match &mut self.members[member] {
            Some(member) => {
                member.wake = true;
                member.lose(id, &mut self.model)
            }
            None => Ok(()),
        }
    }
    fn current(&self, part: usize) -> Option<(usize, Id)> {
        let id = (part, self.parts[part].epoch);
        self.parts[part].owner.map(|member| (member, id))
    }
    fn losing(&mut self, part: usize, grace: u64) -> Check {
        let Some((number, id)) = self.current(part) else {
            return Ok(());
        };
        let epoch = self.model.epoch(id)?;
        if let (Some(member), Phase::Owned) = (&mut self.members[number], epoch.phase) {
            epoch.phase = Phase::Leaving;
            self.model.cover.losing += 1;
            let (shard, grace) = (shard(id.0, id.1), Duration::from_millis(grace));
            member
                .flow
                .input(Event::Losing { shard, grace }, at(self.model.now));
            member.wake = true;
            if let Some(reading) = self.parts[part].reading(number) {
                reading.silent = true;
            }
        }
        Ok(())
    }
    /// A new owner while the old one does not know.
    fn steal(&mut self, part: usize, to: usize) -> Check {
        if let Some((from, id)) = self.current(part) {
            self.parts[part].owner = None;
            self.notices[from].push(id);
            self.model.cover.stolen += 1;
        }
        self.assign(part, to)
    }
    pub(crate) fn notice(&mut self, member: usize) -> Check {
        for id in std::mem::take(&mut self.notices[member]) {
            self.lose(member, id)?;
        }
        let released: Vec<_> = self
            .known(member)
            .filter(|id| self.model.epochs[id].phase == Phase::Released)
            .collect();
        for id in released {
            self.lose(member, id)?;
        }
        Ok(())
    }
    pub(crate) fn suspend(&mut self, part: usize, on: bool) -> Check {
        let Some((number, id)) = self.current(part) else {
            return Ok(());
        };
        let Some(member) = &mut self.members[number] else {
            return Ok(());
        };
        let shard = shard(id.0, id.1);
        let event = if on {
            Event::Suspended(shard)
        } else {
            Event::Resumed(shard)
        };
        member.flow.input(event, at(self.model.now));
        member.wake = true;
        let was = std::mem::replace(&mut self.model.epoch(id)?.suspended, on);
        self.model.cover.suspended += u64::from(on);
        self.model.cover.resumed += u64::from(was && !on);
        Ok(())
    }
    fn drain(&mut self, number: usize, grace: u64) -> Check {
        if let Some(member) = self.members[number].as_mut().filter(|m| !m.draining) {
            member.step(&mut self.model)?;
            member.flow.drain(at(self.model.now + grace).mono);
            (member.draining, member.wake) = (true, true);
            self.model.draining[number] = true;
            self.model.cover.drained += 1;
        }
        self.end_drained()
    }
    fn crash(&mut self, number: usize) {
        if self.members[number].take().is_some() {
            self.model.cover.crashed += 1;
            self.forget(number);
        }
    }
    /// A member is gone: its partitions have no owner, and nobody remembers its epochs.
    fn forget(&mut self, number: usize) {
        self.model.draining[number] = false;
        self.notices[number].clear();
        for part in &mut self.parts {
            part.readings.retain(|r| r.member != number);
            part.owner = part.owner.filter(|owner| *owner != number);
        }
        self.model.epochs.retain(|_, epoch| epoch.member != number);
    }
    /// A tool moves the group back and leaves the notes as they are.
    fn reset(&mut self, part: usize, to: usize) {
        let (log, model) = (&mut self.parts[part], &mut self.model);
        if log.owner.is_some() || log.log.is_empty() {
            return;
        }
        let behind = log.log.partition_point(|r| r.position < log.next);
        let Some(record) = log.log.get(to % (behind + 1)) else {
            return;
        };
        if record.position == log.next {
            return;
        }
        log.next = record.position;
        self.resets += 1;
        model.cover.reset += 1;
        model.cover.stale_notes += u64::from(!log.notes.is_empty());
        model.stored[part] = Stored {
            next: log.next,
            ..Stored::default()
        };
    }
    /// Members whose drain is over close.
    pub(crate) fn end_drained(&mut self) -> Check {
        for number in 0..2 {
            let Some(member) = self.members[number].as_mut().filter(|m| m.draining) else {
                continue;
            };
            if !member.flow.is_drained(at(self.model.now)) || member.is_committing() {
                continue;
            }
            let late = member.has_hands();
            ensure!(self.setup.faults || !late, "drained, but handlers run");
            self.model.cover.drained_late += u64::from(late);
            for (id, epoch) in &mut self.model.epochs {
                if epoch.member == number && !epoch.is_void() {
                    let part = &self.parts[id.0];
                    let owner = part.owner == Some(number) && part.epoch == id.1;
                    let missing = epoch.unstored(&self.model.stored[id.0]);
                    ensure!(
                        epoch.mute || missing.is_none() || !owner,
                        "{id:?} drained, but {missing:?} is not stored"
                    );
                    epoch.phase = Phase::Released;
                }
            }
            member.flow.end_drain();
            member.check(&mut self.model)?;
            self.members[number] = None;
            self.forget(number);
        }
        Ok(())
    }
    /// Members that failed end, as they were expected to.
    pub(crate) fn end_failed(&mut self) -> Check {
        for number in 0..2 {
            let Some(member) = &mut self.members[number] else {
                continue;
            };
            let Some(error) = member.flow.take_failure() else {
                continue;
            };
            let lost = error.kind() == ErrorKind::DataLoss;
            ensure!(
                lost || (self.setup.faults
                    && error.kind() == ErrorKind::Other
                    && error.message().ends_with("no")),
                "{error}"
            );
            // What it has settled may be stored, and nothing that lies behind the gap, or behind what was refused.
            for _ in 0..3 {
                while member.has_hands() {
                    member.settle(0, How::Ack);
                }
                member.flush(&mut self.model)?;
                member.receive(&mut self.parts, &mut self.model)?;
                member.work(&mut self.parts, &mut self.model)?;
                member.commit(End::Stored, &mut self.parts, &mut self.model)?;
                member.lend(0, 10, &mut self.model)?;
                member.claim(0, 10, &mut self.model)?;
            }
            self.members[number] = None;
            self.forget(number);
            if lost {
                for part in 0..self.setup.partitions {
                    self.skip_trimmed(part);
                }
            }
        }
        Ok(())
    }
    /// A tool moves a group whose position was removed to the first record that is there.
    pub(crate) fn skip_trimmed(&mut self, number: usize) {
        let part = &mut self.parts[number];
        if part.owner.is_none() && part.next < part.first() && part.trimmed > 0 {
            (part.next, part.notes) = (part.first(), Bytes::new());
            self.model.stored[number] = Stored {
                next: part.next,
                ..Stored::default()
            };
        }
    }
}
