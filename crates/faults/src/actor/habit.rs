//! What a message's key makes its handler do, so that a test can place trouble where it wants it.

use std::time::Duration;

/// What a handler does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Some work, then an ack.
    Work,
    /// Fails, however often it is tried: `poison-…`.
    Poison,
    /// Ends the process: `abort-…`.
    Abort,
    /// Takes so long, the first time: `slow-30000-…`.
    Slow(Duration),
    /// Is put off for so long, the first time: `later-5000-…`.
    Later(Duration),
}

impl Habit {
    pub(crate) fn of(key: &str) -> Self {
        let time = |rest: &str| {
            rest.split('-')
                .next()
                .and_then(|n| n.parse().ok())
                .map(Duration::from_millis)
        };
        if key.starts_with("poison-") {
            return Self::Poison;
        }
        if key.starts_with("abort-") {
            return Self::Abort;
        }
        let slow = key.strip_prefix("slow-").and_then(time).map(Self::Slow);
        let later = || key.strip_prefix("later-").and_then(time).map(Self::Later);
        slow.or_else(later).unwrap_or(Self::Work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ask_for_habits() {
        let ms = Duration::from_millis;
        assert_eq!(Habit::of("p0-17"), Habit::Work);
        assert_eq!(Habit::of("poison-1"), Habit::Poison);
        assert_eq!(Habit::of("abort-1"), Habit::Abort);
        assert_eq!(Habit::of("slow-30000-a"), Habit::Slow(ms(30_000)));
        assert_eq!(Habit::of("later-5000"), Habit::Later(ms(5_000)));
        assert_eq!(Habit::of("slow-x"), Habit::Work);
    }
}
