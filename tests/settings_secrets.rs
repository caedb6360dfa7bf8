//! No secret reaches a screen: a canary is put everywhere, and looked for in everything that is printed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod folder;
mod logs;

use bus::{
    Bus, Settings,
    settings::{Compression, Mechanism, Protocol, Sources},
};
use folder::Folder;
use logs::Logs;
use std::{fmt::Debug, time::Duration};

const CANARY: &str = "hunter2canary";

fn clean(what: &str, text: &str) {
    assert!(!text.contains("canary"), "{what}: {text}");
}

fn error<T: Debug>(what: &str, result: Result<T, bus::Error>) -> String {
    let error = result.expect_err(what);
    let text = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
    clean(what, &text);
    text
}

#[test]
fn settings_print_with_the_password_masked() {
    let settings = Settings::new()
        .brokers(["h:9092"])
        .security_protocol(Protocol::SaslSsl)
        .sasl(Mechanism::ScramSha256, "me", CANARY)
        .compression(Compression::Lz4)
        .linger(Duration::from_millis(5))
        .max_batch_size(32_768);
    assert_eq!(
        settings.to_string(),
        "kafka_bootstrap_servers = h:9092\nkafka_compression_type = lz4\nkafka_linger_ms = 5\nkafka_max_batch_size = 32768\n\
         kafka_sasl_mechanism = SCRAM-SHA-256\nkafka_sasl_password = ***\nkafka_sasl_username = me\nkafka_security_protocol = SASL_SSL"
    );
    let debug = format!("{settings:?} {settings:#?}");
    clean("debug", &debug);
    assert!(
        debug.contains("kafka_linger_ms") && debug.contains("in the program"),
        "{debug}"
    );
}

