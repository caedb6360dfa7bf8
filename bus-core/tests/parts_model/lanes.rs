//! Lanes as the flow uses them, against a queue for each key: heads only, whatever is settled in whatever order, with
//! keys whose hashes are equal, and with deliveries whose shard is taken while they and their successors are about.

use crate::seeds;
use bus_core::{
    Batch, Bytes, Entry, Event, Limits, Retry, Shard, Span,
    flow::{Claims, Flow, FlowConfig, Now, Verdict},
};
use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

const WINDOW: usize = 24;
/// Of the keys: the second and the third collide; 0 is no key.
const HASHES: [u64; 4] = [0, 5, 5, u64::MAX];

#[derive(Clone, Debug)]
enum Op {
    /// Records with these keys arrive in one of two partitions.
    Records(bool, Vec<u8>),
    /// So many are handed out, if there are as many.
    Lend(u8),
    /// One that is out is acknowledged.
    Ack(u8),
    /// One that is out fails and may run again at once.
    Nack(u8),
    /// One that is out goes to the dead letters, of which there are none: it is skipped.
    Reject(u8),
    /// The partition is taken, and gained again behind everything it had.
    Lose(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (any::<bool>(), vec(0u8..4, 1..10)).prop_map(|(p, keys)| Op::Records(p, keys)),
        6 => prop_oneof![0u8..4, Just(u8::MAX)].prop_map(Op::Lend),
        8 => any::<u8>().prop_map(Op::Ack),
        3 => any::<u8>().prop_map(Op::Nack),
        1 => any::<u8>().prop_map(Op::Reject),
        1 => any::<bool>().prop_map(Op::Lose),
    ]
}

type Address = (Shard, u128);

/// Lanes by shard and hash; what has no key has a lane of its own.
#[derive(Default)]
struct Model {
    lanes: BTreeMap<(Shard, u64, u128), VecDeque<u128>>,
    out: BTreeSet<Address>,
}

impl Model {
    fn heads(&self) -> BTreeSet<Address> {
        let head =
            |((shard, ..), lane): (&(Shard, u64, u128), &VecDeque<u128>)| Some((*shard, *lane.front()?));
        self.lanes.iter().filter_map(head).collect()
    }
    fn settle(&mut self, address: Address) {
        self.out.remove(&address);
        for (_, lane) in self
            .lanes
            .iter_mut()
            .filter(|((shard, ..), _)| *shard == address.0)
        {
            if lane.front() == Some(&address.1) {
                lane.pop_front();
            }
        }
    }
}

struct World {
    flow: Flow,
    now: Now,
    reader: usize,
    claims: Arc<Claims>,
    shards: [Shard; 2],
    ends: [u128; 2],
    /// Slots that are out, those of shards that were taken included.
    out: Vec<(u32, Address)>,
    model: Model,
}

