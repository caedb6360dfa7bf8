//! Settings as each backend takes them, the weakest layer first; of one layer first the settings, then the URL's
//! options, then the raw ones.

use super::{
    BackendName, Settings,
    choose::Target,
    table::SETTINGS,
    value::{Given, Layer},
};
#[cfg(any(feature = "kafka", feature = "redis"))]
use bus_core::Error;
use bus_core::{Backend, Result};
use std::sync::Arc;
#[cfg(any(feature = "memory", feature = "kafka", feature = "redis"))]
use std::time::Duration;

/// Settings of Redis alone, and the options of its URL that they are.
#[cfg(feature = "redis")]
const OF_REDIS: [(&str, &str); 6] = [
    ("redis_username", "username"),
    ("redis_password", "password"),
    ("redis_password_file", "password.file"),
    ("redis_ssl_cafile", "tls.ca"),
    ("redis_ssl_certfile", "tls.cert"),
    ("redis_ssl_keyfile", "tls.key"),
];

impl Settings {
    /// Connects to the backend that is asked for.
    pub(crate) async fn connect(&self) -> Result<Arc<dyn Backend>> {
        let target = self.target()?;
        let url = match target {
            Target::Url(url) => url.reveal(),
            Target::Brokers => "kafka://",
            Target::Memory => "memory://",
        };
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        let backend = BackendName::scheme(url).ok_or_else(|| match scheme {
            Some(scheme) => crate::connect::unknown(scheme),
            None => crate::connect::malformed(url),
        })?;
        self.say_what_is_unused(backend);
        let url = match target {
            Target::Url(url) => Some(url),
            _ => None,
        };
        match backend {
            #[cfg(feature = "memory")]
            BackendName::Memory => Ok(Arc::new(self.memory(url)?)),
            #[cfg(feature = "kafka")]
            BackendName::Kafka => Ok(Arc::new(bus_kafka::Kafka::connect(self.kafka(url)?).await?)),
            #[cfg(feature = "redis")]
            BackendName::Redis => Ok(Arc::new(bus_redis::Redis::connect(self.redis(url)?).await?)),
            #[allow(unreachable_patterns, reason = "with every backend compiled in")]
            missing => Err(crate::connect::unknown(missing.text())),
        }
    }

    /// Which settings this backend has no use for: said once, because a setting without effect surprises.
    fn say_what_is_unused(&self, backend: BackendName) {
        if backend == BackendName::Kafka {
            return;
        }
        let on_all = [
            "kafka_client_id",
            "kafka_session_timeout_ms",
            "kafka_bootstrap_servers",
            "kafka_backend",
            "kafka_schema_registry_url",
            "kafka_schema_registry_user",
            "kafka_schema_registry_password",
            "kafka_schema_registry_cafile",
        ];
        let of_core = |ours: &str| ours.contains("Defaults::") || ours.contains("Settings::");
        let unused: Vec<_> = SETTINGS
            .iter()
            .filter(|s| s.name.starts_with("kafka_") && !on_all.contains(&s.name) && !of_core(s.ours))
            .filter_map(|s| self.given(s.name))
            .map(|given| &*given.origin)
            .collect();
        if !unused.is_empty() {
            tracing::info!(
                "settings without effect on `{}`: {}",
                backend.text(),
                unused.join(", ")
            );
        }
    }

    /// Options of the backend that were given in this layer.
    #[cfg(any(feature = "memory", feature = "kafka", feature = "redis"))]
    fn options_of(&self, layer: Layer) -> impl Iterator<Item = (&str, &Given)> {
        self.options
            .iter()
            .filter(move |(_, given)| given.layer == layer)
            .map(|(name, given)| (&**name, given))
    }
    #[cfg(any(feature = "memory", feature = "kafka", feature = "redis"))]
    fn text_of(&self, layer: Layer, name: &'static str) -> Option<&str> {
        self.given(name)
            .filter(|given| given.layer == layer)
            .map(Given::reveal)
    }
    #[cfg(any(feature = "memory", feature = "kafka", feature = "redis"))]
    fn millis_of(&self, layer: Layer, name: &'static str) -> Option<Duration> {
        self.text_of(layer, name)?.parse().ok().map(Duration::from_millis)
    }

    #[cfg(feature = "memory")]
    fn memory(&self, url: Option<&Given>) -> Result<bus_memory::Memory> {
        let mut config = bus_memory::MemoryConfig::default();
        for layer in Layer::ALL {
            if let Some(timeout) = self.millis_of(layer, "kafka_session_timeout_ms") {
                config = config.session_timeout(timeout);
            }
            if let Some(url) = url.filter(|url| url.layer == layer) {
                config = config.merge_url(url.reveal())?;
            }
            for (name, given) in self.options_of(layer) {
                config = config
                    .option(name, given.reveal())
                    .map_err(|e| e.context(&given.origin))?;
            }
        }
        bus_memory::Memory::at_url(url.map_or("memory://", Given::reveal), config)
    }

