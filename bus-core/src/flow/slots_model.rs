//! Slots and marks against sets: what is taken and free, what is marked and not yet taken in, who is to be woken.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../tests/parts_model/seeds.rs"]
mod seeds;

use super::{Marks, Slab, State, Verdict};
use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use std::collections::{BTreeMap, BTreeSet};

/// More than one word of bits.
const SLOTS: usize = 70;

#[derive(Clone, Debug)]
enum Op {
    Take(u8),
    Ack(u8),
    Settle(u8),
    Follow(u8, bool),
    Lose(u8, bool),
    Park(u8),
    TakeIn,
}

fn op() -> impl Strategy<Value = Op> {
    let pick = any::<u8>;
    prop_oneof![
        6 => pick().prop_map(Op::Take),
        6 => pick().prop_map(Op::Ack),
        3 => pick().prop_map(Op::Settle),
        2 => (pick(), any::<bool>()).prop_map(|(slot, on)| Op::Follow(slot, on)),
        1 => (pick(), any::<bool>()).prop_map(|(slot, on)| Op::Lose(slot, on)),
        3 => prop_oneof![0u8..4, Just(u8::MAX)].prop_map(Op::Park),
        2 => Just(Op::TakeIn),
    ]
}

#[derive(Default)]
struct Model {
    /// With the shard and the stamp that tells its use from the last one.
    taken: BTreeMap<u32, (u32, u64)>,
    stamps: BTreeSet<u64>,
    acked: BTreeSet<u32>,
    verdicts: Vec<u32>,
    followed: BTreeSet<u32>,
    lost: BTreeSet<u32>,
    parked: u32,
}

impl Model {
    fn marked(&mut self, slot: u32) -> bool {
        let before = self.parked;
        self.parked = match self.followed.contains(&slot) {
            true => 0,
            false => before.saturating_sub(1),
        };
        before != 0 && self.parked == 0
    }
    /// One that is out and not marked: a delivery settles once.
    fn pick(&self, pick: u8) -> Option<u32> {
        let open = |slot: &&u32| !self.acked.contains(slot) && !self.verdicts.contains(slot);
        let open: Vec<_> = self.taken.keys().filter(open).collect();
        open.get(usize::from(pick) % open.len().max(1)).map(|slot| **slot)
    }
    fn release(&mut self, slot: u32, slab: &mut Slab) {
        self.taken.remove(&slot);
        slab.free(slot);
    }
}

fn toggle(set: &mut BTreeSet<u32>, slot: u32, on: bool) {
    if on {
        set.insert(slot);
    } else {
        set.remove(&slot);
    }
}

fn apply(op: Op, marks: &Marks, slab: &mut Slab, model: &mut Model) -> Result<(), TestCaseError> {
    match op {
        Op::Take(shard) => {
            let Some(slot) = slab.take() else {
                prop_assert_eq!(model.taken.len(), SLOTS);
                return Ok(());
            };
            let (shard, stamp) = (u32::from(shard % 3), slab[slot].stamp);
            (slab[slot].shard, slab[slot].state) = (shard, State::Out);
            prop_assert!(model.stamps.insert(stamp), "a stamp comes once");
            prop_assert!(model.taken.insert(slot, (shard, stamp)).is_none(), "it was free");
        }
        Op::Ack(pick) => {
            if let Some(slot) = model.pick(pick) {
                prop_assert_eq!(marks.ack(slot), model.marked(slot), "whether to wake");
                model.acked.insert(slot);
            }
        }
        Op::Settle(pick) => {
            if let Some(slot) = model.pick(pick) {
                let wakes = marks.settle(slot, Verdict::Dropped);
                prop_assert_eq!(wakes, model.marked(slot), "whether to wake");
                model.verdicts.push(slot);
            }
        }
        Op::Follow(slot, on) => {
            let slot = u32::from(slot) % SLOTS as u32;
            marks.set_followed(slot, on);
            toggle(&mut model.followed, slot, on);
        }
        Op::Lose(slot, on) => {
            let slot = u32::from(slot) % SLOTS as u32;
            marks.set_lost(slot, on);
            toggle(&mut model.lost, slot, on);
        }
        Op::Park(many) => {
            model.parked = match many {
                u8::MAX => u32::MAX,
                many => many.into(),
            };
            marks.park(model.parked);
        }
        Op::TakeIn => {
            let words = (0..marks.words()).map(|word| (word, marks.take_acked(word)));
            let bits =
                words.flat_map(|(word, bits)| (0..64).map(move |bit| (word * 64 + bit, bits >> bit & 1)));
            let acked: BTreeSet<_> = bits
                .filter(|(_, bit)| *bit == 1)
                .map(|(slot, _)| slot as u32)
                .collect();
            prop_assert_eq!(&acked, &std::mem::take(&mut model.acked));
            acked.iter().for_each(|slot| model.release(*slot, slab));
            let verdicts: Vec<_> = marks.take_verdicts().into_iter().map(|(slot, _)| slot).collect();
            prop_assert_eq!(&verdicts, &std::mem::take(&mut model.verdicts));
            verdicts.iter().for_each(|slot| model.release(*slot, slab));
        }
    }
    prop_assert_eq!(marks.any(), !model.acked.is_empty() || !model.verdicts.is_empty());
    prop_assert_eq!(slab.used(), model.taken.len());
    for slot in 0..SLOTS as u32 {
        prop_assert_eq!(marks.is_lost(slot), model.lost.contains(&slot));
    }
    for shard in 0..3 {
        let of_shard = model.taken.iter().filter(|(_, (of, _))| *of == shard);
        let expected: Vec<_> = of_shard.map(|(slot, _)| *slot).collect();
        prop_assert_eq!(slab.of_shard(shard).collect::<Vec<_>>(), expected);
    }
    Ok(())
}

#[test]
fn slots_and_marks_are_sets() {
    seeds::each(500, vec(op(), 1..250), |ops| {
        let (marks, mut slab, mut model) = (Marks::new(SLOTS), Slab::new(SLOTS), Model::default());
        for op in ops {
            apply(op, &marks, &mut slab, &mut model)?;
        }
        Ok(())
    });
}
