//! Every setting there is: its names, its form, what it sets, its default and the reason for that. Reading, errors,
//! setters and `docs/settings.md` all go by this table.

use super::kind::Kind;

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its name, as in a file.
    pub(super) name: &'static str,
    /// Its other names in a file.
    pub(super) also: &'static [&'static str],
    /// Its environment variables.
    pub(super) variables: &'static [&'static str],
    /// What its value may be.
    pub(super) kind: Kind,
    /// What of ours it sets.
    pub(super) ours: &'static str,
    /// librdkafka's option; empty: none.
    pub(super) native: &'static str,
    /// As shown in the documentation.
    pub(super) default: &'static str,
    pub(super) reason: &'static str,
}

/// A setting by its name, where the program uses one.
pub(super) fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// A setting by any name that a file may use.
pub(super) fn in_a_file(key: &str) -> Option<&'static Setting> {
    let key = key.to_ascii_lowercase().replace('-', "_");
    SETTINGS
        .iter()
        .find(|setting| setting.name == key || setting.also.contains(&&*key))
}

/// A setting by its environment variable.
pub(super) fn of_variable(variable: &str) -> Option<&'static Setting> {
    SETTINGS
        .iter()
        .find(|setting| setting.variables.contains(&variable))
}

/// The longest time that makes sense anywhere: a day.
const DAY: u64 = 24 * 3600 * 1000;

macro_rules! settings {
    ($($name:literal $(or $also:literal)*, $($variable:literal)*, $kind:expr, $ours:literal, $native:literal, $default:literal, $reason:literal;)*) => {
        &[$(Setting {
            name: $name,
            also: &[$($also),*],
            variables: &[$($variable),*],
            kind: $kind,
            ours: $ours,
            native: $native,
            default: $default,
            reason: $reason,
        }),*]
    };
}

/// The schemes of [`Bus::connect`](crate::Bus::connect) are checked there, where the answer can say more.
const ANY: Kind = Kind::Url(&[]);

