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
}

#[cfg(test)]
mod tests {
    use super::*;

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
