//! Running an application until it is told to stop.

use super::{App, Ended};
use bus_core::{Error, Result};
use std::future::Future;

impl App {
    /// Runs everything until Ctrl-C or SIGTERM: the first drains within the [grace](super::Builder::grace), the second
    /// forces the end; one that comes before everything has started ends it at once. The buses are closed at the end,
    /// which waits for what was published.
    pub async fn run(self) -> Ended {
        self.run_until(interrupted).await
    }
    /// As [`run`](Self::run), with signals of another source: `signal` is called for each and waits for it.
    pub async fn run_until<S: Future<Output = ()>>(self, mut signal: impl FnMut() -> S) -> Ended {
        let (name, grace) = (self.name.clone(), self.grace);
        let running = async {
            let started = self.start().await?;
            tracing::info!(app = &*name, "running; Ctrl-C stops it");
            Ok::<_, Error>(started)
        };
        let first = signal();
        let mut first = std::pin::pin!(first);
        let started = tokio::select! {
            biased;
            () = &mut first => return Ended::Forced,
            started = running => started,
        };
        let mut started = match started {
            Ok(started) => started,
            Err(error) => return Ended::Failed(error),
        };
        // One that runs nothing still waits for its signal.
        let idle = started.controls().next().is_none();
        let cause: Result<()> = tokio::select! {
            biased;
            () = &mut first => {
                tracing::info!(app = &*name, ?grace, "stopping; another signal forces it");
                Ok(())
            }
            ended = started.ended(), if !idle => {
                if let Err(error) = &ended {
                    tracing::error!(app = &*name, %error, "stopping, because a part failed");
                }
                ended
            }
        };
        let second = signal();
        tokio::select! {
            ended = started.finish(grace, cause) => ended,
            () = second => {
                tracing::warn!(app = &*name, "forced to end; what was being handled comes again");
                Ended::Forced
            }
        }
    }
}

/// Ctrl-C, or the signal by which a supervisor asks a process to end.
pub(super) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        // Without signals nothing but its own end ends it.
        std::future::pending::<()>().await;
    }
}
