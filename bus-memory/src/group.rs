//! A group: its members, who owns what in which epoch, and the stored positions.

use crate::{
    hub::{Hub, changed},
    inbox::{Inbox, Notice},
    topic::Topic,
    wakes::Wakes,
};
use bus_core::{
    Bytes, Error, ErrorKind, GroupSpec, MemberSpec, Name, Result, Shard, Start, TopicLag, mutant,
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: Name,
    pub(crate) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) members: BTreeMap<u64, Member>,
    pub(crate) boards: BTreeMap<Name, Board>,
    /// The next time at which somebody's grace or session runs out.
    deadline: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) inbox: Arc<Inbox>,
    /// [`Shard::topic`] is the index.
    pub(crate) topics: Vec<Name>,
    /// Dropped without a word: what it owns is free at this time.
    pub(crate) gone: Option<Instant>,
}

/// One topic as the group knows it.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) topic: Arc<Topic>,
    pub(crate) slots: Vec<Slot>,
}

/// One partition as the group knows it: the stored position, with the notes that came with it, and the owner.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) next: u128,
    pub(crate) notes: Bytes,
    pub(crate) owner: Option<Owner>,
}

#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) member: u64,
    pub(crate) shard: Shard,
    /// Has to leave by then.
    pub(crate) losing: Option<Instant>,
    /// Outputs of the last commit in this epoch, so that the same commit again stores none twice.
    pub(crate) outputs: Option<u64>,
}

impl Group {
    pub(crate) fn new(name: Name) -> Self {
        Self {
            name,
            state: Mutex::default(),
        }
    }

    /// Adds a member. Topics that are new to the group begin at `start`, in all their partitions at once: nobody else
    /// reads them, so the member is their first owner now.
    pub(crate) fn join(
        &self,
        hub: &Hub,
        topics: &[Arc<Topic>],
        start: &Start,
        inbox: &Arc<Inbox>,
    ) -> Result<u64> {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        state.expire(hub, &mut wakes);
        let new = topics.iter().filter(|t| !state.boards.contains_key(&t.name));
        let new = new
            .map(|topic| Ok((topic.name.clone(), Board::new(topic, start)?)))
            .collect::<Result<Vec<_>>>()
            .map_err(|e| e.context(format_args!("group `{}`", self.name)))?;
        state.boards.extend(new);
        let number = hub.number();
        let member = Member {
            inbox: inbox.clone(),
            topics: topics.iter().map(|t| t.name.clone()).collect(),
            gone: None,
        };
        state.members.insert(number, member);
        state.balance(hub, &mut wakes);
        Ok(number)
    }

    /// Removes a member at once.
    pub(crate) fn leave(&self, hub: &Hub, member: u64) {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        state.remove(member);
        state.balance(hub, &mut wakes);
    }

    /// A member was dropped: it keeps what it owns until its session runs out, as a process that died would.
    pub(crate) fn vanish(&self, hub: &Hub, member: u64) {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        if let Some(member) = state.members.get_mut(&member) {
            member.gone = Some(Instant::now() + hub.config.session_timeout);
        }
        state.balance(hub, &mut wakes);
    }

    /// Acts on graces and sessions that have run out.
    pub(crate) fn tick(&self, hub: &Hub) {
        let mut wakes = Wakes::default();
        self.state.lock().expire(hub, &mut wakes);
    }

    /// Gives a shard up. One that is not owned any more is given up already.
    pub(crate) fn release(&self, hub: &Hub, member: u64, shard: Shard) {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        state.expire(hub, &mut wakes);
        let Some((inbox, _, slot)) = state.owned(member, shard) else {
            return;
        };
        slot.owner = None;
        inbox.lose(shard, &mut wakes);
        state.balance(hub, &mut wakes);
    }

