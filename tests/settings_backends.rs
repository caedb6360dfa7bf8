//! Settings reach Kafka's and Redis's own options, and a broker that is not there is told of in a few lines.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod folder;
mod harness;

use bus::{
    Bus, ErrorKind, Message, Outcome, Settings, TopicSpec,
    settings::{Mechanism, Protocol, Sources},
};
use folder::Folder;
use std::time::Duration;

fn read(variables: &[(&str, &str)]) -> Settings {
    Sources::new()
        .no_dotenv()
        .environment(variables.iter().copied())
        .read()
        .unwrap()
}

/// Fields as `Debug` shows them.
fn has(shown: &str, parts: &[&str]) {
    for part in parts {
        assert!(shown.contains(part), "`{part}` is not in {shown}");
    }
}

#[test]
fn every_kafka_setting_is_an_option_of_the_client() {
    let folder = Folder::new();
    let file = folder.file("ca.pem", "-").display().to_string();
    let settings = read(&[
        ("KAFKA_BOOTSTRAP_SERVERS", "h:1,i:2"),
        ("KAFKA_CLIENT_ID", "me"),
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
        ("KAFKA_SASL_USERNAME", "u"),
        ("KAFKA_SASL_PASSWORD", "hunter2"),
        ("KAFKA_SSL_CAFILE", &file),
        ("KAFKA_SSL_CERTFILE", &file),
        ("KAFKA_SSL_KEYFILE", &file),
        ("KAFKA_COMPRESSION_TYPE", "lz4"),
        ("KAFKA_LINGER_MS", "5"),
        ("KAFKA_MAX_BATCH_SIZE", "32768"),
        ("KAFKA_REQUEST_TIMEOUT_MS", "20000"),
        ("KAFKA_RETRY_BACKOFF_MS", "50"),
        ("KAFKA_SESSION_TIMEOUT_MS", "9000"),
        ("KAFKA_HEARTBEAT_INTERVAL_MS", "3000"),
        ("KAFKA_GROUP_INSTANCE_ID", "pod-1"),
    ]);
    let config = settings.kafka_config().unwrap();
    let shown = format!("{config:?}");
    has(
        &shown,
        &[
            r#"brokers: "h:1,i:2""#,
            r#"client_id: "me""#,
            r#""security.protocol": "SASL_SSL""#,
            r#""sasl.mechanism": "SCRAM-SHA-512""#,
            r#""sasl.username": "u""#,
            r#""compression.type": "lz4""#,
            r#""linger.ms": "5""#,
            r#""batch.size": "32768""#,
            r#""socket.timeout.ms": "20000""#,
            "request_timeout: 20s",
            r#""retry.backoff.ms": "50""#,
            "session_timeout: 9s",
            "heartbeat: 3s",
            r#""group.instance.id": "pod-1""#,
            "ssl.ca.location",
            "ssl.certificate.location",
            "ssl.key.location",
        ],
    );
    assert!(!shown.contains("hunter2"));
    // What a client of one's own needs, the password too.
    let native = config.client_config();
    assert_eq!(native.get("sasl.password"), Some("hunter2"));
    assert_eq!(native.get("linger.ms"), Some("5"));
    assert_eq!(native.get("bootstrap.servers"), Some("h:1,i:2"));
    has(
        &format!("{:?}", Settings::new().brokers(["h:1"]).kafka_config().unwrap()),
        &["request_timeout: 30s", "session_timeout: 6s"],
    );
}

