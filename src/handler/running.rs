//! A consumer that runs.

use bus_core::{Control, Error, ErrorKind, Result};
use std::time::Duration;
use tokio::task::JoinHandle;

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
    /// waits for all that.
    /// # Errors
    /// What ended it, if it was not this.
    pub async fn drain(self, grace: Duration) -> Result<()> {
        let drained = self.control.drain(grace).await;
        self.ended().await.and(drained)
    }
    /// Waits until it has ended. Dropping the future does not stop it.
    /// # Errors
    /// What ended it; `Ok` after a drain.
    pub async fn ended(self) -> Result<()> {
        self.task.await.unwrap_or_else(|error| {
            let text = format!("the task of a consumer ended: {error}");
            Err(Error::new(ErrorKind::Other, text))
        })
    }
}
