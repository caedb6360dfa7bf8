//! What is wrong with a value or a payload, and where in it.

use std::fmt::{self, Display};

/// An error of the encoder or the decoder: what, and the way to it from the outside. It lies apart, so that every number's result is
/// small.
#[derive(Debug)]
pub(crate) struct Wrong(Box<Inner>);

#[derive(Debug)]
struct Inner {
    what: String,
    path: Vec<String>,
}

pub(super) type Result<T> = std::result::Result<T, Wrong>;

pub(super) fn wrong(what: impl Into<String>) -> Wrong {
    Wrong(Box::new(Inner {
        what: what.into(),
        path: Vec::new(),
    }))
}

impl Wrong {
    /// The same, inside of this.
    pub(super) fn inside(mut self, of: impl Into<String>) -> Self {
        self.0.path.push(of.into());
        self
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.path.is_empty() {
            let path: Vec<_> = self.0.path.iter().rev().map(String::as_str).collect();
            write!(f, "`{}`: ", path.join("."))?;
        }
        f.write_str(&self.0.what)
    }
}

impl std::error::Error for Wrong {}

impl serde::ser::Error for Wrong {
    fn custom<T: Display>(message: T) -> Self {
        wrong(message.to_string())
    }
}

impl serde::de::Error for Wrong {
    fn custom<T: Display>(message: T) -> Self {
        wrong(message.to_string())
    }
}
