//! What is known about the connection, for [`bus_core::Backend::health`].

use bus_core::{Error, Result};
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// The last word from any client: down with a reason, or up.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    down: bool,
    /// The last reason a broker could not be reached.
    reason: Option<String>,
    /// What waits for somebody else, by who waits.
    held: BTreeMap<usize, String>,
}

impl Health {
    pub(crate) fn reason(&self, why: &str) {
        self.0.lock().reason = Some(why.to_owned());
    }
    /// Every broker is out of reach.
    pub(crate) fn down(&self) {
        self.0.lock().down = true;
    }
    /// A broker answered.
    pub(crate) fn up(&self) {
        let mut state = self.0.lock();
        if state.down {
            state.down = false;
            state.reason = None;
        }
    }
    /// `who` waits for somebody else, or not any more. Whether that is news.
    pub(crate) fn held(&self, who: usize, why: Option<String>) -> bool {
        let mut state = self.0.lock();
        match why {
            Some(why) => state.held.insert(who, why).is_none(),
            None => state.held.remove(&who).is_some(),
        }
    }
    pub(crate) fn is_down(&self) -> bool {
        self.0.lock().down
    }
    pub(crate) fn last_reason(&self) -> Option<String> {
        self.0.lock().reason.clone()
    }
    pub(crate) fn check(&self, brokers: &str) -> Result<()> {
        let state = self.0.lock();
        if !state.down {
            return match state.held.values().next() {
                Some(why) => Err(Error::unavailable(why.clone())),
                None => Ok(()),
            };
        }
        let reason = state.reason.as_deref().unwrap_or("connections were lost");
        Err(Error::unavailable(format!(
            "kafka at {brokers} is out of reach: {reason}"
        )))
    }
}
