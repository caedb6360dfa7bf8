//! Where a password comes from: it is asked for whenever a connection is made, so that one that was changed is used
//! without a restart.

use super::Password;
use bus_core::{Error, Result};
use std::{fmt, future::Future, path::PathBuf, pin::Pin, sync::Arc};

type Answer = Pin<Box<dyn Future<Output = Result<Password>> + Send>>;

/// Where a password comes from.
#[derive(Clone)]
pub(crate) enum PasswordSource {
    /// From the settings, for good.
    Fixed(Password),
    /// From a file, as it is at the time.
    File(PathBuf),
    /// From the application.
    Asked(Arc<dyn Fn() -> Answer + Send + Sync>),
}

impl PasswordSource {
    pub(crate) fn asked<F, A>(ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<Password>> + Send + 'static,
    {
        Self::Asked(Arc::new(move || Box::pin(ask())))
    }
    /// The password as of now.
    pub(crate) async fn password(&self) -> Result<Password> {
        match self {
            Self::Fixed(password) => Ok(password.clone()),
            Self::File(path) => {
                let text = super::file::read(path, "password.file").await?;
                let text = String::from_utf8(text).map_err(|_| {
                    // Not its source: that holds the bytes.
                    Error::invalid(format!(
                        "the file of `password.file`, {}, is not UTF-8",
                        path.display()
                    ))
                })?;
                // Editors and `echo` put a line's end behind it.
                Ok(text.trim_end_matches(['\r', '\n']).into())
            }
            Self::Asked(ask) => ask()
                .await
                .map_err(|error| error.context("the password could not be had")),
        }
    }
    pub(crate) fn is_renewable(&self) -> bool {
        !matches!(self, Self::Fixed(_))
    }
}

impl fmt::Debug for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(password) => password.fmt(f),
            Self::File(path) => write!(f, "*** of {}", path.display()),
            Self::Asked(_) => f.write_str("*** of the application"),
        }
    }
}

impl PartialEq for PasswordSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed(one), Self::Fixed(two)) => one == two,
            (Self::File(one), Self::File(two)) => one == two,
            (Self::Asked(one), Self::Asked(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Eq for PasswordSource {}
