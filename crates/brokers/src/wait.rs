//! Waiting for something to become true: polled often, never longer than a deadline.

use std::time::{Duration, Instant};

/// How often to look. Short against a server's start (a Redis needs about 10 ms), long against one look.
const EVERY: Duration = Duration::from_millis(15);

/// Looks until `look` finds something or `limit` is over; the last thing to look is always after the limit, so a
/// process that was itself paused does not give up without having looked.
pub(crate) fn poll<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        let last = Instant::now() >= deadline;
        if let Some(found) = look() {
            return Some(found);
        }
        if last {
            return None;
        }
        std::thread::sleep(EVERY);
    }
}
