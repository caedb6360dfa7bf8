//! How an application ended.

use bus_core::Error;
use std::process::ExitCode;

/// How an application ended, and the exit code that says so.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ended {
    /// Asked to stop, everything finished what it had begun (exit code 0).
    Drained,
    /// Something could not be started, or failed while it ran; the rest was stopped (1).
    Failed(Error),
    /// The command line names nothing that there is (2); the text says what there is.
    Usage(String),
    /// The time for stopping was over before every handler had finished: their messages come again (124).
    Late,
    /// A second signal: nothing was waited for (130).
    Forced,
}

impl Ended {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Late => 124,
            Self::Forced => 130,
        }
    }
    /// Says on standard error what went wrong, if something did, and gives the exit code: the end of a `main` that reads
    /// arguments of its own before it gives the rest to [`App::command`](super::App::command).
    pub fn report(self) -> ExitCode {
        match &self {
            Self::Usage(text) => eprint!("{text}"),
            Self::Failed(error) => eprintln!("error: {error}"),
            _ => {}
        }
        self.into()
    }
    /// The error, if it failed.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        ended.code().into()
    }
}