#[test]
fn the_stronger_source_wins_over_a_urls_options_too() {
    let folder = Folder::new();
    let file = folder.file(
        "a.yml",
        "linger_ms: 1\nretry_backoff_ms: 1\noptions: {batch.size: 1}\n",
    );
    let url = "kafka://h:1?linger.ms=2&retry.backoff.ms=2&batch.size=2&session.timeout.ms=7000";
    let settings = Sources::new()
        .file(file)
        .no_dotenv()
        .environment([("BUS_URL", url), ("KAFKA_SESSION_TIMEOUT_MS", "8000")])
        .read()
        .unwrap()
        .linger(Duration::from_millis(3));
    // Of one source, the URL says more than a setting.
    let parts = [
        r#""linger.ms": "3""#,
        r#""retry.backoff.ms": "2""#,
        r#""batch.size": "2""#,
        "session_timeout: 7s",
    ];
    has(&format!("{:?}", settings.kafka_config().unwrap()), &parts);
    let settings = settings
        .set("retry.backoff.ms", 9)
        .set("session.timeout.ms", 9000);
    has(
        &format!("{:?}", settings.kafka_config().unwrap()),
        &[r#""retry.backoff.ms": "9""#, "session_timeout: 9s"],
    );
}

#[test]
fn a_login_in_a_url_takes_no_tls_away() {
    let settings = Settings::new()
        .url("kafka://u:p@h:1")
        .security_protocol(Protocol::SaslSsl);
    has(
        &format!("{:?}", settings.kafka_config().unwrap()),
        &[
            r#""security.protocol": "SASL_SSL""#,
            r#""sasl.mechanism": "PLAIN""#,
        ],
    );
    let plain = Settings::new().url("kafka://u:p@h:1");
    has(
        &format!("{:?}", plain.kafka_config().unwrap()),
        &[r#""security.protocol": "sasl_plaintext""#],
    );
    let settings = Settings::new()
        .brokers(["h:1"])
        .security_protocol(Protocol::SaslSsl)
        .set("kafka_sasl_username", "u")
        .set("kafka_sasl_password", "p");
    has(
        &format!("{:?}", settings.kafka_config().unwrap()),
        &[r#""sasl.mechanism": "PLAIN""#],
    );
}

#[test]
fn settings_reach_redis() {
    let settings = read(&[
        ("REDIS_URL", "redis://u:hunter2@h:7000/3?grace=1s"),
        ("KAFKA_CLIENT_ID", "me"),
    ]);
    let settings = settings
        .set("kafka_session_timeout_ms", 7000)
        .set("durability", "fsync");
    let shown = format!("{:?}", settings.redis_config().unwrap());
    has(
        &shown,
        &[
            r#"name: "h""#,
            "port: 7000",
            "database: 3",
            r#"client_id: "me""#,
            "ttl: 7s",
            "grace: 1s",
            "durability: Fsync",
        ],
    );
    assert!(!shown.contains("hunter2"));
    let error = Settings::new()
        .redis_url("redis://h")
        .set("linger.ms", 5)
        .redis_config()
        .unwrap_err();
    has(
        error.message(),
        &["option `linger.ms` in the program", "unknown option"],
    );
}

#[tokio::test]
async fn what_this_build_cannot_do_is_said_before_anything_is_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let kafka = Settings::new()
        .brokers([listener.local_addr().unwrap().to_string()])
        .set("connect.timeout.ms", 500);
    let tls = kafka.clone().security_protocol(Protocol::Ssl);
    let scram = kafka
        .security_protocol(Protocol::SaslPlaintext)
        .sasl(Mechanism::ScramSha256, "u", "hunter2");
    for (settings, part) in [(tls, "TLS"), (scram, "SCRAM-SHA-256")] {
        let error = Bus::from_settings(&settings)
            .await
            .expect_err("no broker is there");
        let built = bus::backend::rdkafka::ClientConfig::new()
            .create_native_config()
            .unwrap();
        if built.get("builtin.features").unwrap().contains("ssl,") {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            continue;
        }
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        has(error.message(), &[part, "`ssl` feature of `bus-kafka`"]);
        assert!(listener.accept().is_err(), "a socket was opened");
    }
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_told_of_in_a_few_lines() {
    for (settings, parts) in [
        (
            Settings::new()
                .brokers(["127.0.0.1:1"])
                .set("connect.timeout.ms", 500),
            [
                "kafka at 127.0.0.1:1",
                "is a broker listening there",
                "`connect.timeout.ms`",
            ],
        ),
        (
            Settings::new()
                .redis_url("redis://127.0.0.1:1")
                .set("connect.timeout", "500ms"),
            [
                "no Redis answers at 127.0.0.1:1",
                "cause: ",
                "try: `redis-cli -h 127.0.0.1 -p 1 ping`",
            ],
        ),
    ] {
        let error = Bus::from_settings(&settings).await.expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        has(error.message(), &parts);
        assert!((2..=5).contains(&error.message().lines().count()), "{error}");
    }
}

#[tokio::test]
async fn the_environment_connects_to_real_servers() {
    let kafka = harness::address("BUS_TEST_KAFKA");
    let redis = harness::address("BUS_TEST_REDIS");
    for variables in [
        [
            ("KAFKA_BOOTSTRAP_SERVERS", &*kafka),
            ("KAFKA_COMPRESSION_TYPE", "lz4"),
            ("KAFKA_LINGER_MS", "5"),
        ],
        [
            ("REDIS_URL", &*redis),
            ("BUS_BACKEND", "redis"),
            ("KAFKA_SESSION_TIMEOUT_MS", "6000"),
        ],
    ] {
        let bus = Bus::from_settings(&read(&variables)).await.unwrap();
        let topic = format!("settings-{}-{}", bus.backend().name(), std::process::id());
        bus.ensure_topics([TopicSpec::new(&*topic)]).await.unwrap();
        let outcome = bus.publish_message(&topic, Message::new("x")).await.unwrap();
        assert!(matches!(outcome, Outcome::Stored(_)));
        assert!(bus.health().is_ok());
        bus.admin().delete(&topic).await.unwrap();
        bus.close().await.unwrap();
    }
}
