//! Which record is the how-many-eth: what a consumer group's `entries-read` wants to know, and how removed records are
//! noticed. Ids have holes, so only counting tells.

use std::collections::VecDeque;

/// Positions remembered at most; a reader that never commits must not fill the memory.
const MOST: usize = 512 * 1024;

/// The positions that were read and are not settled, and how many came before them.
#[derive(Debug, Default)]
pub(crate) struct Ordinals {
    /// Entries ever added before the first remembered one; unknown after a start in the middle.
    base: Option<u64>,
    blocks: VecDeque<Vec<u128>>,
    len: usize,
}

impl Ordinals {
    /// So many entries came before what will be read.
    pub(crate) fn new(base: Option<u64>) -> Self {
        Self {
            base,
            ..Self::default()
        }
    }
    /// These were read, in order.
    pub(crate) fn read(&mut self, positions: Vec<u128>) {
        self.len += positions.len();
        self.blocks.push_back(positions);
        while self.len > MOST && self.blocks.len() > 1 {
            self.drop_front();
        }
    }
    fn drop_front(&mut self) {
        if let Some(block) = self.blocks.pop_front() {
            self.len -= block.len();
            self.base = self.base.map(|b| b + block.len() as u64);
        }
    }
    /// Everything before `next` is settled and may be forgotten.
    pub(crate) fn settle(&mut self, next: u128) {
        while self
            .blocks
            .front()
            .is_some_and(|b| b.last().is_some_and(|last| *last < next))
        {
            self.drop_front();
        }
    }
    /// How many entries were ever added before `position`, as far as that is known.
    pub(crate) fn before(&self, position: u128) -> Option<u64> {
        let first = self.blocks.front().and_then(|b| b.first());
        if first.is_some_and(|first| position < *first) {
            return None;
        }
        self.base.map(|base| base + self.read_before(position) as u64)
    }
    fn read_before(&self, position: u128) -> usize {
        let mut count = 0;
        for block in &self.blocks {
            let within = block.partition_point(|p| *p < position);
            count += within;
            if within < block.len() {
                break;
            }
        }
        count
    }
    /// How many entries were ever added up to the last that was read.
    pub(crate) fn total(&self) -> Option<u64> {
        self.base.map(|base| base + self.len as u64)
    }
    /// The last remembered position below `position`.
    pub(crate) fn last_before(&self, position: u128) -> Option<u128> {
        let found = self
            .blocks
            .iter()
            .rev()
            .find(|b| b.first().is_some_and(|first| *first < position))?;
        found
            .get(found.partition_point(|p| *p < position).checked_sub(1)?)
            .copied()
    }
    /// So many were ever added up to the last that was read.
    pub(crate) fn resync(&mut self, total: u64) {
        self.base = total.checked_sub(self.len as u64).or(self.base);
    }
    /// So many more were added than were seen.
    pub(crate) fn skip(&mut self, missing: u64) {
        self.base = self.base.map(|base| base + missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_counted_across_blocks() {
        let mut ordinals = Ordinals::new(Some(10));
        ordinals.read(vec![100, 101, 105]);
        ordinals.read(vec![200, 300]);
        assert_eq!(ordinals.before(100), Some(10));
        assert_eq!(ordinals.before(102), Some(12));
        assert_eq!(ordinals.before(200), Some(13));
        assert_eq!(ordinals.before(999), Some(15));
        assert_eq!(ordinals.before(99), None, "what came before is not remembered");
        assert_eq!(ordinals.last_before(200), Some(105));
        assert_eq!(ordinals.last_before(100), None);
        ordinals.settle(106);
        assert_eq!((ordinals.before(250), ordinals.total()), (Some(14), Some(15)));
        assert_eq!(Ordinals::new(None).before(5), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut ordinals = Ordinals::new(Some(0));
        for block in 0..1024u128 {
            ordinals.read((block * 1024..(block + 1) * 1024).collect());
        }
        assert!(ordinals.len <= MOST);
        assert_eq!(ordinals.total(), Some(1 << 20));
    }
}
