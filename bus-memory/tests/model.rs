//! Random schedules against a simple model: who was told of which shard, what was published, what was stored.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use bus_core::{Backend, ErrorKind, Event, Room, Shard, Start};
use bus_memory::{Full, Memory, MemoryConfig};
use common::*;
use proptest::{collection::vec, prelude::*};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::advance;

const PARTITIONS: u32 = 4;
const MEMBERS: usize = 3;
const NOTES: [&str; 3] = ["", "a", "b"];

/// Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Op {
    Publish {
        partition: u32,
        count: u32,
    },
    Join(usize),
    Leave(usize),
    Crash(usize),
    Receive {
        member: usize,
        messages: usize,
    },
    Commit {
        member: usize,
        shard: usize,
        ahead: u128,
        notes: usize,
    },
    CommitBack {
        member: usize,
        shard: usize,
    },
    CommitStale {
        member: usize,
        shard: usize,
    },
    Release {
        member: usize,
        shard: usize,
    },
    Pause {
        member: usize,
        shard: usize,
        paused: bool,
    },
    Seek {
        member: usize,
        shard: usize,
        to: u128,
    },
    Reset {
        partition: u32,
        to: u128,
    },
    Advance(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let m = 0..MEMBERS;
    let s = 0..PARTITIONS as usize;
    prop_oneof![
        6 => (0..PARTITIONS, 1..9u32).prop_map(|(partition, count)| Op::Publish { partition, count }),
        2 => m.clone().prop_map(Op::Join),
        1 => m.clone().prop_map(Op::Leave),
        1 => m.clone().prop_map(Op::Crash),
        10 => (m.clone(), prop_oneof![Just(0), 1..6usize, Just(1000)])
            .prop_map(|(member, messages)| Op::Receive { member, messages }),
        5 => (m.clone(), s.clone(), 0..6u128, 0..3usize)
            .prop_map(|(member, shard, ahead, notes)| Op::Commit { member, shard, ahead, notes }),
        1 => (m.clone(), s.clone()).prop_map(|(member, shard)| Op::CommitBack { member, shard }),
        2 => (m.clone(), 0..20usize).prop_map(|(member, shard)| Op::CommitStale { member, shard }),
        2 => (m.clone(), s.clone()).prop_map(|(member, shard)| Op::Release { member, shard }),
        1 => (m.clone(), s.clone(), any::<bool>())
            .prop_map(|(member, shard, paused)| Op::Pause { member, shard, paused }),
        1 => (m, s, 0..12u128).prop_map(|(member, shard, to)| Op::Seek { member, shard, to }),
        1 => (0..PARTITIONS, 0..12u128).prop_map(|(partition, to)| Op::Reset { partition, to }),
        3 => (0..12_000u64).prop_map(Op::Advance),
    ]
}

/// A shard as its owner was told of it.
#[derive(Debug)]
struct Held {
    next: u128,
    losing: bool,
    paused: bool,
    /// A commit was fenced, or it was given up: `Lost` must follow.
    must_be_lost: bool,
    /// Given up or moved by the owner itself: fenced from there on.
    void: bool,
}

struct Seat {
    member: Member,
    held: BTreeMap<Shard, Held>,
    was: Vec<Shard>,
}

