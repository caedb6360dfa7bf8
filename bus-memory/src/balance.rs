//! Who gets which partition: as few moves as it takes to share every topic evenly, and all topics together.

use crate::{
    group::{Board, Owner, Slot, State},
    hub::Hub,
    inbox::{Gain, Inbox, Notice},
    topic::Topic,
    wakes::Wakes,
};
use bus_core::{Shard, mutant};
use std::{collections::BTreeMap, sync::Arc};
use tokio::time::Instant;

/// What a member has of the topic in question, and of all topics. The least one is served first.
type Load = (usize, usize);

impl State {
    /// Gives away what is free, then asks members that have too much to let go of something.
    pub(crate) fn balance(&mut self, hub: &Hub, wakes: &mut Wakes) {
        let mut totals: BTreeMap<u64, usize> = BTreeMap::new();
        for (number, _) in self.members.iter().filter(|(_, m)| m.gone.is_none()) {
            totals.insert(*number, 0);
        }
        for owner in self.boards.values().flat_map(|b| &b.slots).filter_map(staying) {
            totals.entry(owner.member).and_modify(|n| *n += 1);
        }
        let mut boards = std::mem::take(&mut self.boards);
        for board in boards.values_mut() {
            self.give_free(hub, board, &mut totals, wakes);
        }
        for board in boards.values() {
            self.foresee(board, &mut totals);
        }
        // A fair share is never more than all partitions away.
        for _ in 0..boards.values().map(|b| b.slots.len()).sum() {
            let mut boards = boards.values_mut();
            if !boards.any(|board| self.move_one(hub, board, &mut totals, wakes)) {
                break;
            }
        }
        self.boards = boards;
        self.set_deadline(wakes);
    }

    fn give_free(&self, hub: &Hub, board: &mut Board, totals: &mut BTreeMap<u64, usize>, wakes: &mut Wakes) {
        let mut shares = self.shares(board, totals);
        let topic = board.topic.clone();
        for (slot, partition) in board.slots.iter_mut().zip(0..) {
            if slot.owner.is_some() {
                continue;
            }
            let Some(member) = least(&shares) else { return };
            add(&mut shares, totals, member);
            self.give(hub, slot, member, &topic, partition, wakes);
        }
    }

    /// Counts what is about to be released for whom it will go to.
    fn foresee(&self, board: &Board, totals: &mut BTreeMap<u64, usize>) {
        let mut shares = self.shares(board, totals);
        for _ in board.slots.iter().filter(|slot| leaving(slot)) {
            let Some(member) = least(&shares) else { return };
            add(&mut shares, totals, member);
        }
    }

    /// Takes one partition from the member that has most for the one that has least, if that evens things out.
    fn move_one(
        &self,
        hub: &Hub,
        board: &mut Board,
        totals: &mut BTreeMap<u64, usize>,
        wakes: &mut Wakes,
    ) -> bool {
        let mut shares = self.shares(board, totals);
        let held: BTreeMap<u64, usize> = shares.iter().map(|(m, load)| (*m, load.0)).collect();
        // The totals count what is foreseen in all topics, these shares do not yet.
        let mut foreseen = shares.clone();
        for _ in board.slots.iter().filter(|slot| leaving(slot)) {
            if let Some(member) = least(&foreseen) {
                foreseen.entry(member).and_modify(|load| load.0 += 1);
            }
        }
        shares = foreseen;
        let Some(to) = least(&shares) else { return false };
        let givers = shares.iter().filter(|(m, _)| held.get(m).is_some_and(|n| *n > 0));
        let Some((from, most)) = givers.max_by_key(|(m, load)| (**load, **m)) else {
            return false;
        };
        let least = shares[&to];
        let uneven = most.0 >= least.0 + 2 || (most.0 == least.0 + 1 && most.1 >= least.1 + 2);
        let from = *from;
        if !uneven {
            return false;
        }
        let topic = board.topic.clone();
        let stays = |slot: &Slot| staying(slot).is_some_and(|owner| owner.member == from);
        let Some(at) = board.slots.iter().rposition(stays) else {
            return false;
        };
        let (slot, partition) = (&mut board.slots[at], at as u32);
        let Some(member) = self.members.get(&from) else {
            return false;
        };
        totals.entry(from).and_modify(|n| *n -= 1);
        totals.entry(to).and_modify(|n| *n += 1);
        let Some(owner) = &mut slot.owner else {
            return false;
        };
        if member.inbox.take_back(owner.shard) {
            // It has not heard of it yet, so there is nothing to drain.
            slot.owner = None;
            self.give(hub, slot, to, &topic, partition, wakes);
        } else {
            let until = Instant::now() + hub.config.grace;
            owner.losing = Some(until);
            let shard = owner.shard;
            member.inbox.push(Notice::Losing { shard, until }, wakes);
        }
        true
    }

    /// The loads of the members that read this topic.
    fn shares(&self, board: &Board, totals: &BTreeMap<u64, usize>) -> BTreeMap<u64, Load> {
        let reads = |number: &u64| {
            let member = self.members.get(number);
            member.is_some_and(|m| m.topics.contains(&board.topic.name))
        };
        let loads = totals.iter().filter(|(number, _)| reads(number));
        let mut shares: BTreeMap<u64, Load> = loads.map(|(m, total)| (*m, (0, *total))).collect();
        for owner in board.slots.iter().filter_map(staying) {
            shares.entry(owner.member).and_modify(|load| load.0 += 1);
        }
        shares
    }

    fn give(
        &self,
        hub: &Hub,
        slot: &mut Slot,
        member: u64,
        topic: &Arc<Topic>,
        partition: u32,
        wakes: &mut Wakes,
    ) {
        if let Some(to) = self.members.get(&member)
            && let Some(index) = to.topics.iter().position(|name| *name == topic.name)
        {
            slot.give(hub, member, index as u32, topic, partition, &to.inbox, wakes);
        }
    }
}

impl Slot {
    /// Begins a new epoch with this owner, at the stored position.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn give(
        &mut self,
        hub: &Hub,
        member: u64,
        index: u32,
        topic: &Arc<Topic>,
        partition: u32,
        inbox: &Inbox,
        wakes: &mut Wakes,
    ) -> Shard {
        let shard = Shard {
            topic: index,
            partition,
            epoch: hub.number(),
        };
        if let Some(partition) = topic.partition(partition) {
            self.owner = Some(Owner {
                member,
                shard,
                losing: None,
                outputs: None,
            });
            let gain = Gain {
                shard,
                topic: topic.clone(),
                next: match mutant("reset-to-latest") {
                    true => partition.bounds().1,
                    false => self.next,
                },
                end: partition.bounds().1,
                partition,
                notes: self.notes.clone(),
            };
            inbox.push(Notice::Gained(gain), wakes);
        }
        shard
    }
}

fn staying(slot: &Slot) -> Option<&Owner> {
    slot.owner.as_ref().filter(|owner| owner.losing.is_none())
}

fn leaving(slot: &Slot) -> bool {
    slot.owner.as_ref().is_some_and(|owner| owner.losing.is_some())
}

fn least(shares: &BTreeMap<u64, Load>) -> Option<u64> {
    shares
        .iter()
        .min_by_key(|(m, load)| (**load, **m))
        .map(|(m, _)| *m)
}

fn add(shares: &mut BTreeMap<u64, Load>, totals: &mut BTreeMap<u64, usize>, member: u64) {
    shares.entry(member).and_modify(|load| {
        load.0 += 1;
        load.1 += 1;
    });
    totals.entry(member).and_modify(|n| *n += 1);
}
