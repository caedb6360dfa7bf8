//! The lease protocol: the real scripts on a real server against a state machine, under random schedules of contenders
//! that freeze between any two steps, of replies that are lost, requests that arrive late, and a server that restarts
//! with less than it had.
//!
//! A failure says its number; `BUS_SEED=<number>` runs that schedule alone, `PROPTEST_CASES=<how many>` runs more.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod reference;
#[path = "../../../../bus-core/tests/parts_model/seeds.rs"]
mod seeds;
mod server;

use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use reference::{Call, Reference, Reply};
use server::{ENTRIES, Server, TTL};
use std::collections::BTreeMap;

type Check = Result<(), TestCaseError>;

const CONTENDERS: usize = 3;

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    /// It runs, and its reply is lost.
    Unanswered,
    /// It arrives late, if ever: after its sender gave it up, or made it again.
    Late,
}

#[derive(Clone, Debug)]
enum Op {
    /// Looks at the lease.
    Look(usize),
    /// Takes it, if that looks allowed.
    Take(usize, Fate),
    Renew(usize, Fate),
    /// Settles so many more (or one less than what is settled, which is to be refused), or makes an unclear commit again.
    Commit(usize, i8, Fate),
    Release(usize, Fate),
    /// One whose commit has no clear end gives the partition up.
    GiveUp(usize),
    /// A late call arrives.
    Arrive(u8),
    /// A late call never arrives: its connection was closed in time.
    Vanish(u8),
    Pass(u16),
    /// Some tool moves the group.
    Reset(u8),
    /// What there is now survives a power loss.
    Save,
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let who = || 0..CONTENDERS;
    let fate = || prop_oneof![6 => Just(Fate::Answered), 2 => Just(Fate::Unanswered), 2 => Just(Fate::Late)];
    prop_oneof![
        6 => who().prop_map(Op::Look),
        8 => (who(), fate()).prop_map(|(who, fate)| Op::Take(who, fate)),
        4 => (who(), fate()).prop_map(|(who, fate)| Op::Renew(who, fate)),
        12 => (who(), -1i8..4, fate()).prop_map(|(who, more, fate)| Op::Commit(who, more, fate)),
        2 => (who(), fate()).prop_map(|(who, fate)| Op::Release(who, fate)),
        1 => who().prop_map(Op::GiveUp),
        6 => any::<u8>().prop_map(Op::Arrive),
        1 => any::<u8>().prop_map(Op::Vanish),
        6 => prop_oneof![0u16..400, 900u16..1_500].prop_map(Op::Pass),
        1 => any::<u8>().prop_map(Op::Reset),
        1 => Just(Op::Save),
        1 => Just(Op::Restart),
    ]
}

/// What a contender believes to own.
#[derive(Clone, Debug)]
struct Held {
    epoch: u64,
    run: u64,
    sequence: u64,
    last: u64,
    /// A commit without a clear end.
    unclear: Option<Call>,
}

#[derive(Clone, Debug, Default)]
struct Contender {
    held: Option<Held>,
    /// The lease as it looked, since when, and in which run.
    seen: Option<([String; 3], u64, u64)>,
}

struct World {
    server: Server,
    model: Reference,
    contenders: [Contender; CONTENDERS],
    /// Calls that are on their way.
    late: Vec<Call>,
    now: u64,
    run: u64,
    saved: (Reference, [Vec<u8>; 3]),
    /// Every epoch that was ever given, and to whom.
    issued: BTreeMap<u64, String>,
    commits: usize,
}

fn name(who: usize) -> String {
    format!("m{who}")
}

