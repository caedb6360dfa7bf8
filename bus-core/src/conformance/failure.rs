//! Why a check did not hold.

use crate::{Error, Unsent};
use std::fmt;

/// Why a check did not hold: a sentence, with what was expected and what was seen.
pub struct Failure(String);

impl Failure {
    /// A failure with this sentence.
    pub fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }
    /// Puts `context: ` in front.
    pub fn context(self, context: impl fmt::Display) -> Self {
        Self(format!("{context}: {}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(format!("unexpected error: {error:?}"))
    }
}

impl From<Unsent> for Failure {
    fn from(unsent: Unsent) -> Self {
        Self(format!("a message was not stored: {unsent}"))
    }
}

impl From<tokio::task::JoinError> for Failure {
    fn from(error: tokio::task::JoinError) -> Self {
        Self(format!("a task of the check ended early: {error}"))
    }
}

/// Fails the check unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::conformance::Failure::new(format_args!($($text)+)));
        }
    };
}

/// Fails the check unless both are equal; shows both.
macro_rules! ensure_eq {
    ($seen:expr, $expected:expr, $($text:tt)+) => {
        match (&$seen, &$expected) {
            (seen, expected) => ensure!(
                *seen == *expected,
                "{}: expected {expected:?}, got {seen:?}",
                format_args!($($text)+)
            ),
        }
    };
}
