//! Native configurations, one for each kind of client.

use crate::{
    KafkaConfig,
    config::is_secret,
    native::{Conf, SetError},
};
use bus_core::{Error, ErrorKind, Result, mutant, partition::Partitioner};
use std::time::Duration;

/// Options on which the bus's promises rest.
const OURS: &[(&str, &str)] = &[
    ("bootstrap.servers", "it is the address"),
    ("metadata.broker.list", "it is the address"),
    ("group.id", "it is the subscription's group"),
    ("enable.auto.commit", "the bus commits"),
    ("enable.auto.offset.store", "the bus commits"),
    (
        "auto.offset.reset",
        "a start is chosen by `Start` and never jumps",
    ),
    ("auto.commit.interval.ms", "the bus commits"),
    ("enable.idempotence", "a lost reply must make no duplicate"),
    (
        "enable.gapless.guarantee",
        "what may be stored must not be sent under another epoch",
    ),
    ("acks", "stored means stored by all replicas in sync"),
    (
        "request.required.acks",
        "stored means stored by all replicas in sync",
    ),
    ("isolation.level", "readers never see an aborted output"),
    (
        "partition.assignment.strategy",
        "members hand partitions over one by one",
    ),
    ("allow.auto.create.topics", "a missing topic is an error"),
    (
        "enable.partition.eof",
        "with batches it loses a record at a rebalance",
    ),
    (
        "transactional.id",
        "exactly once is asked for by the subscription",
    ),
    ("transaction.timeout.ms", "use `KafkaConfig::transaction_timeout`"),
    ("log.queue", "the bus reads the log"),
    ("partitioner", "use `KafkaConfig::partitioner`"),
    ("client.id", "use `KafkaConfig::client_id`"),
    ("message.timeout.ms", "use `KafkaConfig::publish_deadline`"),
    ("delivery.timeout.ms", "use `KafkaConfig::publish_deadline`"),
    ("session.timeout.ms", "use `KafkaConfig::session_timeout`"),
    ("heartbeat.interval.ms", "use `KafkaConfig::heartbeat`"),
];

/// The most bytes of a message on the wire, unless `message.max.bytes` says otherwise: brokers' own default.
const MESSAGE_MAX: usize = 1_048_588;

impl KafkaConfig {
    /// Bytes of a message on the wire.
    pub(crate) fn message_max(&self) -> usize {
        self.native
            .get("message.max.bytes")
            .and_then(|v| v.parse().ok())
            .unwrap_or(MESSAGE_MAX)
    }

    /// For questions about topics and groups.
    pub(crate) fn admin_conf(&self) -> Result<Conf> {
        let mut conf = Conf::new();
        self.common(&mut conf)?;
        // A request that waits for a certain broker asks for a connection whenever any broker's state changes, and being
        // asked makes librdkafka forget its reconnect backoff: with that broker down, it would try without a pause. Without
        // sparse connections nobody asks, and every broker is tried at the backoff's pace.
        set(&mut conf, "enable.sparse.connections", "false")?;
        self.user(&mut conf)?;
        Ok(conf)
    }

    /// For asking about a group from outside of it.
    pub(crate) fn coordinator_conf(&self, group: &str) -> Result<Conf> {
        let mut conf = self.admin_conf()?;
        set(&mut conf, "group.id", group)?;
        set(&mut conf, "enable.auto.commit", "false")?;
        Ok(conf)
    }

    /// For publishing: one epoch, and no other. What librdkafka would begin another for fails the producer instead.
    pub(crate) fn publisher_conf(&self) -> Result<Conf> {
        let mut conf = self.producer_conf()?;
        // A line of this part of the log says that a sequence number is missing, while it can still be acted upon.
        let debug = self.native.get("debug").map(|parts| format!("{parts},eos"));
        for (option, value) in [
            (
                "enable.gapless.guarantee",
                if mutant("publish-twice") { "false" } else { "true" },
            ),
            // Deadlines are ours.
            ("message.timeout.ms", "0"),
            ("debug", debug.as_deref().unwrap_or("eos")),
        ] {
            set(&mut conf, option, value)?;
        }
        Ok(conf)
    }

    /// For any producer.
    fn producer_conf(&self) -> Result<Conf> {
        let mut conf = Conf::new();
        self.common(&mut conf)?;
        let partitioner = match self.partitioner {
            Partitioner::Crc32 => "consistent_random",
            _ => "murmur2_random",
        };
        for (option, value) in [
            (
                "enable.idempotence",
                if mutant("publish-twice") { "false" } else { "true" },
            ),
            ("acks", "all"),
            ("linger.ms", "0"),
            ("partitioner", partitioner),
            // Core bounds what is in flight, by a fair semaphore; a second bound here would only block a thread.
            ("queue.buffering.max.messages", "0"),
            ("queue.buffering.max.kbytes", "2147483647"),
            ("message.max.bytes", &MESSAGE_MAX.to_string()),
        ] {
            set(&mut conf, option, value)?;
        }
        self.user(&mut conf)?;
        Ok(conf)
    }

    /// For the outputs and offsets of one exactly-once subscription.
    pub(crate) fn transactional_conf(&self, id: &str) -> Result<Conf> {
        let mut conf = self.producer_conf()?;
        let millis = |of: Duration| of.as_millis().to_string();
        // A request whose answer is lost is sent again while there is still time for it.
        let patience = millis(self.transaction_patience() / 2);
        for (option, value) in [
            ("transactional.id", id),
            ("transaction.timeout.ms", &millis(self.transaction_timeout)),
            ("message.timeout.ms", &millis(self.transaction_patience())),
            ("socket.timeout.ms", &patience),
            // Whoever waits for the transaction's end waits for every one of its messages.
            ("linger.ms", "0"),
        ] {
            set(&mut conf, option, value)?;
        }
        Ok(conf)
    }