#[derive(Default)]
struct Model {
    /// How many records each partition holds: record `n` says `n`.
    ends: [u128; PARTITIONS as usize],
    stored: [(u128, &'static str); PARTITIONS as usize],
    /// The newest epoch that anybody was told of.
    epochs: [u64; PARTITIONS as usize],
    losses: usize,
}

struct World {
    memory: Memory,
    seats: [Option<Seat>; MEMBERS],
    model: Model,
}

impl World {
    async fn new(config: MemoryConfig) -> Self {
        let memory = bus_with(PARTITIONS, config).await;
        // The group and its positions exist before the first member of the schedule.
        join(&memory, "g").await.subscriber.close().await.unwrap();
        Self {
            memory,
            seats: [None, None, None],
            model: Model::default(),
        }
    }

    fn shard(&self, member: usize, shard: usize) -> Option<(usize, Shard)> {
        let held = &self.seats[member].as_ref()?.held;
        let shard = *held.keys().nth(shard % held.len().max(1))?;
        Some((member, shard))
    }

    async fn join(&mut self, at: usize) {
        if self.seats[at].is_none() {
            self.seats[at] = Some(Seat {
                member: join(&self.memory, "g").await,
                held: BTreeMap::new(),
                was: Vec::new(),
            });
        }
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Publish { partition, count } => {
                let end = &mut self.model.ends[partition as usize];
                let from = *end as u32;
                *end += u128::from(count);
                let receipts = publish(&self.memory, numbered(partition, from..from + count)).await;
                let positions = receipts.iter().map(|r| r.position.unwrap() as u32);
                assert!(positions.eq(from..from + count));
            }
            Op::Join(at) => self.join(at).await,
            Op::Leave(at) => {
                if let Some(mut seat) = self.seats[at].take() {
                    seat.member.subscriber.close().await.unwrap();
                    for shard in seat.held.keys() {
                        let error = seat.member.commit(*shard, 0).await.unwrap_err();
                        assert_eq!(error.kind(), ErrorKind::Fenced);
                    }
                }
            }
            Op::Crash(at) => drop(self.seats[at].take()),
            Op::Receive { member, messages } => {
                self.receive(member, messages).await;
            }
            Op::Commit {
                member,
                shard,
                ahead,
                notes,
            } => {
                if let Some((member, shard)) = self.shard(member, shard) {
                    let stored = self.model.stored[shard.partition as usize].0;
                    let end = self.model.ends[shard.partition as usize];
                    self.commit(member, shard, (stored + ahead).min(end), NOTES[notes])
                        .await;
                }
            }
            Op::CommitBack { member, shard } => {
                if let Some((member, shard)) = self.shard(member, shard) {
                    let stored = self.model.stored[shard.partition as usize].0;
                    if stored > 0 {
                        self.commit(member, shard, stored - 1, "").await;
                    }
                }
            }
            Op::CommitStale { member, shard } => {
                if let Some(seat) = &self.seats[member]
                    && let Some(shard) = seat.was.get(shard)
                {
                    let end = self.model.ends[shard.partition as usize];
                    let error = seat.member.commit(*shard, end).await.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Fenced);
                }
            }
            Op::Release { member, shard } => {
                if let Some((member, shard)) = self.shard(member, shard) {
                    let seat = self.seats[member].as_mut().unwrap();
                    seat.member.ack.release(shard).await.unwrap();
                    seat.void(shard);
                }
            }
            Op::Pause {
                member,
                shard,
                paused,
            } => {
                if let Some((member, shard)) = self.shard(member, shard) {
                    let seat = self.seats[member].as_mut().unwrap();
                    seat.member.subscriber.pause(shard, paused);
                    seat.held.get_mut(&shard).unwrap().paused = paused;
                }
            }
            Op::Seek { member, shard, to } => {
                if let Some((member, shard)) = self.shard(member, shard) {
                    let partition = shard.partition as usize;
                    let seat = self.seats[member].as_mut().unwrap();
                    let start = Start::Positions([(shard.partition, to)].into());
                    let result = seat.member.subscriber.seek(shard, start).await;
                    match result {
                        Ok(()) => {
                            assert!(!seat.held[&shard].void);
                            self.model.stored[partition] = (to.min(self.model.ends[partition]), "");
                        }
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Fenced),
                    }
                    seat.void(shard);
                }
            }
            Op::Reset { partition, to } => {
                let ends = self.model.ends;
                let to = to.min(ends[partition as usize]);
                let stored = self.model.stored;
                let positions =
                    (0..PARTITIONS).map(|p| (p, if p == partition { to } else { stored[p as usize].0 }));
                let start = Start::Positions(positions.collect());
                match self.memory.admin().reset("g", T, start).await {
                    Ok(()) => {
                        assert!(self.seats.iter().all(Option::is_none));
                        self.model.stored = stored.map(|(next, _)| (next, ""));
                        self.model.stored[partition as usize].0 = to;
                    }
                    // Somebody who crashed may still count.
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict),
                }
            }
            Op::Advance(millis) => advance(Duration::from_millis(millis)).await,
        }
    }

    async fn commit(&mut self, member: usize, shard: Shard, next: u128, notes: &'static str) {
        let seat = self.seats[member].as_mut().unwrap();
        let partition = shard.partition as usize;
        let (stored, _) = self.model.stored[partition];
        let result = seat.member.commit_with(shard, next, notes, vec![]).await;
        let held = seat.held.get_mut(&shard).unwrap();
        let current = self.model.epochs[partition] == shard.epoch && !held.void;
        match result {
            Ok(()) => {
                assert!(current, "a former owner settled");
                assert!(next >= stored, "the position went back");
                self.model.stored[partition] = (next, notes);
            }
            Err(error) if error.kind() == ErrorKind::Invalid => {
                assert!(current && next < stored, "refused without a reason: {error}");
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Fenced);
                held.must_be_lost = true;
                held.void = true;
            }
        }
    }

    /// One call, checked against the model; whether it brought anything.
    async fn receive(&mut self, at: usize, messages: usize) -> bool {
        let Some(seat) = &mut self.seats[at] else {
            return false;
        };
        let room = Room {
            messages,
            bytes: 1 << 20,
        };
        let events = seat.member.receive(room).await;
        assert!(records(&events).len() <= messages);
        for event in &events {
            seat.check(event, &mut self.model, messages);
        }
        if messages > 0 || events.is_empty() {
            // What is urgent is never held back.
            let unanswered = seat.held.iter().find(|(_, held)| held.must_be_lost);
            assert!(
                unanswered.is_none(),
                "fenced or released, and no `Lost`: {unanswered:?}"
            );
        }
        !events.is_empty()
    }

    /// Lets everything settle: then each partition has one owner, shares are even, and nothing is missing.
    async fn finish(&mut self) {
        self.join(0).await;
        for _ in 0..3 {
            advance(Duration::from_secs(30)).await;
            for at in 0..MEMBERS {
                let shards: Vec<Shard> = self.seats[at]
                    .iter()
                    .flat_map(|s| s.held.keys().copied())
                    .collect();
                for shard in shards {
                    let seat = self.seats[at].as_mut().unwrap();
                    seat.member.subscriber.pause(shard, false);
                    seat.held.get_mut(&shard).unwrap().paused = false;
                }
                while self.receive(at, 7).await {}
            }
        }
        let mut owners = [0; PARTITIONS as usize];
        let mut shares = Vec::new();
        for seat in self.seats.iter().flatten() {
            shares.push(seat.held.len());
            for (shard, held) in &seat.held {
                owners[shard.partition as usize] += 1;
                assert!(!held.losing && !held.void);
                assert_eq!(
                    held.next, self.model.ends[shard.partition as usize],
                    "read to the end"
                );
            }
        }
        assert_eq!(owners, [1; PARTITIONS as usize]);
        assert!(
            shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1,
            "{shares:?}"
        );
        let lag = self.memory.admin().lag("g").await.unwrap();
        let positions: Vec<u128> = lag.iter().map(|l| l.position).collect();
        assert_eq!(positions, self.model.stored.map(|(next, _)| next));
    }
}

