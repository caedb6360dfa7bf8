//! A consumer that runs.

use bus_core::{Control, Error, ErrorKind, Result};
use std::time::Duration;
use tokio::{
    task::{JoinError, JoinHandle},
    time::{Instant, timeout_at},
};

/// A handler that is cancelled needs a turn to end.
const TURN: Duration = Duration::from_secs(1);

/// A consumer that runs. Dropping it does not stop it: [`drain`](Self::drain) does.
#[derive(Debug)]
pub struct Running {
    control: Control,
    task: JoinHandle<Result<()>>,
}

impl Running {
    pub(crate) fn new(control: Control, task: JoinHandle<Result<()>>) -> Self {
        Self { control, task }
    }
    /// A handle for pausing, steering and stopping it from elsewhere.
    pub fn control(&self) -> &Control {
        &self.control
    }
    /// Whether it has ended, by itself or by being stopped.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
    /// Takes no more messages, gives handlers that run `grace` to finish, stores what they settled, leaves the group, and
    /// waits for all that. A handler that runs longer is cancelled at its next await.
    /// # Errors
    /// What ended it, if it was not this; `Timeout` where a handler of a message that was acknowledged before did not
    /// finish.
    pub async fn drain(mut self, grace: Duration) -> Result<()> {
        let deadline = Instant::now() + grace;
        let drained = self.control.drain(grace).await;
        let until = deadline.max(Instant::now() + TURN);
        match timeout_at(until, &mut self.task).await {
            Ok(ended) => told(ended).and(drained),
            Err(_) => {
                self.task.abort();
                let text = "a handler of a message that was acknowledged before it ran was cancelled";
                drained.and(Err(Error::new(ErrorKind::Timeout, text)))
            }
        }
    }
    /// Waits until it has ended. Dropping the future does not stop it.
    /// # Errors
    /// What ended it; `Ok` after a drain.
    pub async fn ended(self) -> Result<()> {
        told(self.task.await)
    }
}

fn told(ended: std::result::Result<Result<()>, JoinError>) -> Result<()> {
    ended.unwrap_or_else(|error| {
        let text = format!("the task of a consumer ended: {error}");
        Err(Error::new(ErrorKind::Other, text))
    })
}
