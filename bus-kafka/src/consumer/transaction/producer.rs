//! The transactional producer: one id for the whole subscription, and a client that is replaced when it could do harm.

use super::names::Named;
use crate::{
    KafkaConfig, error,
    health::Health,
    native::{Client, Refusal},
    producer::Producer,
};
use bus_core::{Error, ErrorKind, Message, Name, Result, mutant};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// One try of a call that may be made again.
const TRY: Duration = Duration::from_secs(1);

pub(crate) struct Transactional {
    config: KafkaConfig,
    health: Arc<Health>,
    named: Named,
    /// Topics of the group, for what errors say.
    group: Name,
    current: Option<Arc<Producer>>,
}

impl Transactional {
    /// Connects and fences whoever used the id before. Blocks.
    /// # Errors
    /// `Unsupported` where the brokers have no transactions; `Denied`; transient ones.
    pub(crate) fn open(
        config: &KafkaConfig,
        health: Arc<Health>,
        group: &Name,
        named: Named,
    ) -> Result<Self> {
        let mut this = Self {
            config: config.clone(),
            health,
            named,
            group: group.clone(),
            current: None,
        };
        this.ready(Instant::now() + config.request_timeout)?;
        Ok(this)
    }

    /// A producer with which a transaction may begin: the one there is, or a new one. Blocks.
    pub(super) fn ready(&mut self, deadline: Instant) -> Result<Arc<Producer>> {
        if let Some(producer) = &self.current {
            let unanswered = producer.client().unanswered();
            if !producer.is_dead() && (unanswered == 0 || mutant("producer-reused")) {
                return Ok(producer.clone());
            }
            tracing::debug!(
                target: "bus::kafka", group = &*self.group, unanswered,
                "replacing the transactional producer before the next transaction"
            );
            self.replace();
        }
        let producer = self.start(deadline)?;
        self.current = Some(producer.clone());
        Ok(producer)
    }

    pub(super) fn is_open(&self) -> bool {
        self.current.is_some()
    }

    /// The current client is used no more; the next one, of the same id, ends whatever it left open.
    pub(super) fn replace(&mut self) {
        if let Some(producer) = self.current.take() {
            producer.abandon();
        }
    }

    /// What is wrong with an output, if something is. Blocks while a topic is looked up.
    pub(super) fn refuses(
        producer: &Producer,
        outputs: &[(Name, Message)],
        deadline: Instant,
    ) -> Option<Error> {
        outputs.iter().find_map(|(topic, message)| {
            let error = producer.refuses(topic, message, deadline)?;
            Some(error.context(format_args!("an output for topic `{topic}`")))
        })
    }

    fn start(&self, deadline: Instant) -> Result<Arc<Producer>> {
        let conf = self.config.transactional_conf(self.named.id())?;
        let client = Client::transactional(conf)
            .map_err(|why| Error::invalid(format!("kafka transactional producer: {why}")))?;
        let patience = self.config.transaction_patience();
        // Its events are read from here on, or a fatal error would not be seen.
        let producer = Producer::over(client.clone(), &self.config, patience, self.health.clone())?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Err(refusal) = client.init_transactions(left.min(TRY)) else {
                return Ok(producer);
            };
            if !refusal.retriable || left <= TRY {
                producer.abandon();
                return Err(self.refused(&refusal));
            }
        }
    }

    fn refused(&self, refusal: &Refusal) -> Error {
        let error = error::classify(
            format_args!("preparing transactions of group `{}`", self.group),
            &refusal.failure,
        );
        match error.kind() {
            ErrorKind::Unsupported => error.context("exactly once needs brokers with transactions"),
            // A coordinator that is being elected or loaded has no code of its own by now.
            ErrorKind::Other if refusal.retriable => error.transient(true),
            _ => error,
        }
    }
}

impl Drop for Transactional {
    fn drop(&mut self) {
        self.replace();
    }
}
