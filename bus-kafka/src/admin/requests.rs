//! Questions to the cluster.

use super::{
    coordinators::Coordinators,
    shared::{Shared, answer},
};
use crate::{
    KafkaConfig, error,
    health::Health,
    native::{Client, Cluster, Code, Event, Failure, Queue, Topic, TopicInfo},
};
use bus_core::{Error, Name, Result};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A client that only asks questions.
pub(crate) struct Requests {
    shared: Arc<Shared>,
    pub(super) coordinators: Coordinators,
    pub(super) timeout: Duration,
    pub(super) brokers: String,
}

impl Requests {
    pub(crate) fn start(config: &KafkaConfig, health: Arc<Health>) -> Result<Self> {
        let client = Client::producer(config.admin_conf()?);
        Ok(Self {
            shared: Shared::start(client, health.clone(), None)?,
            coordinators: Coordinators::new(config, health),
            timeout: config.request_timeout,
            brokers: config.brokers.clone(),
        })
    }

    /// Sends a request with a tag of its own and reads what comes back.
    pub(super) async fn ask<R: Send + 'static>(
        &self,
        send: impl FnOnce(&Client, &Queue, usize) -> Result<(), String>,
        read: impl FnOnce(&Event<'_>) -> R + Send + 'static,
    ) -> Result<R> {
        let (answer, answered) = answer(read);
        let open = self.shared.clone().open(answer);
        let open = open.map_err(|_| Error::closed("the kafka client"))?;
        open.send(send)?;
        answered.await.map_err(|_| Error::closed("the kafka client"))
    }

    pub(crate) async fn cluster(&self, timeout: Duration) -> Result<Cluster, Failure> {
        let client = self.client();
        blocking(move || client.cluster(timeout)).await
    }

    /// The topics as the cluster describes them; a missing one carries its failure.
    pub(crate) async fn describe(&self, names: &[Name]) -> Result<Vec<TopicInfo>> {
        let timeout = self.timeout;
        self.ask(
            |client, queue, tag| {
                client.describe_topics(names.iter().map(|n| &**n), queue, tag, timeout);
                Ok(())
            },
            |event| match event.failure() {
                Some(failure) => Err(failure),
                None => Ok(event.topics()),
            },
        )
        .await?
        .map_err(|failure| self.failed("looking up topics", &failure))
    }

    /// Asks any broker for anything.
    pub(crate) async fn reach(&self, timeout: Duration) -> Result<(), Failure> {
        let client = self.client();
        blocking(move || client.reach(timeout)).await
    }

    /// How many partitions an existing topic has.
    pub(crate) async fn partitions(&self, topic: &str) -> Result<u32> {
        bus_core::check_name(topic)?;
        let deadline = Instant::now() + self.timeout;
        let mut missing = 0;
        loop {
            let (client, name, timeout) = (self.client(), topic.to_owned(), self.timeout);
            let found = blocking(move || match Topic::new(&client, &name) {
                Some(topic) => topic.look_up(timeout),
                None => Err(Failure::new(Code::TOPIC_EXCEPTION)),
            });
            let failure = match found.await {
                Ok(partitions) => return Ok(partitions),
                Err(failure) => failure,
            };
            let error = self.failed(&format!("looking up topic `{topic}`"), &failure);
            if failure.code == Code::UNKNOWN_TOPIC_OR_PART {
                // A topic that was just created is not known to every broker at once.
                missing += 1;
                if missing == 3 {
                    return Err(Error::topic_missing(topic));
                }
            } else if !error.is_transient() || Instant::now() >= deadline {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// An error that also says where.
    pub(super) fn failed(&self, what: &str, failure: &Failure) -> Error {
        let mut failure = failure.clone();
        if matches!(failure.code, Code::TIMED_OUT | Code::TRANSPORT)
            && let Some(reason) = self.shared.health().last_reason()
        {
            failure.text = reason;
        }
        error::classify(format_args!("{what} at {}", self.brokers), &failure)
    }

    /// For the one question that librdkafka only answers while it blocks.
    pub(super) fn client(&self) -> Arc<Client> {
        self.shared.client().clone()
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

/// Runs what librdkafka can only do while it blocks.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::new(Code::DESTROY)),
    }
}
