//! Wall time that follows tokio's clock, so that a test on a paused clock sees time pass in timestamps too.

use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;

/// How old the offset may get, in microseconds: bounds the error after a suspend or a corrected clock.
const FRESH: i64 = 1_000_000;

/// One clock read an answer; wall time is looked at once a second.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    offset: AtomicI64,
    checked: AtomicI64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let clock = Self {
            start: Instant::now(),
            offset: AtomicI64::new(0),
            checked: AtomicI64::new(0),
        };
        clock.set(0);
        clock
    }

    /// Milliseconds since 1970 UTC.
    pub(crate) fn millis(&self) -> i64 {
        let elapsed = micros(self.start.elapsed());
        if elapsed - self.checked.load(Relaxed) > FRESH {
            self.set(elapsed);
        }
        (self.offset.load(Relaxed) + elapsed).div_euclid(1000)
    }

    fn set(&self, elapsed: i64) {
        let tokio = Instant::now().into_std();
        let real = std::time::Instant::now();
        // Zero unless tokio's clock is paused: what it was advanced by, or held back, moves wall time as well.
        let ahead = micros(tokio.saturating_duration_since(real));
        let behind = micros(real.saturating_duration_since(tokio));
        let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => -micros(before.duration()),
        };
        self.offset.store(wall + ahead - behind - elapsed, Relaxed);
        self.checked.store(elapsed, Relaxed);
    }
}

/// Milliseconds since 1970 UTC of a time that a caller gave, rounded up: what is not before it.
pub(crate) fn millis_of(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => micros(since).div_euclid(1000) + i64::from(since.subsec_nanos() % 1_000_000 != 0),
        Err(before) => -micros(before.duration()).div_euclid(1000),
    }
}

fn micros(duration: Duration) -> i64 {
    // On every publish: 64 bits are enough, and cheaper than the 128 of `as_micros`.
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    seconds
        .saturating_mul(1_000_000)
        .saturating_add(i64::from(duration.subsec_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn follows_the_paused_clock() {
        let clock = Clock::new();
        let before = clock.millis();
        tokio::time::advance(Duration::from_secs(3600)).await;
        let passed = clock.millis() - before;
        assert!((3_599_900..=3_600_100).contains(&passed), "{passed}");
    }

    #[test]
    fn a_given_time_is_rounded_up() {
        assert_eq!(millis_of(UNIX_EPOCH + Duration::from_micros(1_500)), 2);
        assert_eq!(millis_of(UNIX_EPOCH + Duration::from_millis(2)), 2);
        assert_eq!(millis_of(UNIX_EPOCH - Duration::from_millis(2)), -2);
    }
}
