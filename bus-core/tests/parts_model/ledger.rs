//! The ledger against a map from positions to what became of them.

use crate::seeds;
use bus_core::flow::ledger::Ledger;
use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Op {
    /// The next record, so many positions behind the last.
    Offer(u8),
    /// The same, settled by a former owner.
    Noted(u8),
    /// A record that was offered before, or lies before the start.
    Again(u8),
    /// One of all sequence numbers so far, settled or not, and of one that does not exist yet.
    Settle(u16),
    /// So many positions behind the end were removed.
    Skip(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let gap = || prop_oneof![3 => Just(0u8), 1 => 0u8..50];
    prop_oneof![
        6 => gap().prop_map(Op::Offer),
        2 => gap().prop_map(Op::Noted),
        1 => any::<u8>().prop_map(Op::Again),
        8 => any::<u16>().prop_map(Op::Settle),
        1 => any::<u8>().prop_map(Op::Skip),
    ]
}

struct Offered {
    seq: u64,
    slot: u32,
    settled: bool,
}

struct Model {
    end: u128,
    records: BTreeMap<u128, Offered>,
}

impl Model {
    fn next(&self) -> u128 {
        self.unsettled()
            .next()
            .map_or(self.end, |(position, _)| *position)
    }
    fn unsettled(&self) -> impl Iterator<Item = (&u128, &Offered)> {
        self.records.iter().filter(|(_, record)| !record.settled)
    }
    fn offer(&mut self, position: u128, settled: bool) -> u64 {
        let seq = self.records.len() as u64;
        let slot = seq as u32 * 7;
        self.records.insert(position, Offered { seq, slot, settled });
        self.end = position + 1;
        seq
    }
    /// What was offered from `next` on is what a ledger still knows.
    fn known(&self) -> impl Iterator<Item = (&u128, &Offered)> {
        self.records.range(self.next()..)
    }
    /// Neighbours in the log are in one run, whatever holes lie between their positions.
    fn runs(&self) -> Vec<(u128, u128)> {
        let mut runs: Vec<(u128, u128)> = Vec::new();
        let mut last = None;
        for (position, record) in self.known().filter(|(_, record)| record.settled) {
            match runs.last_mut() {
                Some(run) if last.is_some_and(|seq: u64| seq + 1 == record.seq) => run.1 = *position,
                _ => runs.push((*position, *position)),
            }
            last = Some(record.seq);
        }
        runs
    }
}

fn compare(ledger: &mut Ledger, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!((ledger.next(), ledger.end()), (model.next(), model.end));
    let known = model.known().count();
    prop_assert_eq!((ledger.len(), ledger.is_empty()), (known, known == 0));
    prop_assert_eq!(
        ledger.beyond(),
        model.known().filter(|(_, record)| record.settled).count()
    );
    prop_assert_eq!(ledger.settled_runs().collect::<Vec<_>>(), model.runs());
    prop_assert_eq!(ledger.runs(), model.runs().len());
    let expected: Vec<_> = model.unsettled().map(|(p, record)| (*p, record.slot)).collect();
    let unsettled: Vec<_> = ledger
        .unsettled()
        .map(|item| (item.position, item.slot))
        .collect();
    prop_assert_eq!(&unsettled, &expected);
    prop_assert_eq!(
        ledger.blocking().map(|item| item.position),
        expected.first().map(|(p, _)| *p)
    );
    let front = model.unsettled().next().map(|(_, record)| record.seq);
    prop_assert_eq!(ledger.front(), front.unwrap_or(model.records.len() as u64));
    for (position, record) in &model.records {
        let item = ledger.item_mut(record.seq).map(|item| item.position);
        let expected = (*position >= model.next()).then_some(*position);
        prop_assert_eq!(item, expected, "the item of sequence {}", record.seq);
    }
    prop_assert!(ledger.item_mut(model.records.len() as u64).is_none());
    Ok(())
}

fn run(start: u128, ops: Vec<Op>) -> Result<(), TestCaseError> {
    let mut ledger = Ledger::new(start);
    let mut model = Model {
        end: start,
        records: BTreeMap::new(),
    };
    for op in ops {
        let end = model.end;
        match op {
            Op::Offer(gap) => {
                let position = end + u128::from(gap);
                let seq = model.offer(position, false);
                prop_assert_eq!(ledger.offer(position, seq as u32 * 7), Some(seq));
            }
            Op::Noted(gap) => {
                model.offer(end + u128::from(gap), true);
                ledger.offer_settled(end + u128::from(gap));
            }
            Op::Again(back) => {
                let before = end.saturating_sub(1 + u128::from(back));
                prop_assert!(before >= end || ledger.offer(before, 1).is_none());
            }
            Op::Settle(pick) => {
                let seq = u64::from(pick) % (model.records.len() as u64 + 1);
                let before = model.next();
                if let Some(record) = model.records.values_mut().find(|record| record.seq == seq) {
                    record.settled = true;
                }
                prop_assert_eq!(ledger.settle(seq), model.next() != before, "whether `next` moved");
            }
            Op::Skip(ahead) => {
                model.end = end + u128::from(ahead);
                ledger.skip_to(model.end);
                ledger.skip_to(end.saturating_sub(u128::from(ahead)));
            }
        }
        compare(&mut ledger, &model)?;
    }
    Ok(())
}

#[test]
fn a_ledger_says_what_is_settled() {
    let starts = prop_oneof![Just(0u128), Just(7), Just((1u128 << 64) - 9), Just(1 << 100)];
    seeds::each(800, (starts, vec(op(), 1..120)), |(start, ops)| run(start, ops));
}
