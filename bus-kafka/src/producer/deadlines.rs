//! How many batches are under way, by when they were taken: whether one is beyond its deadline costs no search.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// A deadline is so many steps long; one that is over is noticed a step later at the most.
const STEPS: u64 = 100;
/// Steps that are remembered: what is beyond its deadline is given up long before they come round.
const ROOM: usize = 256;

#[derive(Debug)]
pub(crate) struct Deadlines {
    begun: Instant,
    /// Nanoseconds.
    step: u64,
    open: Box<[AtomicU32]>,
}

/// When a batch was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken(u64);

impl Deadlines {
    pub(super) fn new(deadline: Duration) -> Self {
        let nanos = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
        Self {
            begun: Instant::now(),
            step: (nanos / STEPS).max(1),
            open: (0..ROOM).map(|_| AtomicU32::new(0)).collect(),
        }
    }
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX) / self.step
    }
    fn at(&self, step: u64) -> &AtomicU32 {
        &self.open[(step % ROOM as u64) as usize]
    }
    pub(crate) fn take(&self) -> Taken {
        let now = self.now();
        self.at(now).fetch_add(1, Ordering::AcqRel);
        Taken(now)
    }
    pub(crate) fn done(&self, taken: Taken) {
        self.at(taken.0).fetch_sub(1, Ordering::AcqRel);
    }
    /// Whether what was taken then is beyond its deadline.
    pub(crate) fn is_over(&self, taken: Taken) -> bool {
        self.now() > taken.0 + STEPS
    }
    /// Whether anything is.
    pub(super) fn any_over(&self) -> bool {
        let now = self.now();
        // However long ago it was taken: all but the steps that are recent.
        let mut old = (STEPS + 1..ROOM as u64).map(|ago| now + ROOM as u64 - ago);
        old.any(|step| self.at(step).load(Ordering::Acquire) > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(of: &Deadlines, step: u64) {
        while of.now() < step {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn what_is_beyond_its_deadline_is_found_until_it_is_done() {
        let all = Deadlines::new(Duration::from_millis(200));
        let taken = all.take();
        assert!(!all.any_over() && !all.is_over(taken));
        wait(&all, taken.0 + STEPS + 1);
        assert!(all.any_over() && all.is_over(taken));
        let newer = all.take();
        assert!(!all.is_over(newer));
        all.done(taken);
        assert!(!all.any_over());
        all.done(newer);
    }
}