impl World {
    fn new() -> Self {
        let mut server = Server::new();
        let saved = (Reference::default(), server.save());
        Self {
            server,
            model: Reference::default(),
            contenders: Default::default(),
            late: Vec::new(),
            now: 0,
            run: 0,
            saved,
            issued: BTreeMap::new(),
            commits: 0,
        }
    }
    /// The call arrives: the server and the model do it, and have to agree.
    fn arrive(&mut self, call: &Call) -> Result<(Reply, Option<u64>), TestCaseError> {
        let (before, now) = (self.model.clone(), self.now);
        let expected = self.model.apply(call, now);
        let (reply, epoch) = self.server.call(call);
        prop_assert_eq!(&reply, &expected, "{:?} at {:?}", call, before);
        if let (Call::Acquire { member, .. }, Some(epoch)) = (call, epoch) {
            let highest = self.issued.last_key_value().map_or(0, |(epoch, _)| *epoch);
            prop_assert!(epoch > highest, "epoch {} was given after {}", epoch, highest);
            self.issued.insert(epoch, member.clone());
            self.model.epoch = epoch;
        }
        let state = self.server.state();
        let model = Reference {
            touched: 0,
            ..self.model.clone()
        };
        prop_assert_eq!(state, model, "after {:?} at {:?}", call, before);
        Ok((reply, epoch))
    }
    fn send(&mut self, who: usize, call: Call, fate: Fate) -> Check {
        match fate {
            Fate::Late => self.late.push(call),
            Fate::Unanswered => drop(self.arrive(&call)?),
            Fate::Answered => {
                let (reply, epoch) = self.arrive(&call)?;
                self.told(who, &call, &reply, epoch);
            }
        }
        Ok(())
    }
    /// What a contender makes of a reply.
    fn told(&mut self, who: usize, call: &Call, reply: &Reply, epoch: Option<u64>) {
        let run = self.run;
        let contender = &mut self.contenders[who];
        match (call, reply) {
            (Call::Acquire { .. }, Reply::Acquired { last, .. }) => {
                contender.held = epoch.map(|epoch| Held {
                    epoch,
                    run,
                    sequence: 0,
                    last: *last,
                    unclear: None,
                });
            }
            (Call::Acquire { .. }, _) => contender.seen = None,
            (Call::Release { .. }, _) | (_, Reply::Word("FENCED" | "NOGROUP")) => contender.held = None,
            (Call::Commit { sequence, last, .. }, Reply::Word(word)) => {
                if let Some(held) = &mut contender.held {
                    held.unclear = None;
                    if *word != "BACK" {
                        (held.sequence, held.last) = (*sequence, *last);
                    }
                }
            }
            _ => {}
        }
        // Another run of the server, maybe another history.
        if contender.held.as_ref().is_some_and(|held| held.run != run) {
            contender.held = None;
        }
    }
    fn take(&mut self, who: usize, fate: Fate) -> Check {
        let contender = &self.contenders[who];
        let Some((words, since, run)) = contender.seen.clone().filter(|_| contender.held.is_none()) else {
            return Ok(());
        };
        if !words[0].is_empty() && words[0] != name(who) && self.now - since <= TTL {
            return Ok(());
        }
        let other = !self.model.owner.is_empty() && self.model.owner != name(who);
        let live = other && self.now - self.model.touched <= TTL && run == self.run;
        let call = Call::Acquire {
            member: name(who),
            expected: words,
        };
        let (free, before) = (self.model.owner.is_empty(), self.model.epoch);
        self.send(who, call, fate)?;
        let taken = self.model.epoch != before;
        prop_assert!(!(live && taken), "taken from a live owner");
        prop_assert!(
            !free || taken || matches!(fate, Fate::Late),
            "what is released is taken at once"
        );
        Ok(())
    }
    fn commit(&mut self, who: usize, more: i8, fate: Fate) -> Check {
        self.commits += 1;
        let output = format!("output {}", self.commits);
        let Some(held) = &mut self.contenders[who].held else {
            return Ok(());
        };
        let call = held.unclear.clone().unwrap_or_else(|| Call::Commit {
            member: name(who),
            epoch: held.epoch,
            sequence: held.sequence + 1,
            last: held.last.saturating_add_signed(more.into()).min(ENTRIES),
            notes: format!("notes with {output}"),
            output,
        });
        // Whatever the reply says, until it is there the end is unclear.
        held.unclear = Some(call.clone());
        self.send(who, call, fate)
    }
    fn apply(&mut self, op: Op) -> Check {
        match op {
            Op::Look(who) => {
                let words = self.server.state().words();
                let contender = &mut self.contenders[who];
                let same = |(seen, _, run): &([String; 3], u64, u64)| *seen == words && *run == self.run;
                if !contender.seen.as_ref().is_some_and(same) {
                    contender.seen = Some((words, self.now, self.run));
                }
            }
            Op::Take(who, fate) => self.take(who, fate)?,
            Op::Renew(who, fate) => {
                if let Some(epoch) = self.contenders[who].held.as_ref().map(|held| held.epoch) {
                    let member = name(who);
                    self.send(who, Call::Renew { member, epoch }, fate)?;
                }
            }
            Op::Commit(who, more, fate) => self.commit(who, more, fate)?,
            Op::Release(who, fate) => {
                if let Some(epoch) = self.contenders[who].held.as_ref().map(|held| held.epoch) {
                    let member = name(who);
                    self.send(who, Call::Release { member, epoch }, fate)?;
                }
            }
            Op::GiveUp(who) => self.contenders[who].held = None,
            Op::Arrive(pick) if !self.late.is_empty() => {
                let call = self.late.remove(usize::from(pick) % self.late.len());
                self.arrive(&call)?;
            }
            Op::Vanish(pick) if !self.late.is_empty() => {
                self.late.remove(usize::from(pick) % self.late.len());
            }
            Op::Arrive(_) | Op::Vanish(_) => {}
            Op::Pass(millis) => self.now += u64::from(millis),
            Op::Reset(to) => {
                let to = u64::from(to) % ENTRIES;
                if self.model.group.is_some() {
                    self.server.reset(to);
                    self.model.group = Some(to);
                }
            }
            Op::Save => self.saved = (self.model.clone(), self.server.save()),
            Op::Restart => {
                let highest = self.issued.last_key_value().map_or(0, |(epoch, _)| *epoch);
                self.server.restore(&self.saved.1, highest);
                self.model = self.saved.0.clone();
                self.run += 1;
                // Connections do not survive it.
                self.late.clear();
            }
        }
        Ok(())
    }
    /// Whoever ever owned it tries to commit: one at most may.
    fn everybody_commits(&mut self) -> Check {
        let mut stored = 0;
        for (epoch, member) in self.issued.clone() {
            let sequence = self.model.sequence + 1;
            let (last, output) = (self.model.last, format!("at last {epoch}"));
            let notes = String::new();
            let (reply, _) = self.arrive(&Call::Commit {
                member,
                epoch,
                sequence,
                last,
                notes,
                output,
            })?;
            stored += usize::from(reply == Reply::Word("OK"));
        }
        prop_assert!(stored <= 1, "{} can commit", stored);
        Ok(())
    }
}

#[test]
fn leases_do_what_the_model_says() {
    seeds::each(150, vec(op(), 1..150), |ops| {
        let mut world = World::new();
        for op in ops {
            world.apply(op)?;
        }
        world.everybody_commits()
    });
}
