//! Kafka, at the address of an environment variable.

use super::private::{Behind, Hasty, Kind};
use async_trait::async_trait;
use bus::{
    Backend, Error, Message, Result,
    backend::{Kafka, KafkaConfig},
};
use bus_core::{
    ErrorKind,
    conformance::{Harness, Private},
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{process::Stdio, sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, process::Command};

/// What the backend asks the broker for by default.
const SESSION: Duration = Duration::from_secs(6);

/// A Kafka cluster.
#[derive(Debug)]
pub(crate) struct OnKafka {
    address: String,
}

impl OnKafka {
    /// The cluster that this environment variable names.
    pub(crate) fn new(variable: &'static str) -> Self {
        Self {
            address: super::address(variable),
        }
    }
}

impl OnKafka {
    /// Another program's client.
    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        let mut config = ClientConfig::new();
        let made = config.set("bootstrap.servers", &self.address).create();
        made.map_err(|e| Error::unavailable("a client of another program").source(e))
    }
}

#[async_trait]
impl Harness for OnKafka {
    fn name(&self) -> &str {
        "kafka"
    }
    fn server(&self) -> &str {
        &self.address
    }
    async fn backend(&self) -> Result<Arc<dyn Backend>> {
        let config = KafkaConfig::new(self.address.as_str()).session_timeout(SESSION);
        Ok(Arc::new(Kafka::connect(config).await?))
    }
    fn session(&self) -> Duration {
        SESSION
    }
    /// A member joins in about three seconds, and members join one after the other.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
    /// `kcat`, as a person runs it.
    async fn foreign(&self, topic: &str) -> Result<Message> {
        let failed = |e: std::io::Error| Error::unavailable("writing with kcat").source(e);
        let found = tokio::task::spawn_blocking(bus_brokers::kcat).await;
        let missing = |e: String| Error::invalid(format!("kcat is missing: {e}"));
        let program = found
            .map_err(|e| missing(e.to_string()))?
            .map_err(|e| missing(e.to_string()))?;
        let mut child = Command::new(program)
            .args(["-P", "-b", &self.address, "-t", topic, "-K", "=", "-H", "trace=7"])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(b"k1=by hand\n").await.map_err(failed)?;
        }
        match child.wait().await.map_err(failed)?.success() {
            true => Ok(Message::new("by hand").keyed("k1").header("trace", "7")),
            false => Err(Error::invalid("kcat failed")),
        }
    }
    /// `DeleteRecords`, as `kafka-delete-records.sh` does it.
    async fn trim(&self, topic: &str, partition: u32, before: u128) -> Result<()> {
        let deleted = bus_brokers::delete_records(&self.address, topic, [(partition, before as i64)]).await;
        deleted.map_err(|e| Error::unavailable("a client of another program").source(e))
    }
    /// Kafka refuses that itself while the group has members.
    async fn destroy(&self, group: &str, _topic: &str) -> Result<()> {
        let failed = |e: KafkaError| Error::unavailable("deleting a group").source(e);
        let deleted = self.admin()?.delete_groups(&[group], &AdminOptions::new()).await;
        for result in deleted.map_err(failed)? {
            match result {
                Ok(_) => {}
                Err((_, RDKafkaErrorCode::NonEmptyGroup)) => {
                    return Err(Error::new(ErrorKind::Conflict, "the group has members"));
                }
                Err((_, code)) => return Err(failed(KafkaError::AdminOp(code))),
            }
        }
        Ok(())
    }
    async fn private(&self) -> Result<Arc<dyn Private>> {
        let near = |address: &str| Self {
            address: address.to_owned(),
        };
        Ok(Arc::new(Behind::wait(Kind::Kafka, near).await?))
    }
}

#[async_trait]
impl Hasty for OnKafka {
    async fn hasty(&self, publish_timeout: Duration) -> Result<Arc<dyn Backend>> {
        let config = KafkaConfig::new(self.address.as_str()).publish_deadline(publish_timeout);
        Ok(Arc::new(Kafka::connect(config).await?))
    }
}