pub(super) const SETTINGS: &[Setting] = settings! {
    // Which bus.
    "url" or "bus_url", "BUS_URL", ANY, "`Bus::connect`", "",
        "none", "where an application runs is not ours to guess";
    "backend" or "bus_backend", "BUS_BACKEND", Kind::OneOf(&["memory", "kafka", "redis"]), "which backend, where there is no `url`", "",
        "the one that is configured", "one address is a choice; two are a question";
    "kafka_backend", "KAFKA_BACKEND", Kind::OneOf(&["aiokafka", "confluent", "kafka"]), "the same as `backend = kafka`, where that is needed to choose", "",
        "none", "names of Python clients, which people have in their environments";
    "enabled" or "bus_enabled" or "kafka_enabled", "BUS_ENABLED" "KAFKA_ENABLED", Kind::Flag, "`Bus::disabled`", "",
        "true", "a bus that is off must have been asked for";
    "kafka_bootstrap_servers" or "bootstrap_servers" or "brokers", "KAFKA_BOOTSTRAP_SERVERS", Kind::Brokers, "`KafkaConfig::new`", "bootstrap.servers",
        "none", "where an application runs is not ours to guess";
    "redis_url", "REDIS_URL", Kind::Url(&["redis", "rediss", "redis-cluster", "redis-sentinel"]), "`RedisConfig::from_url`", "",
        "none", "where an application runs is not ours to guess";
    "kafka_schema_registry_url" or "schema_registry_url", "KAFKA_SCHEMA_REGISTRY_URL", Kind::Url(&["http", "https"]), "`Settings::schema_registry_url`", "",
        "none", "needed by schema codecs only";
    "kafka_schema_registry_user" or "schema_registry_user", "KAFKA_SCHEMA_REGISTRY_USER", Kind::Text, "`RegistryConfig::login`", "",
        "none", "only where a registry asks for a login; a URL may have one of its own";
    "kafka_schema_registry_password" or "schema_registry_password", "KAFKA_SCHEMA_REGISTRY_PASSWORD", Kind::Secret, "`RegistryConfig::login`", "",
        "none", "goes with the user";
    "kafka_schema_registry_cafile" or "schema_registry_cafile", "KAFKA_SCHEMA_REGISTRY_CAFILE", Kind::File, "`RegistryConfig::ca_file`", "",
        "the system's", "what the rest of the machine trusts";

    // Security.
    "kafka_security_protocol" or "security_protocol", "KAFKA_SECURITY_PROTOCOL", Kind::OneOf(super::security::PROTOCOLS), "`KafkaConfig::set`", "security.protocol",
        "PLAINTEXT", "as every Kafka client";
    "kafka_sasl_mechanism" or "sasl_mechanism", "KAFKA_SASL_MECHANISM", Kind::OneOf(super::security::MECHANISMS), "`KafkaConfig::set`", "sasl.mechanism",
        "PLAIN, under a SASL protocol", "the one that every broker offers";
    "kafka_sasl_username" or "sasl_username", "KAFKA_SASL_USERNAME", Kind::Text, "`KafkaConfig::set`", "sasl.username",
        "none", "needed under a SASL protocol";
    "kafka_sasl_password" or "sasl_password", "KAFKA_SASL_PASSWORD", Kind::Secret, "`KafkaConfig::set`", "sasl.password",
        "none", "needed under a SASL protocol";
    "kafka_ssl_cafile" or "ssl_cafile", "KAFKA_SSL_CAFILE", Kind::File, "`KafkaConfig::set`", "ssl.ca.location",
        "the system's", "what the rest of the machine trusts";
    "kafka_ssl_certfile" or "ssl_certfile", "KAFKA_SSL_CERTFILE", Kind::File, "`KafkaConfig::set`", "ssl.certificate.location",
        "none", "only where brokers ask for a client's certificate";
    "kafka_ssl_keyfile" or "ssl_keyfile", "KAFKA_SSL_KEYFILE", Kind::File, "`KafkaConfig::set`", "ssl.key.location",
        "none", "goes with the certificate";
    "redis_username", "REDIS_USERNAME", Kind::Text, "`RedisConfig::user`", "",
        "the server's `default`", "where the URL should hold no login";
    "redis_password", "REDIS_PASSWORD", Kind::Secret, "`RedisConfig::password`", "",
        "none", "where the URL should hold no login";
    "redis_password_file", "REDIS_PASSWORD_FILE", Kind::File, "`RedisConfig::password_file`", "",
        "none", "read whenever a connection is made: a rotated password needs no restart";
    "redis_ssl_cafile" or "redis_ssl_ca_certs", "REDIS_SSL_CAFILE" "REDIS_SSL_CA_CERTS", Kind::File, "`Tls::ca`", "",
        "the system's", "what the rest of the machine trusts";
    "redis_ssl_certfile", "REDIS_SSL_CERTFILE", Kind::File, "`Tls::certificate`", "",
        "none", "only where the server asks for a client's certificate";
    "redis_ssl_keyfile", "REDIS_SSL_KEYFILE", Kind::File, "`Tls::certificate`", "",
        "none", "goes with the certificate";

    // Connections and requests.
    "kafka_client_id" or "client_id", "KAFKA_CLIENT_ID", Kind::Text, "`KafkaConfig::client_id`, `RedisConfig::client_id`", "client.id",
        "bus", "brokers show it in logs and quotas";
    "kafka_request_timeout_ms" or "request_timeout_ms", "KAFKA_REQUEST_TIMEOUT_MS", Kind::Number(1_000, 300_000), "`KafkaConfig::request_timeout`", "socket.timeout.ms",
        "30000", "longer than a broker's restart; a question that takes longer has no answer";
    "kafka_retry_backoff_ms" or "retry_backoff_ms", "KAFKA_RETRY_BACKOFF_MS", Kind::Number(1, 300_000), "`KafkaConfig::set`", "retry.backoff.ms",
        "100", "librdkafka's: ten tries a second at most";

    // Publishing.
    "kafka_fire_and_forget" or "fire_and_forget", "KAFKA_FIRE_AND_FORGET", Kind::Flag, "`Defaults::fire_and_forget`", "",
        "false", "a publish says what became of it";
    "kafka_compression_type" or "compression_type", "KAFKA_COMPRESSION_TYPE", Kind::OneOf(&["none", "gzip", "snappy", "lz4", "zstd"]), "`KafkaConfig::set`", "compression.type",
        "none", "costs a core; `lz4` pays from batches of a few kilobytes on";
    "kafka_linger_ms" or "linger_ms", "KAFKA_LINGER_MS", Kind::Number(0, 900_000), "`KafkaConfig::set`", "linger.ms",
        "0", "a lone message goes at once; under load batches form by themselves";
    "kafka_max_batch_size" or "max_batch_size", "KAFKA_MAX_BATCH_SIZE", Kind::Number(1, i32::MAX as u64), "`KafkaConfig::set` (bytes)", "batch.size",
        "1000000", "librdkafka's; a batch may hold one larger message alone";

    // Reading.
    "kafka_auto_offset_reset" or "auto_offset_reset", "KAFKA_AUTO_OFFSET_RESET", Kind::OneOf(&["earliest", "latest", "none"]), "`Defaults::start`: `Start::Earliest`, `Latest`, `Stored`", "",
        "earliest", "a group that is made after a publish still sees it; `none` makes a missing position an error";
    "kafka_enable_auto_commit" or "enable_auto_commit", "KAFKA_ENABLE_AUTO_COMMIT", Kind::Flag, "`Defaults::auto_commit`", "",
        "true", "acknowledged positions go out in the background; with `false` on `flush`, drain and close; never before the ack";
    "kafka_auto_commit_interval_ms" or "auto_commit_interval_ms", "KAFKA_AUTO_COMMIT_INTERVAL_MS", Kind::Number(1, DAY), "`Defaults::commit_every`", "",
        "200", "what a crash may redeliver, against commits a second";
    "kafka_max_poll_records" or "max_poll_records", "KAFKA_MAX_POLL_RECORDS", Kind::Number(1, 1_000_000), "`Defaults::in_flight`", "",
        "1024", "enough to hide a handler's latency, few enough to redeliver after a crash";
    "kafka_session_timeout_ms" or "session_timeout_ms", "KAFKA_SESSION_TIMEOUT_MS", Kind::Number(500, DAY), "`KafkaConfig::session_timeout`, `RedisConfig::ttl`, `MemoryConfig::session_timeout`", "session.timeout.ms",
        "6000 (Kafka), 10000 (Redis, memory)", "a dead member's partitions rest that long; 6 s is the least that brokers accept by default";
    "kafka_heartbeat_interval_ms" or "heartbeat_interval_ms", "KAFKA_HEARTBEAT_INTERVAL_MS", Kind::Number(1, 3_600_000), "`KafkaConfig::heartbeat`", "heartbeat.interval.ms",
        "1000", "how soon a member learns of a rebalance";
    "kafka_group_instance_id" or "group_instance_id", "KAFKA_GROUP_INSTANCE_ID", Kind::Name, "`KafkaConfig::set`", "group.instance.id",
        "none", "a name that no other process has; one that comes back under it keeps its partitions";

    // What applications publish and read.
    "messaging_default_topic" or "default_topic" or "topic", "MESSAGING_DEFAULT_TOPIC", Kind::Name, "`Settings::default_topic`", "",
        "events", "where a publish without a topic goes";
    "messaging_default_group" or "group" or "group_id", "MESSAGING_DEFAULT_GROUP", Kind::Name, "`Settings::default_group`", "",
        "none", "a group's name is part of what an application is";
    "messaging_event_source" or "event_source", "MESSAGING_EVENT_SOURCE", Kind::Text, "`Settings::event_source`", "",
        "the application's name", "who made an event";
    "messaging_dead_letter_topic" or "dead_letter_topic", "MESSAGING_DEAD_LETTER_TOPIC", Kind::Template, "`Defaults::dead_letter`; may hold `{topic}` and `{group}`", "",
        "`{topic}.{group}.dlq`", "one place for each group's failures of each topic";
    "avro_default_namespace", "AVRO_DEFAULT_NAMESPACE", Kind::Text, "`Settings::avro_namespace`", "",
        "com.core.events", "what schemas in use have";
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_name_is_used_twice() {
        let mut names = BTreeSet::new();
        for setting in SETTINGS {
            for name in setting
                .also
                .iter()
                .chain([&setting.name])
                .chain(setting.variables)
            {
                assert!(names.insert(name), "{name}");
            }
        }
    }
}
