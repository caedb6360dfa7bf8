//! The inbox that a bus has at the moment.

use super::{Inbox, waiting::Strays};
use bus_core::Result;
use std::sync::{Arc, Mutex, PoisonError};

/// Holds one inbox, opened when it is first needed, and anew when reading it has ended.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    current: Mutex<Option<Arc<Inbox>>>,
    /// One is opened at a time.
    opening: tokio::sync::Mutex<()>,
    /// Somebody else's, which is not for this one to open again.
    is_given: bool,
}

impl Slot {
    pub(crate) fn given(inbox: Arc<Inbox>) -> Self {
        Self {
            current: Mutex::new(Some(inbox)),
            is_given: true,
            ..Self::default()
        }
    }
    fn current(&self) -> Option<Arc<Inbox>> {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
    fn usable(&self) -> Option<Arc<Inbox>> {
        self.current().filter(|inbox| self.is_given || !inbox.is_over())
    }
    pub(crate) fn strays(&self) -> Strays {
        self.current().map(|inbox| inbox.strays()).unwrap_or_default()
    }
    /// The one there is, or another.
    pub(crate) async fn get_or_open(
        &self,
        open: impl Future<Output = Result<Arc<Inbox>>>,
    ) -> Result<Arc<Inbox>> {
        if let Some(inbox) = self.usable() {
            return Ok(inbox);
        }
        let _alone = self.opening.lock().await;
        if let Some(inbox) = self.usable() {
            return Ok(inbox);
        }
        let inbox = open.await?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(inbox.clone());
        Ok(inbox)
    }
}