impl Seat {
    fn void(&mut self, shard: Shard) {
        let held = self.held.get_mut(&shard).unwrap();
        held.void = true;
        held.must_be_lost = true;
    }

    fn check(&mut self, event: &Event, model: &mut Model, room: usize) {
        match event {
            Event::Gained {
                shard, next, notes, ..
            } => {
                let partition = shard.partition as usize;
                assert!(
                    shard.epoch > model.epochs[partition],
                    "an epoch that is not greater"
                );
                model.epochs[partition] = shard.epoch;
                let (stored, stored_notes) = model.stored[partition];
                assert_eq!((*next, &notes[..]), (stored, stored_notes.as_bytes()));
                assert!(
                    self.held.keys().all(|s| s.partition != shard.partition),
                    "gained twice"
                );
                let held = Held {
                    next: *next,
                    losing: false,
                    paused: false,
                    must_be_lost: false,
                    void: false,
                };
                self.held.insert(*shard, held);
            }
            Event::Records { shard, .. } => {
                assert!(room > 0);
                let held = self
                    .held
                    .get_mut(shard)
                    .expect("a record of a shard that is not owned");
                assert!(!held.losing, "a record after `Losing`");
                assert!(!held.paused, "a record of a paused shard");
                for (_, record) in records(std::slice::from_ref(event)) {
                    assert_eq!(record.position(), held.next, "a gap, or twice");
                    assert_eq!(record.payload().unwrap(), held.next.to_string().as_bytes());
                    held.next += 1;
                }
            }
            Event::Losing { shard, grace } => {
                let held = self.held.get_mut(shard).expect("losing what is not owned");
                assert!(!std::mem::replace(&mut held.losing, true), "twice");
                assert!(*grace <= Duration::from_secs(10));
            }
            Event::Lost(shard) => {
                assert!(self.held.remove(shard).is_some(), "lost without gained, or twice");
                self.was.push(*shard);
            }
            Event::DataLoss { shard, from, to } => {
                let held = self
                    .held
                    .get_mut(shard)
                    .expect("a loss of a shard that is not owned");
                assert_eq!(*from, held.next);
                assert!(to > from && *to <= model.ends[shard.partition as usize]);
                held.next = *to;
                model.losses += 1;
            }
            Event::CaughtUp(shard) => assert!(self.held.contains_key(shard) && room > 0),
            other => panic!("unexpected: {other:?}"),
        }
    }
}

fn play(config: MemoryConfig, ops: Vec<Op>) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(config).await;
        for op in ops {
            world.apply(op).await;
        }
        world.finish().await;
        world.model.losses
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_schedule_keeps_the_contract(ops in vec(op(), 1..120)) {
        let losses = play(MemoryConfig::default(), ops);
        prop_assert_eq!(losses, 0);
    }

    #[test]
    fn also_when_the_oldest_are_dropped(ops in vec(op(), 1..120)) {
        play(MemoryConfig::default().max_messages(25).when_full(Full::DropOldest), ops);
    }
}
