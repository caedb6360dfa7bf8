//! One error type: a kind that says what the caller can do, the context, the source.

use crate::Need;
use std::{error::Error as StdError, fmt};

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The topic does not exist: create it.
    TopicMissing,
    /// The group does not exist, or has no stored position where one was required.
    GroupMissing,
    /// The broker refuses this user: ask for the right, or correct the credentials.
    Denied,
    /// The call itself is wrong: correct it.
    Invalid,
    /// The message is over the limit: send less, or raise the limit.
    TooLarge,
    /// The partition is no longer ours: nothing to do, its new owner goes on.
    Fenced,
    /// Something else holds what the call needs, such as live members: stop those first.
    Conflict,
    /// The broker cannot be reached or is busy: it is tried again, or try again later.
    Unavailable,
    /// It did not happen in time.
    Timeout,
    /// The bytes are not what the codec expects.
    Undecodable,
    /// Records were removed before they were read.
    DataLoss,
    /// This backend or broker cannot do that.
    Unsupported,
    /// The bus is switched off.
    Disabled,
    /// The bus, publisher or subscription was closed.
    Closed,
    /// Anything else.
    Other,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    transient: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
    need: Option<Need>,
}

/// An error of the bus: eight bytes, with a [kind](ErrorKind), a sentence, and the cause.
pub struct Error(Box<Inner>);

/// The result of a call on the bus.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind; the message is lower case, without a full stop, and says what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let transient = matches!(kind, ErrorKind::Unavailable);
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            transient,
            source: None,
            need: None,
        }))
    }
    /// `Unavailable`: a codec can decode this once it has that, which [`Codec::ready`](crate::Codec::ready) fetches.
    pub fn needs(need: Need) -> Self {
        let mut error = Self::unavailable(format!("{need} is not there yet"));
        error.0.need = Some(need);
        error
    }
    /// What would have to be fetched first, if that is what this error says.
    pub fn need(&self) -> Option<&Need> {
        self.0.need.as_ref()
    }
    /// Adds the cause.
    pub fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }
    /// Says whether the same call may succeed later; `Unavailable` is transient unless said otherwise.
    pub fn transient(mut self, transient: bool) -> Self {
        self.0.transient = transient;
        self
    }
    /// Puts `context: ` in front of the message.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }
    /// What the caller can do.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
    /// Whether the same call may succeed later without a change.
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }
    /// The sentence, without the cause.
    pub fn message(&self) -> &str {
        &self.0.message
    }
    /// A copy for a second receiver: the cause is kept as text.
    pub fn duplicate(&self) -> Self {
        let source = self.0.source.as_ref().map(|s| s.to_string().into());
        Self(Box::new(Inner {
            source,
            message: self.0.message.clone(),
            need: self.0.need.clone(),
            ..*self.0
        }))
    }

    /// `TopicMissing`, with the hint.
    pub fn topic_missing(topic: &str) -> Self {
        Self::new(
            ErrorKind::TopicMissing,
            format!(
                "topic `{topic}` does not exist; create it with `bus topics create {topic}` or `Bus::ensure_topics`"
            ),
        )
    }
    /// `TooLarge`, with both sizes in bytes.
    pub fn too_large(topic: &str, size: usize, limit: usize) -> Self {
        Self::new(
            ErrorKind::TooLarge,
            format!("message of {size} bytes for topic `{topic}` is over the limit of {limit} bytes"),
        )
    }
    /// `Closed`: `what` was closed.
    pub fn closed(what: &str) -> Self {
        Self::new(ErrorKind::Closed, format!("{what} is closed"))
    }
    /// `Invalid`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }
    /// `Unavailable`: transient.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }
    /// `Fenced`: the shard is not ours in that epoch.
    pub fn fenced(what: impl fmt::Display) -> Self {
        Self::new(
            ErrorKind::Fenced,
            format!("{what} is owned by another member now"),
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.0.kind)
    }
}

impl StdError for Error {
    // The cause is part of the sentence, so it is not offered a second time to printers that walk the chain.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        None
    }
}

impl PartialEq<ErrorKind> for Error {
    fn eq(&self, kind: &ErrorKind) -> bool {
        self.0.kind == *kind
    }
}
