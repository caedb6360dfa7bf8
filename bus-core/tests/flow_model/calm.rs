//! The end of a run: without further faults all must come to be read, settled and stored.

use crate::{
    check::{Check, ensure},
    log::TOPIC,
    ops::{End, How},
    world::World,
};
use std::collections::BTreeSet;

impl World {
    /// No more faults: all is read, settled and stored, by members whose pumps sleep until they are woken.
    pub(crate) fn calm(&mut self) -> Check {
        for part in 0..self.setup.partitions {
            self.suspend(part, false)?;
        }
        self.notice(0)?;
        self.notice(1)?;
        for turn in 0.. {
            ensure!(turn < 100_000, "no end: {:#?}", self.members);
            let mut any = false;
            for part in 0..self.setup.partitions {
                if self.parts[part].owner.is_none() {
                    let to = (0..2).find(|m| self.members[*m].as_ref().is_none_or(|m| !m.draining));
                    if let Some(to) = to {
                        self.skip_trimmed(part);
                        self.assign(part, to)?;
                        any = true;
                    }
                }
            }
            for number in 0..2 {
                any |= self.turn(number)?;
                self.notice(number)?;
                self.end_failed()?;
                self.end_drained()?;
                self.check()?;
            }
            if any || self.parts.iter().any(|p| p.owner.is_none()) {
                continue;
            }
            let idle = self
                .members
                .iter()
                .flatten()
                .all(|m| m.idle() && m.flow.is_stored() && !m.draining);
            let read = (0..).zip(&self.parts).all(|(_, p): (usize, _)| p.next == p.end());
            if idle && read {
                return self.finish();
            }
            let deadline = self.members.iter().flatten().filter_map(|m| m.deadline).min();
            let Some(deadline) = deadline else {
                return Err(format!("stall: {:#?}", self.members));
            };
            ensure!(deadline >= self.model.now, "the pump slept over {deadline}");
            // The clock counts milliseconds, and deadlines may lie between two.
            self.model.now = deadline.max(self.model.now + 1);
        }
        Ok(())
    }
    /// What one member does when it is left alone.
    fn turn(&mut self, number: usize) -> Result<bool, String> {
        let (parts, model) = (&mut self.parts, &mut self.model);
        let Some(member) = &mut self.members[number] else {
            return Ok(false);
        };
        let mut any = false;
        let more = (0..parts.len()).any(|p| parts[p].has_more(number, member.room));
        let due = member.deadline.is_some_and(|d| d <= model.now);
        if member.is_committing() {
            member.commit(End::Stored, parts, model)?;
            (any, member.wake) = (true, true);
        }
        if more || due || member.wake {
            any |= member.wake;
            any |= member.receive(parts, model)?;
            any |= member.work(parts, model)?;
        }
        for reader in 0..self.setup.readers {
            any |= member.claim(reader, usize::MAX, model)?;
            if member.flow.has_ready() {
                any |= member.lend(reader, 3, model)?;
                any |= member.claim(reader, usize::MAX, model)?;
            }
        }
        if member.has_hands() || member.has_marks() {
            while member.has_hands() {
                member.settle(7, How::Ack);
            }
            member.reader_step(model)?;
            any = true;
        }
        if member.has_unready() {
            member.ready(model)?;
            any = true;
        }
        Ok(any)
    }
    fn finish(&mut self) -> Check {
        for (number, (part, stored)) in self.parts.iter().zip(&self.model.stored).enumerate() {
            ensure!(
                stored.next == part.end(),
                "{TOPIC}[{number}] ends at {}, not {}",
                stored.next,
                part.end()
            );
        }
        for member in self.members.iter_mut().flatten() {
            ensure!(member.is_flushed(), "a flush did not end");
            let (n, bytes, unstored) = (
                member.flow.in_flight(),
                member.flow.bytes(),
                member.flow.unstored(),
            );
            ensure!(
                (n, bytes, unstored) == (0, 0, 0),
                "left: {n} in flight, {bytes} bytes, {unstored} unstored"
            );
            let room = member.flow.room();
            ensure!(
                (room.messages, room.bytes) == (self.setup.window, self.setup.bytes),
                "not all room is back: {room:?}"
            );
        }
        if self.resets == 0 {
            let mut seen = BTreeSet::new();
            for (output, count) in &self.model.outputs {
                let origin: Vec<_> = output.split(' ').take(2).collect();
                ensure!(
                    *count == 1 && seen.insert(origin.join(" ")),
                    "{output} was stored {count} times"
                );
            }
        }
        Ok(())
    }
}
