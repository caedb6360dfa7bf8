//! What of a shard is settled: a ring of what was offered, in log order, whose settled front falls off.
//!
//! It counts by *delivery sequence*, because positions have holes, and speaks to the outside in positions.

use std::collections::VecDeque;

/// One offered record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its position.
    pub position: u128,
    /// Its slot while it is in flight.
    pub slot: u32,
    settled: bool,
}

/// The ledger of one shard.
#[derive(Clone, Debug)]
pub struct Ledger {
    ring: VecDeque<Item>,
    /// The sequence number of the ring's front.
    front: u64,
    /// One past the last offered position: without it `next` is wrong when the ring is empty.
    end: u128,
    /// Settled items in the ring, and in how many runs they lie: what notes cost.
    settled: usize,
    runs: usize,
}

impl Ledger {
    /// A ledger of a shard whose stored position is `next`.
    pub fn new(next: u128) -> Self {
        Self {
            ring: VecDeque::new(),
            front: 0,
            end: next,
            settled: 0,
            runs: 0,
        }
    }
    /// The first position that is not settled.
    pub fn next(&self) -> u128 {
        self.ring.front().map_or(self.end, |item| item.position)
    }
    /// One past the last offered position.
    pub fn end(&self) -> u128 {
        self.end
    }
    /// The sequence number of the oldest unsettled record, if there is one.
    pub fn front(&self) -> u64 {
        self.front
    }
    /// The oldest unsettled record.
    pub fn blocking(&self) -> Option<&Item> {
        self.ring.front()
    }
    /// Records from `next` to `end`, settled ones included.
    pub fn len(&self) -> usize {
        self.ring.len()
    }
    /// Whether everything offered is settled.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }
    /// Settled records beyond `next`.
    pub fn beyond(&self) -> usize {
        self.settled
    }
    /// Runs of settled records beyond `next`.
    pub fn runs(&self) -> usize {
        self.runs
    }
    /// Adds the next record of the log; its sequence number, or `None` for one that was offered before.
    pub fn offer(&mut self, position: u128, slot: u32) -> Option<u64> {
        if position < self.end {
            return None;
        }
        self.end = position + 1;
        self.ring.push_back(Item {
            position,
            slot,
            settled: false,
        });
        Some(self.front + self.ring.len() as u64 - 1)
    }
    /// Adds the next record of the log, settled by a former owner.
    pub fn offer_settled(&mut self, position: u128) {
        if let Some(seq) = self.offer(position, u32::MAX) {
            self.settle(seq);
        }
    }
    /// Nothing below `position` will ever be offered: it counts as settled.
    pub fn skip_to(&mut self, position: u128) {
        self.end = self.end.max(position);
    }
    /// The item of a sequence number that is still in the ring.
    pub fn item_mut(&mut self, seq: u64) -> Option<&mut Item> {
        self.ring.get_mut(seq.checked_sub(self.front)? as usize)
    }
    /// Settles one record; true if `next` moved.
    pub fn settle(&mut self, seq: u64) -> bool {
        let Some(at) = seq.checked_sub(self.front).map(|i| i as usize) else {
            return false;
        };
        let settled = |i: usize, ring: &VecDeque<Item>| ring.get(i).is_some_and(|item| item.settled);
        let (before, after) = (at > 0 && settled(at - 1, &self.ring), settled(at + 1, &self.ring));
        match self.ring.get_mut(at) {
            Some(item) if !item.settled => item.settled = true,
            _ => return false,
        }
        if at > 0 {
            self.settled += 1;
            self.runs = self.runs + 1 - usize::from(before) - usize::from(after);
            return false;
        }
        self.ring.pop_front();
        self.front += 1;
        // A run that begins right behind the front falls off whole.
        self.runs -= usize::from(after);
        while self.ring.front().is_some_and(|item| item.settled) {
            self.ring.pop_front();
            self.front += 1;
            self.settled -= 1;
        }
        true
    }
    /// Runs of settled records beyond `next`, as first and last position.
    pub fn settled_runs(&self) -> impl Iterator<Item = (u128, u128)> + '_ {
        let mut items = self.ring.iter().peekable();
        std::iter::from_fn(move || {
            let first = items.find(|item| item.settled)?.position;
            let mut last = first;
            while let Some(item) = items.next_if(|item| item.settled) {
                last = item.position;
            }
            Some((first, last))
        })
    }
    /// Unsettled records, in log order.
    pub fn unsettled(&self) -> impl Iterator<Item = &Item> + '_ {
        self.ring.iter().filter(|item| !item.settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_is_the_first_unsettled_in_any_order_of_acks() {
        let mut ledger = Ledger::new(10);
        assert_eq!(ledger.next(), 10);
        let seqs: Vec<_> = [10, 12, 13, 20].map(|p| ledger.offer(p, 0).unwrap()).into();
        assert_eq!(ledger.offer(13, 0), None, "offered before");
        assert!(!ledger.settle(seqs[2]));
        assert_eq!((ledger.next(), ledger.beyond(), ledger.runs()), (10, 1, 1));
        assert!(ledger.settle(seqs[0]));
        assert_eq!(ledger.next(), 12);
        assert_eq!(ledger.settled_runs().collect::<Vec<_>>(), [(13, 13)]);
        assert!(ledger.settle(seqs[1]));
        assert_eq!((ledger.next(), ledger.beyond(), ledger.runs()), (20, 0, 0));
        assert!(!ledger.settle(seqs[1]), "harmless the second time");
        assert!(ledger.settle(seqs[3]));
        assert_eq!(ledger.next(), 21, "one past the last offered");
    }
}