    /// Moves a shard's stored position and begins a new epoch there. One that has to leave still has to.
    pub(crate) fn seek(&self, hub: &Hub, member: u64, shard: Shard, to: &Start) -> Result<()> {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        state.expire(hub, &mut wakes);
        let (inbox, topic, slot) = state.owned(member, shard).ok_or_else(|| not_owner(shard))?;
        let Some(partition) = topic.partition(shard.partition) else {
            return Err(not_owner(shard));
        };
        slot.next = partition.resolve(to, Some(slot.next))?;
        slot.notes = Bytes::new();
        let losing = slot.owner.take().and_then(|owner| owner.losing);
        inbox.lose(shard, &mut wakes);
        let shard = slot.give(
            hub,
            member,
            shard.topic,
            &topic,
            shard.partition,
            &inbox,
            &mut wakes,
        );
        if let (Some(until), Some(owner)) = (losing, &mut slot.owner) {
            owner.losing = Some(until);
            inbox.push(Notice::Losing { shard, until }, &mut wakes);
        }
        Ok(())
    }

    /// New partitions of a topic start at their beginning.
    pub(crate) fn grow(&self, hub: &Hub, topic: &Arc<Topic>, wakes: &mut Wakes) {
        let mut state = self.state.lock();
        let Some(board) = state.boards.get_mut(&topic.name) else {
            return;
        };
        let added = topic.count() as usize - board.slots.len();
        board
            .slots
            .extend(std::iter::repeat_with(|| Slot::new(0)).take(added));
        for member in state.members.values().filter(|m| m.topics.contains(&topic.name)) {
            member.inbox.push(changed(topic), wakes);
        }
        state.balance(hub, wakes);
    }

    pub(crate) fn drop_topic(&self, hub: &Hub, topic: &Name, wakes: &mut Wakes) {
        let mut state = self.state.lock();
        let Some(board) = state.boards.remove(topic) else {
            return;
        };
        for owner in board.slots.into_iter().filter_map(|slot| slot.owner) {
            if let Some(member) = state.members.get(&owner.member) {
                member.inbox.lose(owner.shard, wakes);
            }
        }
        for member in state.members.values_mut().filter(|m| m.topics.contains(topic)) {
            member.inbox.push(Notice::TopicLost(topic.clone()), wakes);
            // The index of the others stays; made anew, it is another topic, and not this member's.
            for name in member.topics.iter_mut().filter(|t| *t == topic) {
                *name = Name::from("");
            }
        }
        state.balance(hub, wakes);
    }

    /// Stored positions in a topic, if the group has read it.
    pub(crate) fn positions(&self, topic: &str) -> Option<Vec<u128>> {
        let state = self.state.lock();
        let board = state.boards.get(topic)?;
        Some(board.slots.iter().map(|slot| slot.next).collect())
    }

    pub(crate) fn has_members(&self, hub: &Hub) -> bool {
        self.tick(hub);
        !self.state.lock().members.is_empty()
    }

    /// Moves a group without members.
    pub(crate) fn reset(&self, hub: &Hub, topic: &Arc<Topic>, to: &Start) -> Result<()> {
        self.tick(hub);
        let mut state = self.state.lock();
        if !state.members.is_empty() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "group `{}` has live members; stop them before it is moved",
                    self.name
                ),
            ));
        }
        let board = match state.boards.remove(&topic.name) {
            Some(old) => Board {
                slots: (old.slots.iter().zip(topic.partitions()))
                    .map(|(slot, partition)| Ok(Slot::new(partition.resolve(to, Some(slot.next))?)))
                    .collect::<Result<_>>()?,
                topic: topic.clone(),
            },
            None => Board::new(topic, to)?,
        };
        state.boards.insert(topic.name.clone(), board);
        Ok(())
    }

    pub(crate) fn spec(&self, hub: &Hub) -> GroupSpec {
        self.tick(hub);
        let state = self.state.lock();
        let members = state.members.keys().map(|number| {
            let owned = state.boards.iter().flat_map(|(name, board)| {
                let owned = board
                    .slots
                    .iter()
                    .zip(0..)
                    .filter(|(slot, _)| slot.is_owned_by(*number));
                owned.map(|(_, partition)| (name.clone(), partition))
            });
            MemberSpec::new(format!("memory-{number}"), "", owned.collect())
        });
        let members = members.collect();
        GroupSpec::new(self.name.clone(), members, state.lag())
    }

    pub(crate) fn lag(&self) -> Vec<TopicLag> {
        self.state.lock().lag()
    }
}

