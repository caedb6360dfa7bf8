//! What is wrong is named, with its place and what is allowed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod folder;

use bus::{ErrorKind, Settings, settings::Sources};
use folder::Folder;

fn environment(variables: &[(&str, &str)]) -> bus::Result<Settings> {
    Sources::new()
        .no_dotenv()
        .environment(variables.iter().copied())
        .read()
}

fn file(name: &str, text: &str) -> bus::Result<Settings> {
    let folder = Folder::new();
    let path = folder.file(name, text);
    Sources::new()
        .file(path)
        .section("mq")
        .no_dotenv()
        .environment([("", "")])
        .read()
}

fn says(result: bus::Result<Settings>, parts: &[&str]) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for part in parts {
        assert!(error.message().contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn a_bad_value_names_key_value_and_what_is_allowed() {
    for (variable, value, allowed) in [
        ("KAFKA_LINGER_MS", "soon", "a whole number from 0 to 900000"),
        ("KAFKA_LINGER_MS", "5.5", "a whole number from 0 to 900000"),
        ("KAFKA_MAX_POLL_RECORDS", "0", "from 1 to"),
        ("KAFKA_SESSION_TIMEOUT_MS", "-1", "from 500 to"),
        ("KAFKA_ENABLED", "maybe", "`true` or `false`"),
        (
            "KAFKA_COMPRESSION_TYPE",
            "brotli",
            "`none`, `gzip`, `snappy`, `lz4` or `zstd`",
        ),
        (
            "KAFKA_AUTO_OFFSET_RESET",
            "newest",
            "`earliest`, `latest` or `none`",
        ),
        (
            "KAFKA_SECURITY_PROTOCOL",
            "TLS",
            "`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`",
        ),
        (
            "KAFKA_SASL_MECHANISM",
            "MD5",
            "`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`",
        ),
        ("KAFKA_SSL_CAFILE", "/no/such/file.pem", "a file that is there"),
        ("KAFKA_BACKEND", "sarama", "`aiokafka`, `confluent` or `kafka`"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka://h:1", "`host:port`"),
        ("BUS_BACKEND", "rabbitmq", "`memory`, `kafka` or `redis`"),
        ("MESSAGING_DEFAULT_TOPIC", "a b", "letters, digits"),
        (
            "MESSAGING_DEAD_LETTER_TOPIC",
            "{origin}.dlq",
            "`{topic}` and `{group}`",
        ),
        ("KAFKA_TOPIC_ORDERS", "a/b", "letters, digits"),
    ] {
        says(
            environment(&[(variable, value)]),
            &["the environment", variable, value, allowed],
        );
    }
}

#[test]
fn a_setter_is_told_off_when_the_settings_are_used() {
    let settings = Settings::new().set("kafka_linger_ms", "soon").client_id("me");
    says(
        settings.check().map(|()| Settings::new()),
        &["kafka_linger_ms", "soon", "a whole number"],
    );
}

#[test]
fn an_unknown_key_of_a_section_is_an_error_with_the_near_names() {
    says(
        file("a.yml", "mq: {lingr_ms: 5}\n"),
        &[
            "a.yml, section `mq`",
            "unknown setting `lingr_ms`",
            "did you mean `linger_ms`",
        ],
    );
    says(
        file("a.toml", "[mq]\nkafka_clientid = \"x\"\n"),
        &["`kafka_clientid`", "`kafka_client_id`"],
    );
    says(file("a.yml", "mq: {brokerz: [h]}\n"), &["did you mean `brokers`"]);
    says(
        file("a.yml", "mq: {colour: red}\n"),
        &["unknown setting `colour`", "docs/settings.md"],
    );
    // What is beside the section is the application's.
    file("a.yml", "mq: {linger_ms: 5}\nlingr_ms: 5\n").unwrap();
}

#[test]
fn an_unknown_variable_is_an_error_only_where_it_is_ours() {
    says(
        environment(&[("BUS_URI", "memory://")]),
        &["the environment", "unknown setting `BUS_URI`", "`BUS_URL`"],
    );
    says(
        environment(&[("BUS_BACKENDS", "kafka")]),
        &["did you mean `BUS_BACKEND`"],
    );
    let fine = [
        ("KAFKA_HEAP_OPTS", "-Xmx1G"),
        ("KAFKA_LINGR_MS", "5"),
        ("REDIS_PASSWORD", "x"),
        ("MESSAGING_X", "y"),
        ("DBUS_SESSION_BUS_ADDRESS", "z"),
        // The command line's, the tests', and what Kubernetes sets for a service that is called `bus`.
        ("BUS_LOG", "debug"),
        ("BUS_PUBLISH_KEY", "k"),
        ("BUS_TEST_KAFKA", "h:1"),
        ("BUS_SERVICE_HOST", "10.0.0.1"),
        ("BUS_PORT_80_TCP_ADDR", "10.0.0.1"),
    ];
    environment(&fine).unwrap();
}

#[test]
fn the_same_setting_by_two_names_is_an_error_that_names_both() {
    says(
        file("a.yml", "mq: {linger_ms: 5, kafka_linger_ms: 6}\n"),
        &["`linger_ms`", "`kafka_linger_ms`"],
    );
    says(
        environment(&[("BUS_ENABLED", "true"), ("KAFKA_ENABLED", "false")]),
        &["`BUS_ENABLED`", "`KAFKA_ENABLED`"],
    );
    environment(&[("BUS_ENABLED", "false"), ("KAFKA_ENABLED", "no")]).unwrap();
}

#[test]
fn every_mistake_of_a_source_is_told_at_once() {
    says(
        environment(&[("KAFKA_LINGER_MS", "x"), ("BUS_URI", "y"), ("KAFKA_ENABLED", "z")]),
        &["KAFKA_LINGER_MS", "BUS_URI", "KAFKA_ENABLED"],
    );
}

#[test]
fn what_has_the_wrong_shape_is_named() {
    says(
        file("a.yml", "mq: [1]\n"),
        &["section `mq`", "a section of settings is needed, not a list"],
    );
    says(
        file("a.yml", "mq: {linger_ms: [5]}\n"),
        &["`linger_ms` is a list"],
    );
    says(
        file("a.yml", "mq: {topics: events}\n"),
        &["`topics` is a text", "a section of names and values"],
    );
    says(
        file("a.yml", "mq: {brokers: [{host: h}]}\n"),
        &["`brokers` holds a section"],
    );
    // Zeros before a number are gone when it comes, and a password without them is another one.
    says(
        file("a.yml", "mq: {sasl_password: 0070}\n"),
        &["`sasl_password`", "in quotes"],
    );
    says(file("a.yml", "mq:\n  a: 'b\n"), &["a.yml", "no valid YAML"]);
    says(
        file("a.toml", "[mq]\nlinger_ms = = 5\n"),
        &["a.toml, line 2", "no valid TOML"],
    );
}

#[test]
fn a_line_of_dotenv_that_is_none_is_named() {
    let folder = Folder::new();
    let path = folder.file(".env", "KAFKA_CLIENT_ID=a\nKAFKA_SASL_USERNAME=two words\n");
    says(
        Sources::new().dotenv(path).environment([("", "")]).read(),
        &[".env", "what follows `KAFKA_CLIENT_ID`"],
    );
}

#[test]
fn a_heartbeat_is_shorter_than_the_session() {
    let beat = ("KAFKA_HEARTBEAT_INTERVAL_MS", "6000");
    says(
        environment(&[beat]),
        &["KAFKA_HEARTBEAT_INTERVAL_MS", "6000", "shorter"],
    );
    environment(&[beat, ("KAFKA_SESSION_TIMEOUT_MS", "18000")]).unwrap();
}
