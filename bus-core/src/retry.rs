//! How long to wait before a message is tried again, and how often.

use std::time::Duration;

/// How the waits grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backoff {
    /// i, i, i.
    Fixed,
    /// i, 2i, 3i.
    Linear,
    /// i, 2i, 4i.
    Exponential,
}

/// The retry policy of a subscription: policy is data, the flow executes it.
///
/// The default: three retries, exponential from one second, capped at a minute, so a message is called at most four
/// times within seven seconds, which outlives a restart of most things a handler calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    max_retries: u32,
    backoff: Backoff,
    initial: Duration,
    cap: Duration,
    jitter: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self::exponential(Duration::from_secs(1))
    }
}

impl Retry {
    /// Waits of i, i, i.
    pub const fn fixed(initial: Duration) -> Self {
        Self::new(Backoff::Fixed, initial)
    }
    /// Waits of i, 2i, 3i.
    pub const fn linear(initial: Duration) -> Self {
        Self::new(Backoff::Linear, initial)
    }
    /// Waits of i, 2i, 4i.
    pub const fn exponential(initial: Duration) -> Self {
        Self::new(Backoff::Exponential, initial)
    }
    const fn new(backoff: Backoff, initial: Duration) -> Self {
        Self {
            max_retries: 3,
            backoff,
            initial,
            cap: Duration::from_secs(60),
            jitter: 0,
        }
    }
    /// No retry: the first failure is the last.
    pub const fn never() -> Self {
        Self::fixed(Duration::from_millis(1)).max_retries(0)
    }
    /// Retries after the first call (default 3, which means at most four calls).
    pub const fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }
    /// Retries without end: a failing message holds its key until it succeeds.
    pub const fn forever(self) -> Self {
        self.max_retries(u32::MAX)
    }
    /// The longest wait (default 60 s).
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }
    /// Lengthens each wait by up to so many percent of it, never shortens it (default 0: waits are exact). It spreads
    /// messages that failed together, for example because what they call was down; a wait may pass the cap by it.
    pub const fn jitter(mut self, percent: u32) -> Self {
        self.jitter = percent;
        self
    }
    /// The most calls a message gets: retries + 1; `None` without end.
    pub fn max_attempts(&self) -> Option<u32> {
        self.max_retries.checked_add(1)
    }
    /// The wait before retry `n`, counted from 1. Never zero: a failing message must not spin.
    pub fn wait(&self, n: u32) -> Duration {
        let n = n.max(1);
        let factor = match self.backoff {
            Backoff::Fixed => 1,
            Backoff::Linear => n,
            Backoff::Exponential => 1u32.checked_shl(n - 1).unwrap_or(u32::MAX),
        };
        self.initial
            .saturating_mul(factor)
            .min(self.cap)
            .max(Duration::from_millis(1))
    }
    /// As [`wait`](Self::wait), with the jitter. `of` is what tells one message from another: messages differ, and the same
    /// call has the same answer, so no generator of random numbers is needed.
    pub(crate) fn wait_of(&self, n: u32, of: u128) -> Duration {
        let wait = self.wait(n);
        if self.jitter == 0 {
            return wait;
        }
        // The finishing steps of splitmix64.
        let mut x =
            (of as u64 ^ (of >> 64) as u64).wrapping_add(u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = f64::from((x >> 32) as u32) / f64::from(u32::MAX);
        let more = wait.as_secs_f64() * f64::from(self.jitter) / 100.0 * share;
        wait.saturating_add(Duration::try_from_secs_f64(more).unwrap_or(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_only_lengthens_and_differs_between_messages() {
        let retry = Retry::exponential(Duration::from_secs(1)).jitter(50);
        for n in 1..=8 {
            let base = retry.wait(n);
            let waits: Vec<_> = (0..100).map(|of| retry.wait_of(n, of)).collect();
            assert!(waits.iter().all(|w| (base..=base.mul_f64(1.5)).contains(w)));
            let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(
                *most - *least > base.mul_f64(0.4),
                "they spread: {least:?} to {most:?}"
            );
            assert_eq!(Retry::exponential(Duration::from_secs(1)).wait_of(n, 7), base);
        }
    }

    #[test]
    fn waits_are_as_documented() {
        let waits = |r: Retry| [1, 2, 3, 60].map(|n| r.wait(n).as_secs());
        let second = Duration::from_secs(1);
        assert_eq!(waits(Retry::fixed(second)), [1, 1, 1, 1]);
        assert_eq!(waits(Retry::linear(second)), [1, 2, 3, 60]);
        assert_eq!(waits(Retry::exponential(second)), [1, 2, 4, 60]);
        assert_eq!(Retry::default().max_attempts(), Some(4));
        assert_eq!(Retry::default().forever().max_attempts(), None);
        assert!(Retry::fixed(Duration::ZERO).wait(1) > Duration::ZERO);
    }
}
