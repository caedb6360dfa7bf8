//! What is known about the connection, for [`bus_core::Backend::health`].

use crate::{
    native::{Code, Flaw},
    refusal::Refusal,
};
use bus_core::{Error, Result};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How long the same line is not said again.
const QUIET: Duration = Duration::from_secs(30);
/// Lines that are remembered.
const LINES: usize = 64;

/// The last word from any client: down with a reason, or up.
#[derive(Debug)]
pub(crate) struct Health {
    brokers: String,
    state: Mutex<State>,
    /// Every broker is out of reach, and one of them because it refused.
    refused: Notify,
}

#[derive(Debug, Default)]
struct State {
    down: bool,
    /// The last reason a broker could not be reached.
    reason: Option<String>,
    /// When it was last said that it is down, and whether that is the last that was said.
    said: Option<Instant>,
    said_down: bool,
    /// What was heard of single brokers, and when.
    lines: HashMap<String, Instant>,
    /// What is not said yet: the client, and why. If every broker is out of reach, that alone is said.
    unsaid: Vec<(String, String)>,
    /// The last connection that was refused, and what was heard of a certificate before.
    refusal: Option<Refusal>,
    flaw: Option<Flaw>,
    /// What waits for somebody else, by who waits.
    held: BTreeMap<usize, String>,
}

impl Health {
    pub(crate) fn new(brokers: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            state: Mutex::default(),
            refused: Notify::new(),
        }
    }
    /// Why a broker cannot be reached. Clients try many times a second, each says so, and so one line is enough: that
    /// [all](Self::down) are out of reach, or this one, once [another](Self::up) answers.
    pub(crate) fn reason(&self, client: &str, why: &str) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.reason = Some(why.to_owned());
        // What follows in brackets is how long this one try took.
        let line = format!("{client}: {}", why.split(" (after ").next().unwrap_or(why));
        state.lines.retain(|_, said| now < *said + QUIET);
        let new = state.lines.len() < LINES && !state.lines.contains_key(&line);
        if new {
            state.lines.insert(line, now);
            if !state.down && state.unsaid.len() < LINES {
                state.unsaid.push((client.to_owned(), why.to_owned()));
            }
        }
        drop(state);
        tracing::debug!(target: "bus::kafka", client, "{why}");
    }
    /// A broker's certificate was not accepted.
    pub(crate) fn flaw(&self, flaw: Option<Flaw>) {
        self.state.lock().flaw = flaw;
    }
    /// A connection failed: was it refused?
    pub(crate) fn failed(&self, code: Code, why: &str) {
        let mut state = self.state.lock();
        let flaw = state.flaw;
        if let Some(refusal) = Refusal::of(code, why, flaw) {
            state.refusal = Some(refusal);
            if state.down {
                self.refused.notify_one();
            }
        }
    }
    /// Waits until every broker is out of reach, and trying again does not help. For one caller.
    pub(crate) async fn refusal(&self) -> Refusal {
        loop {
            if let Some(refusal) = self.is_refused() {
                return refusal;
            }
            self.refused.notified().await;
        }
    }
    fn is_refused(&self) -> Option<Refusal> {
        let state = self.state.lock();
        state.refusal.clone().filter(|_| state.down)
    }
    /// Every broker is out of reach of some client.
    pub(crate) fn down(&self, client: &str) {
        let mut state = self.state.lock();
        state.down = true;
        if state.refusal.is_some() {
            self.refused.notify_one();
        }
        state.unsaid.clear();
        if state.said.is_none_or(|at| at.elapsed() >= QUIET) {
            state.said = Some(Instant::now());
            state.said_down = true;
            let why = state
                .reason
                .clone()
                .unwrap_or_else(|| "connections were lost".to_owned());
            drop(state);
            tracing::warn!(target: "bus::kafka", client, "kafka at {} is out of reach: {why}", self.brokers);
        }
    }
    /// A broker answered.
    pub(crate) fn up(&self) {
        let mut state = self.state.lock();
        (state.refusal, state.flaw) = (None, None);
        if !state.down {
            if !state.unsaid.is_empty() {
                let unsaid = std::mem::take(&mut state.unsaid);
                drop(state);
                for (client, why) in unsaid {
                    tracing::warn!(target: "bus::kafka", client, "{why}");
                }
            }
            return;
        }
        state.down = false;
        state.reason = None;
        if std::mem::take(&mut state.said_down) {
            drop(state);
            tracing::info!(target: "bus::kafka", "kafka at {} answers again", self.brokers);
        }
    }
    /// `who` waits for somebody else, or not any more. Whether that is news.
    pub(crate) fn held(&self, who: usize, why: Option<String>) -> bool {
        let mut state = self.state.lock();
        match why {
            Some(why) => state.held.insert(who, why).is_none(),
            None => state.held.remove(&who).is_some(),
        }
    }
    pub(crate) fn is_down(&self) -> bool {
        self.state.lock().down
    }
    pub(crate) fn last_reason(&self) -> Option<String> {
        self.state.lock().reason.clone()
    }
    pub(crate) fn check(&self) -> Result<()> {
        let state = self.state.lock();
        if !state.down {
            return match state.held.values().next() {
                Some(why) => Err(Error::unavailable(why.clone())),
                None => Ok(()),
            };
        }
        let reason = state.reason.as_deref().unwrap_or("connections were lost");
        Err(Error::unavailable(format!(
            "kafka at {} is out of reach: {reason}",
            self.brokers
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use tracing::{Event, Level, Metadata, Subscriber, span};

    /// Counts lines that users see.
    struct Count(Arc<AtomicUsize>);

    impl Subscriber for Count {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= Level::INFO
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn an_outage_is_a_few_lines() {
        let lines = Arc::<AtomicUsize>::default();
        let _guard = tracing::subscriber::set_default(Count(lines.clone()));
        let health = Health::new("h:1");
        for i in 0..100 {
            health.reason(
                "g",
                &format!("h:1: Connect failed: refused (after {i}ms in state CONNECT)"),
            );
            health.down("g");
        }
        assert_eq!(lines.load(Ordering::Relaxed), 1);
        let error = health.check().unwrap_err().to_string();
        assert!(error.contains("h:1") && error.contains("refused"), "{error}");
        health.up();
        health.up();
        assert_eq!(lines.load(Ordering::Relaxed), 2);
        health.check().unwrap();
        // Another client finds it down and up again by turns.
        for _ in 0..100 {
            health.down("g");
            health.up();
        }
        assert_eq!(lines.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn one_broker_of_several_is_said_once_another_answers() {
        let lines = Arc::<AtomicUsize>::default();
        let _guard = tracing::subscriber::set_default(Count(lines.clone()));
        let health = Health::new("h:1,h:2");
        health.reason("g", "h:1: Connect failed: refused (after 1ms in state CONNECT)");
        assert_eq!(lines.load(Ordering::Relaxed), 0);
        for _ in 0..10 {
            health.up();
            health.reason("g", "h:1: Connect failed: refused (after 2ms in state CONNECT)");
        }
        assert_eq!(lines.load(Ordering::Relaxed), 1);
        health.check().unwrap();
    }

    #[test]
    fn what_is_held_up_is_told_until_it_goes_on() {
        let health = Health::new("h:1");
        assert!(health.held(7, Some("waits".to_owned())));
        assert!(!health.held(7, Some("waits".to_owned())));
        assert!(health.check().unwrap_err().to_string().contains("waits"));
        assert!(health.held(7, None));
        health.check().unwrap();
    }
}
