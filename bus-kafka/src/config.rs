//! What a connection is made with.

use bus_core::{Result, partition::Partitioner};
use std::{collections::BTreeMap, fmt, time::Duration};

/// How to reach a cluster, and how to behave there. Setters consume and return it.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    pub(crate) brokers: String,
    pub(crate) client_id: String,
    pub(crate) partitioner: Partitioner,
    pub(crate) session_timeout: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) rebalance_grace: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) publish_deadline: Duration,
    pub(crate) metadata_refresh: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) transaction_timeout: Duration,
    pub(crate) instance: Option<String>,
    pub(crate) native: BTreeMap<String, String>,
}

impl KafkaConfig {
    /// A cluster by the addresses of some of its brokers: `host:port,host:port`.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            client_id: "bus".to_owned(),
            partitioner: Partitioner::default(),
            session_timeout: Duration::from_millis(6_000),
            heartbeat: Duration::from_millis(1_000),
            rebalance_grace: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            publish_deadline: Duration::from_secs(120),
            metadata_refresh: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            transaction_timeout: Duration::from_secs(10),
            instance: None,
            native: BTreeMap::new(),
        }
    }
    /// Reads `kafka://[user:password@]host:port,host:port?option=value&…`.
    ///
    /// Options of the bus are `client.id`, `partitioner` (`murmur2` or `crc32`), `session.timeout.ms`,
    /// `heartbeat.interval.ms`, `rebalance.grace.ms`, `connect.timeout.ms`, `delivery.timeout.ms`,
    /// `metadata.refresh.ms`, `request.timeout.ms`, `transaction.timeout.ms` and `instance`; every other one goes to
    /// librdkafka as it is. A user and a password mean SASL `PLAIN` over `sasl_plaintext`, unless `sasl.mechanism` and
    /// `security.protocol` say otherwise. Special characters are percent-encoded.
    /// # Errors
    /// `Invalid`, with what is wrong; the password is never repeated.
    pub fn from_url(url: &str) -> Result<Self> {
        crate::url::parse(url)
    }
    /// Takes the addresses and options of a URL, as [`from_url`](Self::from_url) reads them, over what is set here.
    /// # Errors
    /// As [`from_url`](Self::from_url).
    pub fn merge_url(self, url: &str) -> Result<Self> {
        crate::url::parse_over(self, url)
    }
    /// Sets an option by its name and value, as a URL does: one of the bus's, or a native one.
    /// # Errors
    /// `Invalid` for a value that is not allowed; native options are checked when connecting.
    pub fn option(self, name: &str, value: impl Into<String>) -> Result<Self> {
        crate::url::option_of(self, name, value.into())
    }
    /// For a client of one's own, made by the `rdkafka` crate ([`crate::rdkafka`]): addresses, client id, and every native
    /// option that was set, passwords included. What the bus sets for its own clients is not in it.
    pub fn client_config(&self) -> rdkafka::ClientConfig {
        let mut config = rdkafka::ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id);
        for (option, value) in &self.native {
            config.set(option, value);
        }
        config
    }
    /// The name that brokers see in their logs and quotas (default `bus`).
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = id.into();
        self
    }
    /// How a key becomes a partition (default as Kafka's Java client; `Crc32` as librdkafka's default).
    pub fn partitioner(mut self, partitioner: Partitioner) -> Self {
        self.partitioner = partitioner;
        self
    }
    /// After how long without a heartbeat a member counts as gone (default 6 s: the least that brokers accept by
    /// default, because a dead member's partitions rest that long).
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }
    /// How often a member says that it lives (default 1 s; also how soon it learns of a rebalance).
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }
    /// How long handlers of a partition that leaves may go on (default 5 s). While they do, nobody else gets it.
    pub fn rebalance_grace(mut self, grace: Duration) -> Self {
        self.rebalance_grace = grace;
        self
    }
    /// How long [`Kafka::connect`](crate::Kafka::connect) waits for a broker to answer (default 5 s).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }
    /// How long a message is sent again before it fails (default 120 s, as Kafka's Java client).
    pub fn publish_deadline(mut self, deadline: Duration) -> Self {
        self.publish_deadline = deadline;
        self
    }
    /// How often known topics are looked at for new partitions (default 30 s).
    pub fn metadata_refresh(mut self, interval: Duration) -> Self {
        self.metadata_refresh = interval;
        self
    }
    /// How long a question about topics or groups may take (default 30 s: longer than a broker's restart).
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }
    /// How long a transaction of an exactly-once subscription may take (default 10 s). A process that is killed in the
    /// middle of one holds up the readers of its outputs, and the next owner of its partitions, for that long and up to
    /// 10 s more, because brokers look every 10 s.
    pub fn transaction_timeout(mut self, timeout: Duration) -> Self {
        self.transaction_timeout = timeout;
        self
    }
    /// Gives this process a name of its own, that no other process has at the same time, for exactly-once
    /// subscriptions (default: a new one at every start). When it comes back under that name, after a kill say, it
    /// ends the transaction it left open at once, and nobody waits for the transaction timeout. Two processes with one
    /// name end each other's transactions for ever.
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(name.into());
        self
    }
    /// Sets a native option of librdkafka, such as `linger.ms` or `ssl.ca.location`. Unknown ones, and those on which
    /// the bus's promises rest, are refused by [`Kafka::connect`](crate::Kafka::connect).
    pub fn set(mut self, option: impl Into<String>, value: impl Into<String>) -> Self {
        self.native.insert(option.into(), value.into());
        self
    }
}

/// Whether an option's value must not be shown.
pub(crate) fn is_secret(option: &str) -> bool {
    let option = option.to_ascii_lowercase();
    [
        "password",
        "secret",
        "token",
        "pem",
        "jaas",
        "sasl.oauthbearer.config",
        "key.location",
    ]
    .iter()
    .any(|part| option.contains(part))
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let native: BTreeMap<&str, &str> = self
            .native
            .iter()
            .map(|(k, v)| (&**k, if is_secret(k) { "…" } else { &**v }))
            .collect();
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("client_id", &self.client_id)
            .field("partitioner", &self.partitioner)
            .field("session_timeout", &self.session_timeout)
            .field("heartbeat", &self.heartbeat)
            .field("rebalance_grace", &self.rebalance_grace)
            .field("connect_timeout", &self.connect_timeout)
            .field("publish_deadline", &self.publish_deadline)
            .field("metadata_refresh", &self.metadata_refresh)
            .field("request_timeout", &self.request_timeout)
            .field("transaction_timeout", &self.transaction_timeout)
            .field("instance", &self.instance)
            .field("native", &native)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let config = KafkaConfig::new("h:1")
            .set("sasl.password", "hunter2")
            .set("ssl.key.pem", "-----hunter2")
            .set("linger.ms", "5");
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("\"linger.ms\": \"5\""), "{shown}");
    }
}
