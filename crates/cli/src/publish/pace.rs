//! An even rate: a message at a time, each at its moment, and no burst after a pause.

use std::{num::NonZeroU32, time::Duration};
use tokio::time::Instant;

/// What may be late and made up for: the timer's own grain, no more.
const SLACK: Duration = Duration::from_millis(5);

/// When the next message is due.
#[derive(Debug)]
pub(crate) struct Pace {
    step: Duration,
    next: Instant,
}

impl Pace {
    pub(crate) fn new(per_second: NonZeroU32, now: Instant) -> Self {
        Self {
            step: Duration::from_secs(1) / per_second.get(),
            next: now,
        }
    }
    /// When the next message is due.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }
    /// How many messages of at most `most` may go now.
    pub(crate) fn due(&mut self, now: Instant, most: usize) -> usize {
        self.next = self.next.max(now.checked_sub(SLACK).unwrap_or(now));
        let mut count = 0;
        while count < most && self.next <= now {
            self.next += self.step;
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evenly_and_without_a_burst() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pace = Pace::new(NonZeroU32::new(100).unwrap(), start);
        assert_eq!(pace.due(at(0), 1_000), 1);
        assert_eq!(pace.due(at(9), 1_000), 0);
        assert_eq!(pace.due(at(10), 1_000), 1);
        assert_eq!(pace.due(at(5_000), 1_000), 1, "a pause is not made up for");
        let mut fast = Pace::new(NonZeroU32::new(10_000).unwrap(), start);
        let sent: usize = (0..1_000).map(|ms| fast.due(at(ms), 1_000)).sum();
        assert!((9_900..=10_000).contains(&sent), "{sent}");
        assert_eq!(fast.due(at(1_000), 3), 3);
    }
}
