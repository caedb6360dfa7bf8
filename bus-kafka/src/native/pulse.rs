//! When the coordinator of a consumer's group last answered it.

use super::intercept::Witness;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// OffsetCommit, JoinGroup, Heartbeat, SyncGroup, ConsumerGroupHeartbeat: what a member asks its coordinator.
const KEYS: [i16; 5] = [8, 11, 12, 14, 68];

#[derive(Debug)]
pub(super) struct Pulse {
    epoch: Instant,
    /// Milliseconds since `epoch`.
    heard: AtomicU64,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            heard: AtomicU64::new(0),
        }
    }
    /// When the latest request that has an answer was sent: from then on a coordinator counts the session at the least.
    pub(super) fn heard(&self) -> Instant {
        self.epoch + Duration::from_millis(self.heard.load(Ordering::Acquire))
    }
}

impl Witness for Pulse {
    fn sent(&self, _: i16) {}
    fn answered(&self, key: i16, after: Duration) {
        if KEYS.contains(&key) {
            let sent = self.epoch.elapsed().saturating_sub(after);
            self.heard.fetch_max(sent.as_millis() as u64, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_from_when_its_request_was_sent() {
        let pulse = Pulse::new();
        let begin = pulse.heard();
        std::thread::sleep(Duration::from_millis(30));
        // What brokers answer about records is no word of the coordinator's.
        pulse.answered(1, Duration::ZERO);
        assert_eq!(pulse.heard(), begin);
        pulse.answered(11, Duration::from_secs(5));
        assert_eq!(pulse.heard(), begin);
        pulse.answered(12, Duration::from_millis(5));
        let heard = pulse.heard();
        assert!(heard >= begin + Duration::from_millis(25), "{:?}", heard - begin);
        // An answer that comes later to a question that was asked earlier says nothing new.
        pulse.answered(8, Duration::from_secs(20));
        assert_eq!(pulse.heard(), heard);
    }
}
