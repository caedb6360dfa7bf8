//! Wall time that follows tokio's clock, so that a test on a paused clock sees time pass in it too.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 UTC, now.
pub(crate) fn micros() -> i64 {
    micros_at(tokio::time::Instant::now().into_std())
}

/// Milliseconds since 1970 UTC, now, cut.
pub(crate) fn millis() -> i64 {
    micros().div_euclid(1000)
}

/// Microseconds since 1970 UTC at `tokio`, which is tokio's time now.
pub(crate) fn micros_at(tokio: Instant) -> i64 {
    let real = Instant::now();
    // Zero unless tokio's clock is paused: what it was advanced by, or held back, moves wall time as well.
    let ahead = in_micros(tokio.saturating_duration_since(real));
    let behind = in_micros(real.saturating_duration_since(tokio));
    let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => in_micros(since),
        Err(before) => -in_micros(before.duration()),
    };
    wall.saturating_add(ahead).saturating_sub(behind)
}

/// Milliseconds since 1970 UTC that are not before `wait` has passed.
pub(crate) fn millis_after(wait: Duration) -> i64 {
    // What was cut from either is rounded up: early is never.
    let at = micros().saturating_add(in_micros(wait)).saturating_add(1);
    at.saturating_add(999).div_euclid(1000)
}

/// Milliseconds since 1970 UTC that are not before `time`.
pub(crate) fn millis_of(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => in_micros(since).saturating_add(999).div_euclid(1000),
        Err(before) => -in_micros(before.duration()).div_euclid(1000),
    }
}

fn in_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_early() {
        assert_eq!(millis_of(UNIX_EPOCH + Duration::from_micros(1_500)), 2);
        assert_eq!(millis_of(UNIX_EPOCH - Duration::from_millis(2)), -2);
        let before = micros();
        assert!(millis_after(Duration::from_micros(1)) * 1000 > before);
        assert_eq!(millis_after(Duration::MAX), i64::MAX / 1000);
    }
}