impl State {
    pub(crate) fn owned(&mut self, member: u64, shard: Shard) -> Option<(Arc<Inbox>, Arc<Topic>, &mut Slot)> {
        let owner = self.members.get(&member)?;
        let board = self.boards.get_mut(owner.topics.get(shard.topic as usize)?)?;
        let slot = board.slots.get_mut(shard.partition as usize)?;
        let ours =
            |owner: &Owner| owner.member == member && owner.shard == shard || mutant("commit-unfenced");
        let topic = &board.topic;
        slot.owner
            .as_ref()
            .is_some_and(ours)
            .then(|| (owner.inbox.clone(), topic.clone(), slot))
    }

    pub(crate) fn expire(&mut self, hub: &Hub, wakes: &mut Wakes) {
        let Some(deadline) = self.deadline else { return };
        let now = Instant::now();
        if deadline > now {
            return;
        }
        let due = |at: &Instant| *at <= now;
        let gone = self
            .members
            .iter()
            .filter(|(_, m)| m.gone.as_ref().is_some_and(due));
        let gone: Vec<u64> = gone.map(|(number, _)| *number).collect();
        for number in gone {
            tracing::debug!(member = number, "session ran out: its partitions are free");
            self.remove(number);
        }
        for slot in self.boards.values_mut().flat_map(|b| &mut b.slots) {
            let late = |owner: &mut Owner| owner.losing.as_ref().is_some_and(due);
            if let Some(owner) = slot.owner.take_if(late)
                && let Some(member) = self.members.get(&owner.member)
            {
                member.inbox.lose(owner.shard, wakes);
            }
        }
        self.balance(hub, wakes);
    }

    fn remove(&mut self, member: u64) {
        self.members.remove(&member);
        for slot in self.boards.values_mut().flat_map(|b| &mut b.slots) {
            slot.owner.take_if(|owner| owner.member == member);
        }
    }

    /// Every parked member keeps the time, so it does not matter which of them are being polled.
    pub(crate) fn set_deadline(&mut self, wakes: &mut Wakes) {
        let graces = self.boards.values().flat_map(|b| &b.slots);
        let graces = graces.filter_map(|slot| slot.owner.as_ref()?.losing);
        let sessions = self.members.values().filter_map(|m| m.gone);
        self.deadline = graces.chain(sessions).min();
        for member in self.members.values() {
            member.inbox.set_deadline(self.deadline, wakes);
        }
    }

    fn lag(&self) -> Vec<TopicLag> {
        let of = |(name, board): (&Name, &Board)| {
            let partitions = board.topic.partitions();
            let slots = board.slots.iter().zip(partitions);
            let lag = slots.map(|(slot, partition)| {
                let log = partition.log.lock();
                let behind = log.count(slot.next);
                TopicLag::new(name.clone(), partition.number, slot.next, log.end(), behind)
            });
            lag.collect::<Vec<_>>()
        };
        self.boards.iter().flat_map(of).collect()
    }
}

impl Board {
    fn new(topic: &Arc<Topic>, start: &Start) -> Result<Self> {
        let partitions = topic.partitions();
        let slots = partitions.iter().map(|p| Ok(Slot::new(p.resolve(start, None)?)));
        Ok(Self {
            slots: slots.collect::<Result<_>>()?,
            topic: topic.clone(),
        })
    }
}

impl Slot {
    fn new(next: u128) -> Self {
        Self {
            next,
            notes: Bytes::new(),
            owner: None,
        }
    }
    pub(crate) fn is_owned_by(&self, member: u64) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.member == member)
    }
}

pub(crate) fn not_owner(shard: Shard) -> Error {
    Error::fenced(format_args!(
        "partition {} in epoch {}",
        shard.partition, shard.epoch
    ))
}
