//! Ctrl-C and SIGTERM: the first ends in order, the second at once.

use crate::failure::{Done, Failure};
use tokio::sync::watch;

/// The status of a process that was interrupted twice.
const FORCED: i32 = 130;

/// Tells that somebody asked to end. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// From here on the signals end nothing by themselves, but for the second of them.
    pub(crate) fn install() -> Done<Self> {
        let (sender, receiver) = watch::channel(false);
        let mut signals = Signals::new().map_err(Failure::from)?;
        tokio::spawn(async move {
            signals.next().await;
            eprintln!("stopping: what is under way is finished first; once more ends it at once");
            let _ = sender.send(true);
            signals.next().await;
            std::process::exit(FORCED);
        });
        Ok(Self(receiver))
    }
    /// Waits until somebody asks to end.
    pub(crate) async fn asked(&mut self) {
        if self.0.wait_for(|stop| *stop).await.is_err() {
            // The task that listens is gone only with the whole process.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self(
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ))
    }
    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
