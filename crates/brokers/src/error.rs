//! Why a server or a tool could not be had.

use std::path::PathBuf;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a server or a tool could not be had. Every message says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program is missing and could not be installed without asking.
    #[error("`{program}` is missing and could not be installed here ({why}); install the package {package}")]
    Missing {
        /// The program that was looked for on `PATH`.
        program: String,
        /// The package that carries it, by its Debian name.
        package: String,
        /// Why it was not installed by itself.
        why: String,
    },
    /// A command ran and failed.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status.
        status: String,
        /// The last lines that it printed.
        output: String,
    },
    /// A server was started but died, or did not answer before its deadline.
    #[error("{server} did not come up: {why}; its log is {}, which ends with:\n{tail}", log.display())]
    NotReady {
        /// What was started, and where.
        server: String,
        /// What was seen last.
        why: String,
        /// Where the server's own log lies.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A server that the environment names does not answer.
    #[error("{variable}={address} does not answer ({why}); start that server or unset the variable")]
    Given {
        /// The environment variable.
        variable: &'static str,
        /// Its value.
        address: String,
        /// What was seen.
        why: String,
    },
    /// A server could not be stopped.
    #[error("process {pid} is still alive {seconds} s after it was killed; look at it with `ps {pid}`")]
    Immortal {
        /// The process.
        pid: u32,
        /// How long it was waited for, in seconds.
        seconds: u64,
    },
    /// The Docker engine answered, but would not do what was asked.
    #[error("docker: {doing}: {why}")]
    Docker {
        /// What was being done.
        doing: String,
        /// What the engine or its client said.
        why: String,
    },
    /// A file system of a test's own could not be mounted.
    #[error("a tmpfs could not be mounted at {} ({why}); this needs root and the right to mount (CAP_SYS_ADMIN), which a container gets with --privileged", dir.display())]
    Mount {
        /// Where.
        dir: PathBuf,
        /// What `mount` said.
        why: String,
    },
    /// A file, a socket or a process could not be handled.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something was found in a state that this crate does not write.
    #[error("{0}")]
    State(String),
    /// A broker would not do what an administrator asked of it.
    #[error("{doing}: {why}")]
    Refused {
        /// What was being done, and where.
        doing: String,
        /// What the broker or its client said.
        why: String,
    },
}

/// Puts what was being done before an I/O error.
pub(crate) trait Doing<T> {
    /// Turns the error into [`Error::Io`].
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io {
            doing: what(),
            source,
        })
    }
}
