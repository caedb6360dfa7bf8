//! Where messages without a key go.

/// Stays with one partition while requests are under way, so that they fill, and moves on when nothing is, so that
/// lone messages spread evenly.
#[derive(Debug)]
pub(super) struct Spread {
    partition: u32,
    messages: u32,
    bytes: usize,
}

/// After so many messages or bytes it moves on in any case.
const MESSAGES: u32 = 32;
const BYTES: usize = 16 * 1024;

impl Spread {
    /// Begins anywhere, so that many publishers do not all begin at partition 0.
    pub(super) fn new() -> Self {
        use std::hash::{BuildHasher, Hasher};
        let random = std::hash::RandomState::new().build_hasher().finish();
        Self {
            partition: random as u32,
            messages: 0,
            bytes: 0,
        }
    }
    /// The partition for a message of `size` bytes; `idle`: nothing is in flight to this topic.
    pub(super) fn next(&mut self, partitions: u32, size: usize, idle: bool) -> u32 {
        if idle || self.messages >= MESSAGES || self.bytes >= BYTES {
            self.partition = self.partition.wrapping_add(1);
            self.messages = 0;
            self.bytes = 0;
        }
        self.messages += 1;
        self.bytes += size;
        self.partition % partitions.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_messages_go_round_and_busy_ones_stay_a_while() {
        let mut spread = Spread::new();
        let lone: std::collections::BTreeSet<u32> = (0..4).map(|_| spread.next(4, 10, true)).collect();
        assert_eq!(lone.len(), 4);
        let first = spread.next(4, 10, true);
        assert!((0..30).all(|_| spread.next(4, 10, false) == first));
        let busy: std::collections::BTreeSet<u32> = (0..200).map(|_| spread.next(4, 10, false)).collect();
        assert_eq!(busy.len(), 4);
    }
}
