//! Whether this process stood still, as it does on a machine that has too much to do or is stopped for a moment.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// How often it looks: far more often than any session ends.
const APART: Duration = Duration::from_millis(50);

/// What `work` comes to, and the longest time for which a thread that wanted to run every 50 ms meanwhile did not.
pub(super) fn watched<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut longest, mut last) = (Duration::ZERO, Instant::now());
            while !over.load(Relaxed) {
                thread::sleep(APART);
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            longest
        });
        let done = {
            let _over = Over(&over);
            work()
        };
        (done, watch.join().unwrap_or_default())
    })
}

/// Ends the watch also where the work panics: the scope waits for it.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn it_ends_with_the_work() {
        assert_eq!(watched(|| 7).0, 7);
        let broken = AssertUnwindSafe(|| watched(|| panic!("as a check may")));
        assert!(catch_unwind(broken).is_err());
    }
}
