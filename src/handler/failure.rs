//! Why a message was not handled, and what is to become of it.

use crate::codec::json;
use bus_core::{Bytes, Error};
use serde::Serialize;
use std::{error::Error as StdError, fmt, time::Duration};

type Cause = Box<dyn StdError + Send + Sync>;

/// Why a message was not handled, and what is to become of it: every error converts to one with `?`, and is tried again
/// by the consumer's retry policy unless it is marked.
///
/// ```
/// use bus::handler::{Failure, FailureExt};
/// use std::time::Duration;
///
/// fn parse(text: &str) -> Result<u32, Failure> {
///     if text.is_empty() {
///         return Err(Failure::permanent("there is no number"));       // to the dead letters, whatever tries are left
///     }
///     if text == "busy" {
///         return Err(Failure::retry_after(Duration::from_secs(30), "busy"));
///     }
///     Ok(text.parse::<u32>().permanent()?)                             // a mark on somebody else's error
/// }
/// assert!(parse("x").unwrap_err().is_permanent());
/// ```
pub struct Failure(Box<Inner>);

struct Inner {
    kind: Kind,
    status: u16,
    reason: Option<&'static str>,
    payload: Option<Bytes>,
    cause: Cause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Retry,
    After(Duration),
    Permanent,
    Undecodable,
}

impl Failure {
    fn of(kind: Kind, cause: impl Into<Cause>) -> Self {
        let cause = cause.into();
        let status = if kind == Kind::Undecodable { 400 } else { 500 };
        Self(Box::new(Inner {
            kind,
            status,
            reason: None,
            payload: None,
            cause,
        }))
    }
    /// Tried again by the retry policy, as every error is that says nothing else.
    pub fn new(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::of(Kind::Retry, cause)
    }
    /// Tried again after this wait, never earlier, whatever the policy says of waits; it counts as an attempt.
    pub fn retry_after(wait: Duration, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::of(Kind::After(wait), cause)
    }
    /// Not tried again: to the dead letters.
    pub fn permanent(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::of(Kind::Permanent, cause)
    }
    /// Not tried again: to the dead letters, as what could not be decoded.
    pub fn undecodable(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::of(Kind::Undecodable, cause)
    }
    /// Sets the status code that an error reply has (default 500, and 400 for what could not be decoded).
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = status;
        self
    }
    /// Sets what an error reply has for a payload, as JSON (default: it is empty): which field was wrong, say. One that
    /// cannot be written as JSON is left out, with a line in the log.
    pub fn with_payload<T: Serialize + ?Sized>(mut self, payload: &T) -> Self {
        match json(payload) {
            Ok(payload) => self.0.payload = Some(payload),
            Err(error) => tracing::warn!(%error, "the payload of a failure is left out"),
        }
        self
    }
    /// What an error reply has for a payload.
    pub fn payload(&self) -> Option<&Bytes> {
        self.0.payload.as_ref()
    }
    /// Sets the word that stands as the reason in its dead letter, if it is not tried again (default `rejected`, and
    /// `undecodable` for what could not be decoded): a class of errors, which
    /// [`dead_letter_for`](crate::Subscribe::dead_letter_for) can send to a topic of its own.
    pub fn with_reason(mut self, reason: &'static str) -> Self {
        self.0.reason = Some(reason);
        self
    }
    /// The word that stands as the reason in its dead letter, if it is not tried again.
    pub fn reason(&self) -> &'static str {
        let default = if self.is_undecodable() {
            "undecodable"
        } else {
            "rejected"
        };
        self.0.reason.unwrap_or(default)
    }
    /// The status code of an error reply.
    pub fn status(&self) -> u16 {
        self.0.status
    }
    /// Whether it is not to be tried again.
    pub fn is_permanent(&self) -> bool {
        matches!(self.0.kind, Kind::Permanent | Kind::Undecodable)
    }
    /// Whether the payload could not be decoded.
    pub fn is_undecodable(&self) -> bool {
        self.0.kind == Kind::Undecodable
    }
    /// The wait that was asked for.
    pub fn wait(&self) -> Option<Duration> {
        match self.0.kind {
            Kind::After(wait) => Some(wait),
            _ => None,
        }
    }
    /// What went wrong; it can be downcast.
    pub fn cause(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0.cause
    }
    /// One failure of several messages, for each of them; a cause cannot be cloned, so all but the last have its text.
    pub(crate) fn of_each(self, count: usize) -> Vec<Self> {
        let text = self.to_string();
        let same = |_| {
            let mut same = Self::of(self.0.kind, text.clone()).with_status(self.0.status);
            (same.0.reason, same.0.payload) = (self.0.reason, self.0.payload.clone());
            same
        };
        let mut all: Vec<_> = (1..count).map(same).collect();
        all.push(self);
        all
    }
    fn marked(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }
}

/// Everything that is an error, a text included. (A failure is no [`std::error::Error`] itself: it could not be told from
/// what it is made of.)
impl<E: Into<Cause>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

/// The cause, and the causes behind it.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.cause)?;
        let mut next = self.0.cause.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.0.kind)
    }
}

/// What a codec says: bytes that it cannot read will not become readable.
pub(crate) fn of_codec(error: Error) -> Failure {
    if error.is_transient() {
        Failure::new(error)
    } else {
        Failure::undecodable(error)
    }
}

/// Marks the error of a result for who decides about another try.
pub trait FailureExt<T> {
    /// An error is not worth another try: to the dead letters.
    /// # Errors
    /// The error, marked.
    fn permanent(self) -> Result<T, Failure>;
    /// An error is tried again after this wait, never earlier.
    /// # Errors
    /// The error, marked.
    fn retry_after(self, wait: Duration) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> FailureExt<T> for Result<T, E> {
    fn permanent(self) -> Result<T, Failure> {
        self.map_err(|error| error.into().marked(Kind::Permanent))
    }
    fn retry_after(self, wait: Duration) -> Result<T, Failure> {
        self.map_err(|error| error.into().marked(Kind::After(wait)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_causes_are_kept() {
        let inner = std::io::Error::other("disk full");
        let outer = Error::invalid("cannot save").source(inner);
        let failure = Err::<(), _>(outer)
            .retry_after(Duration::from_secs(3))
            .unwrap_err();
        assert_eq!(failure.to_string(), "cannot save: disk full");
        assert_eq!(failure.wait(), Some(Duration::from_secs(3)));
        assert!(failure.cause().downcast_ref::<Error>().is_some());
        let failure = Err::<(), _>(failure).permanent().unwrap_err();
        assert!(failure.is_permanent() && failure.wait().is_none());
        assert_eq!(Failure::from("plain").to_string(), "plain");
    }
}