    /// How long a transaction is waited for by those who write it: less than brokers wait.
    pub(crate) fn transaction_patience(&self) -> Duration {
        self.transaction_timeout * 3 / 4
    }

    /// For reading; `partitions` is how many the topics have, which share one memory budget.
    pub(crate) fn consumer_conf(&self, group: &str, partitions: u32) -> Result<Conf> {
        let mut conf = Conf::new();
        self.common(&mut conf)?;
        let share = (65_536 / partitions.max(1)).clamp(1_024, 16_384);
        let mut options = vec![
            ("group.id", group.to_owned()),
            ("enable.auto.commit", "false".to_owned()),
            ("enable.auto.offset.store", "false".to_owned()),
            ("auto.offset.reset", "error".to_owned()),
            ("isolation.level", "read_committed".to_owned()),
            // The batch call counts an end-of-partition as a record when it remembers the position, and the next
            // rebalance's pause then resumes one record too far.
            ("enable.partition.eof", "false".to_owned()),
            // The default second is why raw polls reach a sixth of what they can.
            ("fetch.queue.backoff.ms", "5".to_owned()),
            ("queued.max.messages.kbytes", share.to_string()),
            ("fetch.error.backoff.ms", "100".to_owned()),
        ];
        if self.native.get("group.protocol").map(String::as_str) != Some("consumer") {
            options.push(("partition.assignment.strategy", "cooperative-sticky".to_owned()));
            options.push(("session.timeout.ms", self.session_timeout.as_millis().to_string()));
            options.push(("heartbeat.interval.ms", self.heartbeat.as_millis().to_string()));
        }
        for (option, value) in options {
            set(&mut conf, option, &value)?;
        }
        self.user(&mut conf)?;
        Ok(conf)
    }

    fn common(&self, conf: &mut Conf) -> Result<()> {
        // librdkafka keeps what it knows of topics for three times as long, counts that in microseconds as an `int`, and
        // beyond 36 minutes forgets everything at once.
        let refresh = self.metadata_refresh.min(Duration::from_secs(600));
        let refresh = refresh.as_millis().to_string();
        for (option, value) in [
            ("bootstrap.servers", &*self.brokers),
            ("client.id", &*self.client_id),
            ("allow.auto.create.topics", "false"),
            // A topic is known before anything is sent to it, so one that is not there was deleted.
            ("topic.metadata.propagation.max.ms", "5000"),
            // The default of 10 s means that a broker which is back is not seen for as long.
            ("reconnect.backoff.max.ms", "1000"),
            // A connection that is silent for good is found out by a request without an answer: after as long as by Java's
            // client, not after the default of a minute.
            ("socket.timeout.ms", "30000"),
            ("topic.metadata.refresh.interval.ms", &*refresh),
        ] {
            set(conf, option, value)?;
        }
        Ok(())
    }

    fn user(&self, conf: &mut Conf) -> Result<()> {
        let option = |name: &str| self.native.get(name).map(|value| value.to_ascii_lowercase());
        let tls = option("security.protocol").is_some_and(|protocol| protocol.ends_with("ssl"));
        if tls && option("enable.ssl.certificate.verification").is_none_or(|asked| asked == "true") {
            conf.explain_certificates();
        }
        for (option, value) in &self.native {
            if let Some((_, why)) = OURS.iter().find(|(ours, _)| ours == option) {
                return Err(Error::invalid(format!("option `{option}` cannot be set: {why}")));
            }
            set(conf, option, value)?;
        }
        Ok(())
    }
}

fn set(conf: &mut Conf, option: &str, value: &str) -> Result<()> {
    conf.set(option, value).map_err(|why| match why {
        SetError::Unknown => Error::invalid(format!(
            "unknown kafka option `{}`; librdkafka's CONFIGURATION.md lists them all",
            option.escape_debug()
        )),
        SetError::Invalid(_) if is_secret(option) => {
            Error::invalid(format!("the value of kafka option `{option}` is not accepted"))
        }
        SetError::Invalid(why)
            if why.contains("not available in this build") || why.contains("not built") =>
        {
            Error::new(
                ErrorKind::Unsupported,
                format!("kafka option `{option}`: {why}; add the `kafka-tls` feature of `bus`, or `zstd` or `gssapi` of `bus-kafka`"),
            )
        }
        SetError::Invalid(why) => Error::invalid(format!("kafka option `{option}`: {why}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_can_be_configured() {
        let config = KafkaConfig::new("h:1");
        config.admin_conf().unwrap();
        config.publisher_conf().unwrap();
        config.consumer_conf("g", 1_000).unwrap();
        config.transactional_conf("bus.g.1").unwrap();
    }

    #[test]
    fn unknown_and_reserved_options_are_named() {
        for (option, value) in [
            ("lingr.ms", "5"),
            ("linger.ms", "soon"),
            ("enable.auto.commit", "true"),
        ] {
            let error = KafkaConfig::new("h:1")
                .set(option, value)
                .publisher_conf()
                .err()
                .unwrap();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(option), "{error}");
        }
    }
}
