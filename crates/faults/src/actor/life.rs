//! An actor's life, from outside: it can be told to stop, or, where it is a task, die.

use bus::Control;
use parking_lot::Mutex;
use tokio::sync::watch;

#[derive(Debug, Default)]
pub(crate) struct Life {
    stop: watch::Sender<bool>,
    control: Mutex<Option<Control>>,
}

impl Life {
    /// Asks it to end in order.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }
    pub(crate) async fn stopped(&self) {
        // The sender lives as long as `self`.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }
    pub(crate) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }
    /// Hands over what stops its subscription at once.
    pub(crate) fn lives_by(&self, control: Control) {
        *self.control.lock() = Some(control);
    }
    /// Stops its subscription as a crash would.
    pub(crate) fn crash(&self) {
        if let Some(control) = self.control.lock().take() {
            control.abort();
        }
    }
}