    /// The configuration of a Kafka client, for a backend or a native client made by hand. Its `Debug` masks secrets.
    /// # Errors
    /// `Invalid`: no Kafka is configured, or a setting is wrong.
    #[cfg(feature = "kafka")]
    pub fn kafka_config(&self) -> Result<bus_kafka::KafkaConfig> {
        self.check()?;
        match self.target()? {
            Target::Brokers => self.kafka(None),
            Target::Url(url) if BackendName::scheme(url.reveal()) == Some(BackendName::Kafka) => {
                self.kafka(Some(url))
            }
            _ => Err(other("kafka")),
        }
    }

    #[cfg(feature = "kafka")]
    fn kafka(&self, url: Option<&Given>) -> Result<bus_kafka::KafkaConfig> {
        let mut config =
            bus_kafka::KafkaConfig::new(self.text("kafka_bootstrap_servers").unwrap_or_default());
        for layer in Layer::ALL {
            config = self.kafka_layer(layer, config);
            if let Some(url) = url.filter(|url| url.layer == layer) {
                config = config.merge_url(url.reveal())?;
            }
            for (name, given) in self.options_of(layer) {
                config = config
                    .option(name, given.reveal())
                    .map_err(|e| e.context(&given.origin))?;
            }
        }
        Ok(config)
    }

    #[cfg(feature = "kafka")]
    fn kafka_layer(&self, layer: Layer, mut config: bus_kafka::KafkaConfig) -> bus_kafka::KafkaConfig {
        if let Some(id) = self.text_of(layer, "kafka_client_id") {
            config = config.client_id(id);
        }
        if let Some(timeout) = self.millis_of(layer, "kafka_request_timeout_ms") {
            config = config.request_timeout(timeout);
        }
        if let Some(timeout) = self.millis_of(layer, "kafka_session_timeout_ms") {
            config = config.session_timeout(timeout);
        }
        if let Some(interval) = self.millis_of(layer, "kafka_heartbeat_interval_ms") {
            config = config.heartbeat(interval);
        }
        // Those have a place of their own above, or are the address.
        let own = [
            "client.id",
            "session.timeout.ms",
            "heartbeat.interval.ms",
            "bootstrap.servers",
        ];
        for setting in SETTINGS
            .iter()
            .filter(|s| !s.native.is_empty() && !own.contains(&s.native))
        {
            if let Some(text) = self.text_of(layer, setting.name) {
                config = config.set(setting.native, text);
            }
        }
        // librdkafka's own default is Kerberos, which nobody means who has a user and a password.
        let named = ["sasl.mechanism", "sasl.mechanisms"]
            .iter()
            .any(|name| self.options.contains_key(*name));
        if self.text_of(layer, "kafka_sasl_username").is_some()
            && self.given("kafka_sasl_mechanism").is_none()
            && !named
        {
            config = config.set("sasl.mechanism", "PLAIN");
        }
        config
    }

    /// The configuration of a Redis backend, for one that is made by hand. Its `Debug` masks the password.
    /// # Errors
    /// `Invalid`: no Redis is configured, or a setting is wrong.
    #[cfg(feature = "redis")]
    pub fn redis_config(&self) -> Result<bus_redis::RedisConfig> {
        self.check()?;
        match self.target()? {
            Target::Url(url) if BackendName::scheme(url.reveal()) == Some(BackendName::Redis) => {
                self.redis(Some(url))
            }
            _ => Err(other("redis")),
        }
    }

    #[cfg(feature = "redis")]
    fn redis(&self, url: Option<&Given>) -> Result<bus_redis::RedisConfig> {
        let Some(url) = url else {
            return Err(other("redis"));
        };
        let mut config = bus_redis::RedisConfig::new("", 6379);
        for layer in Layer::ALL {
            if let Some(id) = self.text_of(layer, "kafka_client_id") {
                config = config.option("client.id", id)?;
            }
            if let Some(ttl) = self.millis_of(layer, "kafka_session_timeout_ms") {
                config = config.ttl(ttl);
            }
            for (name, option) in OF_REDIS {
                if let Some(text) = self.text_of(layer, name) {
                    config = config.option(option, text)?;
                }
            }
            if url.layer == layer {
                config = config.merge_url(url.reveal())?;
            }
            for (name, given) in self.options_of(layer) {
                config = config
                    .option(name, given.reveal())
                    .map_err(|e| e.context(&given.origin))?;
            }
        }
        Ok(config)
    }
}

/// What is configured is another backend.
#[cfg(any(feature = "kafka", feature = "redis"))]
fn other(backend: &str) -> Error {
    Error::invalid(format!("these settings do not ask for `{backend}`"))
}
