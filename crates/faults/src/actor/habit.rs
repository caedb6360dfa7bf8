//! What a message's key makes its handler do, so that a test can place trouble where it wants it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What a handler does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Some work, then an ack.
    Work,
    /// Fails, however often it is tried: `poison-…`.
    Poison,
    /// Ends so many processes, then does no harm any more: `abort-2-…`.
    Abort(u64),
    /// Fails until the test says that this number is mended: `mend-3-…`.
    Mend(u64),
    /// The first of its key takes so long, the first time: `slow-30000-…`.
    Slow(Duration),
    /// The first of its key is put off for so long, the first time: `later-5000-…`.
    Later(Duration),
}

impl Habit {
    /// The habit of a message by its id, `key:counter`.
    pub(crate) fn of(id: &str) -> Self {
        let number = |rest: &str| rest.split(['-', ':']).next().and_then(|n| n.parse::<u64>().ok());
        let asked = |what: &str| id.strip_prefix(what).and_then(number);
        if id.starts_with("poison-") {
            return Self::Poison;
        }
        if let Some(times) = asked("abort-") {
            return Self::Abort(times);
        }
        if let Some(number) = asked("mend-") {
            return Self::Mend(number);
        }
        if !id.ends_with(":1") {
            return Self::Work;
        }
        let slow = asked("slow-").map(|ms| Self::Slow(Duration::from_millis(ms)));
        let later = || asked("later-").map(|ms| Self::Later(Duration::from_millis(ms)));
        slow.or_else(later).unwrap_or(Self::Work)
    }
}

/// The file among a test's records that says that this number is mended.
pub(crate) fn mended(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number}.mended"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ask_for_habits() {
        let ms = Duration::from_millis;
        assert_eq!(Habit::of("p0-17:1"), Habit::Work);
        assert_eq!(Habit::of("poison-1:2"), Habit::Poison);
        assert_eq!(Habit::of("abort-2-1:1"), Habit::Abort(2));
        assert_eq!(Habit::of("mend-3-7:2"), Habit::Mend(3));
        assert_eq!(Habit::of("slow-30000-a:1"), Habit::Slow(ms(30_000)));
        assert_eq!(Habit::of("slow-30000-a:2"), Habit::Work);
        assert_eq!(Habit::of("later-5000:1"), Habit::Later(ms(5_000)));
        assert_eq!(Habit::of("slow-x:1"), Habit::Work);
    }
}
