//! The table of lanes against a queue for each hash. Slots are linked here as the flow links them.

use crate::seeds;
use bus_core::flow::lanes::Lanes;
use proptest::{collection::vec, prelude::*};
use std::collections::{BTreeMap, VecDeque};

#[derive(Clone, Debug)]
enum Op {
    /// A new slot goes to the end of the lane of this hash.
    Push(u64),
    /// The head of one of the lanes is settled.
    Settle(u8),
    /// The lanes of one shard of two die with it.
    Lose(bool),
}

/// Few, so that lanes grow long; equal in their upper or lower bits, so that the table's probes meet.
const HASHES: [u64; 6] = [0, 1, 1 << 63, u64::MAX, 0x8000_0000_0000_0001, 1 << 57];

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => prop::sample::select(&HASHES[..]).prop_map(Op::Push),
        6 => any::<u8>().prop_map(Op::Settle),
        1 => any::<bool>().prop_map(Op::Lose),
    ]
}

/// A lane belongs to one shard, because its hash does.
fn shard(hash: u64) -> bool {
    hash & 1 == 1
}

fn run(ops: Vec<Op>) -> Result<(), TestCaseError> {
    let mut lanes = Lanes::default();
    let mut model: BTreeMap<u64, VecDeque<u32>> = BTreeMap::new();
    let mut slots: Vec<u64> = Vec::new();
    // Who follows a slot: what the flow keeps in its slots.
    let mut followers: BTreeMap<u32, u32> = BTreeMap::new();
    for op in ops {
        match op {
            Op::Push(hash) => {
                let slot = slots.len() as u32;
                slots.push(hash);
                let before = model.entry(hash).or_default().back().copied();
                model.entry(hash).or_default().push_back(slot);
                prop_assert_eq!(lanes.push(hash, slot), before, "who stands before a new slot");
                followers.extend(before.map(|before| (before, slot)));
            }
            Op::Settle(pick) => {
                let Some(hash) = model.keys().nth(usize::from(pick) % model.len().max(1)).copied() else {
                    continue;
                };
                let head = model.get_mut(&hash).and_then(VecDeque::pop_front).unwrap();
                let heir = model[&hash].front().copied();
                prop_assert_eq!(followers.remove(&head), heir, "who becomes the head");
                if heir.is_none() {
                    model.remove(&hash);
                    lanes.remove(hash);
                }
            }
            Op::Lose(lost) => {
                model.retain(|hash, _| shard(*hash) != lost);
                lanes.retain(|slot| shard(slots[slot as usize]) != lost);
            }
        }
        prop_assert_eq!((lanes.len(), lanes.is_empty()), (model.len(), model.is_empty()));
    }
    Ok(())
}

#[test]
fn the_table_leads_to_the_tail_of_each_lane() {
    seeds::each(800, vec(op(), 1..150), run);
}

#[test]
fn shards_have_lanes_of_their_own() {
    seeds::each(
        2_000,
        (any::<u64>(), 0u32..1000, 0u32..1000),
        |(hash, one, other)| {
            prop_assert_eq!(one == other, Lanes::hash(one, hash) == Lanes::hash(other, hash));
            Ok(())
        },
    );
}
