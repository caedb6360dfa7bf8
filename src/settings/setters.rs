//! Settings by hand: the strongest there are.

use super::{
    BackendName, Mechanism, Protocol, Settings,
    section::normal,
    value::{Given, Layer},
};
use std::time::Duration;

/// How batches are compressed on Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// The smallest without zstd, the slowest.
    Gzip,
    /// Fast.
    Snappy,
    /// Fast, and smaller than snappy in most cases.
    Lz4,
    /// The smallest; librdkafka must be built with it.
    Zstd,
}

/// What cannot be is kept and told by [`Settings::check`], which connecting asks first, so that setters can be chained.
/// An empty text means unset.
impl Settings {
    fn give_all(mut self, values: &[(&'static str, &str)]) -> Self {
        for (name, text) in values {
            self.give(name, text);
        }
        self
    }
    /// Where the bus is, as [`Bus::connect`](crate::Bus::connect) takes it.
    pub fn url(self, url: impl AsRef<str>) -> Self {
        self.give_all(&[("url", url.as_ref())])
    }
    /// Which backend, where several have an address.
    pub fn backend(self, backend: BackendName) -> Self {
        self.give_all(&[("backend", backend.text())])
    }
    /// Whether the bus is on (default yes).
    pub fn enabled(self, on: bool) -> Self {
        self.give_all(&[("enabled", if on { "true" } else { "false" })])
    }
    /// Addresses of some of Kafka's brokers.
    pub fn brokers<B: AsRef<str>>(self, brokers: impl IntoIterator<Item = B>) -> Self {
        let all: Vec<_> = brokers
            .into_iter()
            .map(|broker| broker.as_ref().to_owned())
            .collect();
        self.give_all(&[("kafka_bootstrap_servers", &all.join(","))])
    }
    /// Where Redis is.
    pub fn redis_url(self, url: impl AsRef<str>) -> Self {
        self.give_all(&[("redis_url", url.as_ref())])
    }
    /// Transport and login (default [`Protocol::Plaintext`]).
    pub fn security_protocol(self, protocol: Protocol) -> Self {
        self.give_all(&[("kafka_security_protocol", protocol.text())])
    }
    /// The login.
    pub fn sasl(self, mechanism: Mechanism, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        self.give_all(&[
            ("kafka_sasl_mechanism", mechanism.text()),
            ("kafka_sasl_username", user.as_ref()),
            ("kafka_sasl_password", password.as_ref()),
        ])
    }
    /// A file of the authorities that sign brokers' certificates (default: the system's).
    pub fn ssl_cafile(self, path: impl AsRef<str>) -> Self {
        self.give_all(&[("kafka_ssl_cafile", path.as_ref())])
    }
    /// Files of the client's own certificate and its key.
    pub fn ssl_certificate(self, certificate: impl AsRef<str>, key: impl AsRef<str>) -> Self {
        self.give_all(&[
            ("kafka_ssl_certfile", certificate.as_ref()),
            ("kafka_ssl_keyfile", key.as_ref()),
        ])
    }
    /// What brokers call this process (default `bus`).
    pub fn client_id(self, id: impl AsRef<str>) -> Self {
        self.give_all(&[("kafka_client_id", id.as_ref())])
    }
    /// The namespace of Avro schemas whose types name none (default `com.core.events`).
    pub fn avro_default_namespace(self, namespace: impl AsRef<str>) -> Self {
        self.give_all(&[("avro_default_namespace", namespace.as_ref())])
    }
    /// How Kafka's batches are compressed (default not at all).
    pub fn compression(self, how: Compression) -> Self {
        let text = match how {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        };
        self.give_all(&[("kafka_compression_type", text)])
    }
    /// How long Kafka's batches wait for more (default not at all).
    pub fn linger(self, age: Duration) -> Self {
        self.give_all(&[("kafka_linger_ms", &age.as_millis().to_string())])
    }
    /// Bytes of Kafka's batches, at most (default 1 000 000).
    pub fn max_batch_size(self, bytes: u32) -> Self {
        self.give_all(&[("kafka_max_batch_size", &bytes.to_string())])
    }
    /// Where a publish without a topic goes (default `events`).
    pub fn with_default_topic(self, topic: impl AsRef<str>) -> Self {
        self.give_all(&[("messaging_default_topic", topic.as_ref())])
    }
    /// Who makes the application's events.
    pub fn with_event_source(self, source: impl AsRef<str>) -> Self {
        self.give_all(&[("messaging_event_source", source.as_ref())])
    }
    /// The topic that the application calls `name`.
    pub fn with_topic(mut self, name: &str, topic: impl Into<String>) -> Self {
        let given = Given::new(topic, Layer::Explicit, format!("`topics.{name}` in the program"));
        self.topics.insert(normal(name), given);
        self
    }
    /// The group that the application calls `name`.
    pub fn with_group(mut self, name: &str, group: impl Into<String>) -> Self {
        let given = Given::new(group, Layer::Explicit, format!("`groups.{name}` in the program"));
        self.groups.insert(normal(name), given);
        self
    }
    /// Any setting by its name in `docs/settings.md` (`kafka_linger_ms`), or an option of the backend as its URL takes it:
    /// librdkafka's own (`linger.ms`), Redis's (`durability`), the memory bus's (`max_messages`).
    pub fn set(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        let (name, value) = (name.into(), value.to_string());
        match super::table::in_a_file(&name) {
            Some(setting) => self.give(setting.name, &value),
            None => {
                let given = Given::new(value, Layer::Explicit, format!("option `{name}` in the program"));
                self.options.insert(name, given);
            }
        }
        self
    }
}