impl World {
    fn new() -> Self {
        let limits = Limits {
            notes: 1 << 16,
            message: 1 << 20,
            outputs: 100,
        };
        let mut settings = FlowConfig::new("g".into(), limits);
        settings.in_flight = WINDOW;
        settings.retry = Retry::fixed(Duration::ZERO).max_retries(1 << 20);
        let mut flow = Flow::new(settings);
        let (reader, claims) = flow.add_reader();
        let now = Now {
            mono: Instant::now(),
            wall: 1_700_000_000_000,
        };
        let shards = [0, 1].map(|partition| Shard {
            topic: 0,
            partition,
            epoch: 1,
        });
        let mut world = Self {
            flow,
            now,
            reader,
            claims,
            shards,
            ends: [0; 2],
            out: Vec::new(),
            model: Model::default(),
        };
        (0..2).for_each(|partition| world.gain(partition));
        world
    }
    fn gain(&mut self, partition: usize) {
        let gained = Event::Gained {
            shard: self.shards[partition],
            topic: "t".into(),
            next: self.ends[partition],
            notes: Bytes::new(),
        };
        self.flow.input(gained, self.now);
    }
    fn records(&mut self, partition: usize, keys: &[u8]) {
        let room = WINDOW - self.flow.in_flight();
        let shard = self.shards[partition];
        let mut entries = Vec::new();
        for key in keys.iter().take(room) {
            let position = self.ends[partition];
            self.ends[partition] += 1;
            let key_hash = HASHES[usize::from(*key)];
            let (span, alone) = match key {
                0 => (Span::ABSENT, position),
                _ => (Span::new(usize::from(*key), 1), u128::MAX),
            };
            entries.push(Entry {
                position,
                timestamp: 0,
                key_hash,
                key: span,
                payload: Span::ABSENT,
                headers: Span::ABSENT,
            });
            let lane = self.model.lanes.entry((shard, key_hash, alone)).or_default();
            lane.push_back(position);
        }
        let range = 0..entries.len() as u32;
        let batch = Arc::new(Batch::new(Bytes::from_static(b"0123"), entries));
        self.flow.input(Event::Records { shard, batch, range }, self.now);
    }
    fn lend(&mut self, most: usize) -> Result<(), TestCaseError> {
        self.flow.step(self.now);
        let mut handouts = Vec::new();
        self.flow.lend(self.reader, most, &mut handouts);
        let heads = self.model.heads();
        let free: BTreeSet<_> = heads.difference(&self.model.out).copied().collect();
        prop_assert_eq!(handouts.len(), free.len().min(most), "free heads: {:?}", free);
        let lent = handouts.len();
        for handout in handouts {
            prop_assert!(self.claims.claim(lent).is_some());
            let address = (handout.shard, handout.record.position());
            prop_assert!(
                free.contains(&address),
                "{:?} is no free head of {:?}",
                address,
                free
            );
            prop_assert!(self.model.out.insert(address), "{:?} is out twice", address);
            self.out.push((handout.slot, address));
        }
        Ok(())
    }
    /// One of those that are out, and whether it still counts.
    fn take(&mut self, pick: u8) -> Option<(u32, Option<Address>)> {
        let (slot, address) = match self.out.len() {
            0 => return None,
            out => self.out.swap_remove(usize::from(pick) % out),
        };
        Some((slot, self.shards.contains(&address.0).then_some(address)))
    }
    fn settle(&mut self, pick: u8, verdict: Verdict) {
        let Some((slot, ours)) = self.take(pick) else {
            return;
        };
        match (ours, &verdict) {
            (Some(address), Verdict::Nack { .. }) => drop(self.model.out.remove(&address)),
            (Some(address), _) => self.model.settle(address),
            (None, _) => {}
        }
        self.flow.marks().settle(slot, verdict);
    }
    fn lose(&mut self, partition: usize) {
        let shard = self.shards[partition];
        self.model.lanes.retain(|(of, ..), _| *of != shard);
        self.model.out.retain(|(of, _)| *of != shard);
        self.flow.input(Event::Lost(shard), self.now);
        self.shards[partition].epoch += 1;
        self.gain(partition);
    }
    fn apply(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Records(partition, keys) => self.records(usize::from(partition), &keys),
            Op::Lend(most) => self.lend(usize::from(most))?,
            Op::Ack(pick) => {
                if let Some((slot, ours)) = self.take(pick) {
                    if let Some(address) = ours {
                        self.model.settle(address);
                    }
                    self.flow.marks().ack(slot);
                }
            }
            Op::Nack(pick) => {
                let (after, error) = (Some(Duration::ZERO), None);
                self.settle(pick, Verdict::Nack { after, error });
            }
            Op::Reject(pick) => {
                let (reason, error) = ("rejected", String::new());
                self.settle(pick, Verdict::Reject { reason, error });
            }
            Op::Lose(partition) => self.lose(usize::from(partition)),
        }
        Ok(())
    }
}

fn run(ops: Vec<Op>) -> Result<(), TestCaseError> {
    let mut world = World::new();
    for op in ops {
        world.apply(op)?;
        prop_assert!(world.flow.take_failure().is_none());
    }
    // Whatever happened, what is left runs to its end.
    for _ in 0..=WINDOW {
        world.lend(usize::MAX)?;
        while !world.out.is_empty() {
            world.apply(Op::Ack(0))?;
        }
    }
    world.flow.step(world.now);
    prop_assert_eq!(world.flow.in_flight(), 0, "everything was handed out and settled");
    prop_assert!(world.model.lanes.values().all(VecDeque::is_empty));
    Ok(())
}

#[test]
fn only_the_head_of_a_lane_is_out() {
    seeds::each(400, vec(op(), 1..120), run);
}
