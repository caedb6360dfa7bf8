//! Questions to the coordinator of a group, through a client that has this group.
//!
//! librdkafka 2.12 has two traps here, both of which end the process. A request that it gives up while it waits for the
//! coordinator leaves a pointer to freed memory, which it follows when the coordinator is back: so such requests get
//! the longest time there is (`native/request.rs`), the deadline is ours, and after it the client is dropped. And a
//! client without a group follows a null pointer when a broker answers that it is not the coordinator.

use super::{
    Requests,
    shared::{Open, Shared, answer},
};
use crate::{
    KafkaConfig,
    health::Health,
    native::{Client, Code, Event, Failure, Queue},
};
use bus_core::{Error, Name, Result};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

/// How long a group's client is kept for the next question.
const IDLE: Duration = Duration::from_secs(10);

/// A client for each group that was asked about lately.
pub(super) struct Coordinators {
    config: KafkaConfig,
    health: Arc<Health>,
    clients: Mutex<HashMap<Name, Weak<Shared>>>,
}

impl Coordinators {
    pub(super) fn new(config: &KafkaConfig, health: Arc<Health>) -> Self {
        Self {
            config: config.clone(),
            health,
            clients: Mutex::default(),
        }
    }

    fn open<R: Send + 'static>(
        &self,
        group: &str,
        read: impl FnOnce(&Event<'_>) -> R + Send + 'static,
    ) -> Result<(Open, tokio::sync::oneshot::Receiver<R>)> {
        let (mut answer, answered) = answer(read);
        let mut clients = self.clients.lock();
        clients.retain(|_, client| client.strong_count() > 0);
        if let Some(shared) = clients.get(group).and_then(Weak::upgrade) {
            match shared.open(answer) {
                Ok(open) => return Ok((open, answered)),
                Err(back) => answer = back,
            }
        }
        let client = Client::consumer(self.config.coordinator_conf(group)?);
        let shared = Shared::start(client, self.health.clone(), Some(IDLE))?;
        clients.insert(Name::from(group), Arc::downgrade(&shared));
        let open = shared.open(answer);
        let open = open.map_err(|_| Error::closed("the kafka client"))?;
        Ok((open, answered))
    }
}

impl Requests {
    /// Asks the coordinator of a group.
    pub(super) async fn ask_coordinator<R: Send + 'static>(
        &self,
        group: &str,
        send: impl FnOnce(&Client, &Queue, usize) -> Result<(), String>,
        read: impl FnOnce(&Event<'_>) -> R + Send + 'static,
    ) -> Result<R> {
        let (open, answered) = self.coordinators.open(group, read)?;
        let mut question = Question(Some(open));
        if let Some(open) = &question.0 {
            open.send(send)?;
        }
        match tokio::time::timeout(self.timeout, answered).await {
            Ok(answer) => {
                question.0 = None;
                answer.map_err(|_| Error::closed("the kafka client"))
            }
            Err(_) => {
                let what = format!("asking the coordinator of group `{group}`");
                Err(self.failed(&what, &Failure::new(Code::TIMED_OUT)))
            }
        }
    }
}

/// A question without an answer. Given up so, by a deadline or by the caller, its client is not used again, and goes when
/// everybody else who asked it has an answer.
struct Question(Option<Open>);

impl Drop for Question {
    fn drop(&mut self) {
        if let Some(open) = &self.0 {
            open.shared().stop();
        }
    }
}
