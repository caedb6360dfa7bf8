//! Lanes: one delivery of a key at a time. A table leads from a hash of (shard, key) to the lane's tail slot; the
//! slots themselves are linked. No key is stored or compared: keys with equal hashes share a lane, which only costs
//! parallelism. The table is as large as the window, not as the number of keys.

use hashbrown::HashTable;

/// The table of lanes that have something in flight.
#[derive(Debug, Default)]
pub struct Lanes {
    tails: HashTable<(u64, u32)>,
}

impl Lanes {
    /// The hash of a lane. A shard's number is mixed in by an odd multiplier, so that lanes die with their shard.
    pub fn hash(shard: u32, key_hash: u64) -> u64 {
        key_hash ^ u64::from(shard + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
    /// Puts `slot` at the lane's end; the slot in front of it, or `None` if it is the head.
    pub fn push(&mut self, lane: u64, slot: u32) -> Option<u32> {
        match self.tails.find_mut(lane, |(hash, _)| *hash == lane) {
            Some((_, tail)) => Some(std::mem::replace(tail, slot)),
            None => {
                self.tails.insert_unique(lane, (lane, slot), |(hash, _)| *hash);
                None
            }
        }
    }
    /// Ends the lane whose only slot was settled.
    pub fn remove(&mut self, lane: u64) {
        if let Ok(entry) = self.tails.find_entry(lane, |(hash, _)| *hash == lane) {
            entry.remove();
        }
    }
    /// Ends the lanes whose tail slot is not kept.
    pub fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        self.tails.retain(|(_, tail)| keep(*tail));
    }
    /// Lanes with something in flight.
    pub fn len(&self) -> usize {
        self.tails.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tails.is_empty()
    }
}