#[test]
fn urls_and_options_are_masked() {
    let settings = Settings::new()
        .url(format!(
            "kafka://me:{CANARY}@h:1?sasl.password={CANARY}&linger.ms=5"
        ))
        .redis_url(format!("redis://:{CANARY}@h:1/0"))
        .set(
            "kafka_schema_registry_url",
            format!("http://a:{CANARY}@r:1,http://b:{CANARY}@s:1"),
        )
        .set("sasl.password", CANARY)
        .set("ssl.key.pem", CANARY)
        .set("ssl.key.password", CANARY)
        .set("linger.ms", "7");
    let shown = format!(
        "{settings} {settings:?} {settings:#?} {:?}",
        Sources::new().over(settings.clone())
    );
    clean("urls", &shown);
    for part in [
        "kafka://me:***@h:1",
        "linger.ms=5",
        "redis://:***@h:1/0",
        "http://b:***@s:1",
        "options.linger.ms = 7",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn errors_name_the_place_and_not_the_secret() {
    let folder = Folder::new();
    let file = |name: &str, text: String| {
        let path = folder.file(name, &text);
        Sources::new()
            .file(path)
            .no_dotenv()
            .environment([("", "")])
            .read()
    };
    for (name, text) in [
        ("a.yml", format!("sasl_password: [{CANARY}]\n")),
        ("a.yml", format!("sasl_password: {{a: {CANARY}}}\n")),
        ("a.yml", format!("sasl_password: '{CANARY}\n")),
        ("a.yml", format!("sasl_password: \"{CANARY}\" x\n")),
        (
            "a.yml",
            format!("sasl_password: {CANARY}\n{CANARY}\n  - x: y: z\n"),
        ),
        ("a.yml", format!("redis_url: {CANARY}\n")),
        ("a.yml", format!("{{url: \"{CANARY}\"}}\n")),
        (
            "a.yml",
            format!("security_protocol: SSL\nsasl_password: {CANARY}\n"),
        ),
        ("a.toml", format!("sasl_password = \"{CANARY}\n")),
        ("a.toml", format!("sasl_password = {CANARY}\n")),
        ("a.toml", format!("sasl_password = \"{CANARY}\" \"{CANARY}\"\n")),
        ("a.toml", format!("sasl_password = \"\\{CANARY}\"\n")),
        ("a.toml", format!("x = {{sasl_password = \"{CANARY}\", y}}\n")),
        ("a.toml", format!("sasl_password = [\"{CANARY}\"]\n")),
    ] {
        error(&text.replace("canary", "c*nary"), file(name, text.clone()));
    }
    for text in [
        format!("KAFKA_SASL_PASSWORD=two {CANARY}\n"),
        format!("KAFKA_SASL_PASSWORD='{CANARY}\n"),
        format!("KAFKA_SASL_PASSWORD=\"{CANARY}\" x\n"),
        format!("{CANARY}\n"),
        format!("KAFKA_SASL_PASSWORD=${{{CANARY}\n"),
    ] {
        let path = folder.file(".env", &text);
        // Some of these are no mistake to the reader of the file; then the settings are wrong, for want of a protocol.
        error(
            &text.replace("canary", "c*nary"),
            Sources::new()
                .dotenv(path)
                .environment([("KAFKA_SASL_MECHANISM", "PLAIN")])
                .read(),
        );
    }
    for variable in [
        "KAFKA_SASL_PASSWORD",
        "REDIS_URL",
        "BUS_URL",
        "KAFKA_SCHEMA_REGISTRY_URL",
    ] {
        error(
            variable,
            Sources::new()
                .no_dotenv()
                .environment([(variable, CANARY)])
                .read(),
        );
    }
}

#[test]
fn serde_errors_of_ours_hold_no_secret() {
    for text in [
        format!(r#"{{"sasl_password": ["{CANARY}"]}}"#),
        format!(r#"{{"sasl_password": "{CANARY}", "lingr_ms": 5}}"#),
        format!(r#"{{"redis_url": "{CANARY}"}}"#),
        format!(r#"["{CANARY}"]"#),
    ] {
        let error = serde_json::from_str::<Settings>(&text).expect_err("settings");
        clean(&text.replace("canary", "c*nary"), &format!("{error} {error:?}"));
    }
}

#[tokio::test]
async fn connecting_tells_no_secret() {
    let logs = Logs::default();
    let _listening = logs.install();
    let urls = [
        format!("kafka://me:{CANARY}@127.0.0.1:1?connect.timeout.ms=300"),
        format!("kafka://me:{CANARY}@127.0.0.1:x"),
        format!("redis://me:{CANARY}@127.0.0.1:1?connect.timeout=300ms"),
        format!("redis://me:{CANARY}@127.0.0.1:1?colour=red"),
        format!("rediss://me:{CANARY}@h"),
        format!("redis-cluster://me:{CANARY}@h"),
        format!("memory://{CANARY}?password={CANARY}"),
        format!("amqp://me:{CANARY}@h"),
    ];
    for url in urls {
        let what = url.replace("canary", "c*nary");
        if !url.starts_with("memory") {
            error(&what, Bus::connect(&url).await);
            error(&what, Bus::from_settings(&Settings::new().url(&url)).await);
        }
    }
    let kafka = Settings::new()
        .brokers(["127.0.0.1:1"])
        .set("connect.timeout.ms", 300);
    for option in [
        "sasl.password",
        "ssl.key.password",
        "sasl.oauthbearer.client.secret",
    ] {
        let settings = kafka
            .clone()
            .set(option, CANARY)
            .set("security.protocol", "sasl_plaintext");
        error(option, Bus::from_settings(&settings).await);
    }
    let settings = kafka
        .security_protocol(Protocol::SaslPlaintext)
        .sasl(Mechanism::Plain, "me", CANARY);
    error("a login", Bus::from_settings(&settings).await);
    for line in logs.with("") {
        clean("logs", &line);
    }
}

/// Where a password has what would be punctuation elsewhere, more is masked rather than less.
#[test]
fn passwords_with_odd_characters_are_masked_whole() {
    for url in [
        "kafka://me:pa,CANARY@h:1",
        "redis://:a?CANARY@h:1",
        "kafka://h:1?sasl.password=a:CANARY@b",
    ] {
        let settings = Settings::new().url(url);
        let shown = format!("{settings} {settings:?}");
        assert!(!shown.contains("CANARY") && !shown.contains("pa,"), "{shown}");
    }
    let several = Settings::new().set(
        "kafka_schema_registry_url",
        "http://a:p,CANARY@r:1,http://b:CANARY@s:1",
    );
    let shown = several.to_string();
    assert!(!shown.contains("CANARY") && shown.contains("@s:1"), "{shown}");
    let settings = Settings::new().brokers(["SASL_SSL://me:CANARY@h:9092"]);
    let error = format!("{:?}", settings.check().expect_err("no login belongs there"));
    assert!(!error.contains("CANARY"), "{error}");
}
