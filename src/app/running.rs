//! Running an application until it is told to stop.

use super::{App, Ended};
use bus_core::Result;
use std::{
    future::{Future, poll_fn},
    task::Poll,
};

impl App {
    /// Runs everything until Ctrl-C or SIGTERM: the first drains within the [grace](super::Builder::grace), the second
    /// forces the end. One that comes while it is still starting stops what has started by then. The buses are closed
    /// at the end, also after a start that failed, which waits for what was published.
    pub async fn run(self) -> Ended {
        self.run_until(interrupted).await
    }
    /// As [`run`](Self::run), with signals of another source: `signal` is called for each and waits for it.
    pub async fn run_until<S: Future<Output = ()>>(self, mut signal: impl FnMut() -> S) -> Ended {
        let (name, grace) = (self.name.clone(), self.grace);
        let (mut started, items, topics) = self.split();
        let mut next = Box::pin(signal());
        let ended = async {
            started.begin(items, &topics).await?;
            tracing::info!(app = &*name, "running; Ctrl-C stops it");
            // One that runs nothing still waits for its signal.
            if started.controls().next().is_none() {
                std::future::pending::<()>().await;
            }
            started.ended().await
        };
        let cause: Result<()> = tokio::select! {
            biased;
            () = &mut next => {
                tracing::info!(app = &*name, ?grace, "stopping; another signal forces it");
                next = Box::pin(signal());
                Ok(())
            }
            ended = ended => {
                if let Err(error) = &ended {
                    tracing::error!(app = &*name, %error, "stopping, because a part failed");
                }
                ended
            }
        };
        tokio::select! {
            ended = started.finish(grace, cause) => ended,
            () = next => {
                tracing::warn!(app = &*name, "forced to end; what was being handled comes again");
                Ended::Forced
            }
        }
    }
}

/// Waits for Ctrl-C, or for the signal by which a supervisor asks a process to end (SIGTERM): what [`App::run`] waits for, for
/// use beside a web server. From the call on these signals end nothing by themselves, also before the future is polled, and one
/// that comes until then is kept for it.
/// # Panics
/// Outside of a tokio runtime.
pub fn interrupted() -> impl Future<Output = ()> + Send + 'static {
    let mut signals = signals();
    // Without signals nothing but its own end ends it.
    poll_fn(
        move |context| match signals.iter_mut().any(|s| s.poll_recv(context).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        },
    )
}

#[cfg(unix)]
fn signals() -> Vec<tokio::signal::unix::Signal> {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
    kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect()
}

#[cfg(windows)]
fn signals() -> Vec<tokio::signal::windows::CtrlC> {
    tokio::signal::windows::ctrl_c().into_iter().collect()
}
