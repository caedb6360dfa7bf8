//! What all connections of a proxy share.

use crate::{
    Counters, Faults, Filter, Protocol, Rng,
    faults::{Action, Late},
    frame::Call,
    strike::{Stage, Struck},
};
use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};
use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) protocol: Protocol,
    pub(crate) upstream: Mutex<Option<String>>,
    pub(crate) faults: watch::Sender<Faults>,
    /// Grows whenever all live connections are to be reset.
    pub(crate) resets: watch::Sender<u64>,
    pub(crate) rng: Mutex<Rng>,
    pub(crate) counters: Mutex<Counters>,
    /// Faults that strike once, oldest first.
    shots: Mutex<Vec<Shot>>,
}

#[derive(Debug)]
struct Shot {
    filter: Filter,
    action: Action,
    struck: Struck,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    Pass,
    DropReply(Option<Struck>),
    Hold {
        time: Duration,
        late: Late,
        struck: Option<Struck>,
    },
}

impl Shared {
    pub(crate) fn new(protocol: Protocol, upstream: Option<String>, seed: u64) -> Self {
        Self {
            protocol,
            upstream: Mutex::new(upstream),
            faults: watch::Sender::new(Faults::default()),
            resets: watch::Sender::new(0),
            rng: Mutex::new(Rng::new(seed)),
            counters: Mutex::new(Counters {
                requests: HashMap::new(),
                ..Counters::default()
            }),
            shots: Mutex::default(),
        }
    }
    pub(crate) fn count(&self, what: impl FnOnce(&mut Counters)) {
        what(&mut self.counters.lock());
    }
    pub(crate) fn aim(&self, filter: Filter, action: Action, struck: Struck) {
        self.shots.lock().push(Shot {
            filter,
            action,
            struck,
        });
    }
    pub(crate) fn heal(&self) {
        self.shots.lock().clear();
        self.faults.send_replace(Faults::default());
    }
    pub(crate) fn judge(&self, call: &Call, bytes: &[u8]) -> Verdict {
        self.count(|c| *c.requests.entry(call.clone()).or_default() += 1);
        let mut shots = self.shots.lock();
        if let Some(at) = shots.iter().position(|shot| shot.filter.matches(call, bytes)) {
            let Shot { action, struck, .. } = shots.remove(at);
            struck.at(Stage::Begun);
            return verdict(&action, Some(struck));
        }
        drop(shots);
        let faults = self.faults.borrow();
        let mut matching = faults
            .rules
            .iter()
            .filter(|rule| rule.filter.matches(call, bytes));
        match matching.find(|rule| self.rng.lock().chance(rule.chance)) {
            Some(rule) => verdict(&rule.action, None),
            None => Verdict::Pass,
        }
    }
}

fn verdict(action: &Action, struck: Option<Struck>) -> Verdict {
    match *action {
        Action::DropReply => Verdict::DropReply(struck),
        Action::Hold { time, late } => Verdict::Hold { time, late, struck },
    }
}
