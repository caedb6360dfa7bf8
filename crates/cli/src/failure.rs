//! How a command ends: an exit status, or a failure of a few lines that says what to do.

use crate::secret;
use bus::ErrorKind;
use std::{fmt, io, process::ExitCode};

/// What a command comes to.
pub(crate) type Done<T = Status> = Result<T, Failure>;

/// How a command ended that said by itself what there was to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Everything was done: 0.
    Done,
    /// Something failed and was named: 1.
    Failed,
    /// Nothing came in time: 3.
    NothingCame,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status::Done => ExitCode::SUCCESS,
            Status::Failed => ExitCode::from(1),
            Status::NothingCame => ExitCode::from(3),
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    text: String,
    hint: Option<String>,
    kind: Option<ErrorKind>,
}

impl Failure {
    /// It did not work: status 1.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            status: 1,
            text: text.into(),
            hint: None,
            kind: None,
        }
    }
    /// It was asked for wrongly: status 2.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self {
            status: 2,
            ..Self::new(text)
        }
    }
    /// Nobody reads the output any more: the command ends without a word, as others do in a pipe.
    fn quiet() -> Self {
        Self {
            status: 0,
            ..Self::new("")
        }
    }
    /// Says what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// Names the bus where the error does not.
    pub(crate) fn at(mut self, address: &str) -> Self {
        let distant = matches!(
            self.kind,
            Some(ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Denied)
        );
        let host = address.split_once("://").map_or(address, |(_, host)| host);
        if distant && !host.split(',').any(|host| self.text.contains(host)) {
            self.text = format!("{address}: {}", self.text);
        }
        self
    }
    pub(crate) fn kind(&self) -> Option<ErrorKind> {
        self.kind
    }
    /// Prints it; the exit status.
    pub(crate) fn report(self) -> ExitCode {
        if !self.text.is_empty() {
            eprintln!("{}", secret::hide(&self.to_string()));
        }
        ExitCode::from(self.status)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "\ntry: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<bus::Error> for Failure {
    fn from(error: bus::Error) -> Self {
        let text = error.to_string();
        let status = if error.kind() == ErrorKind::Invalid { 2 } else { 1 };
        // What the error itself says to do, on lines of its own, is closer to the matter.
        let hint = (!text.contains('\n'))
            .then(|| hint(error.kind()))
            .flatten()
            .map(str::to_owned);
        Self {
            status,
            text,
            hint,
            kind: Some(error.kind()),
        }
    }
}

fn hint(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Unavailable | ErrorKind::Timeout => {
            "look at host and port of --url (BUS_URL) and whether the broker runs; --timeout waits longer"
        }
        ErrorKind::Denied => {
            "look at login and certificates in --url (BUS_URL) and at the rights this user has"
        }
        ErrorKind::TooLarge => "send less, or raise the limit of the broker",
        ErrorKind::GroupMissing => "`bus groups` lists those that exist",
        ErrorKind::DataLoss => {
            "`bus groups reset GROUP --topic TOPIC --to earliest` goes on with what is still there"
        }
        _ => return None,
    })
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::quiet();
        }
        Self::new(error.to_string())
    }
}
