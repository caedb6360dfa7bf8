//! Where settings come from, and which of them wins.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod folder;

use bus::{
    Settings,
    settings::{Protocol, Sources},
};
use folder::Folder;

const NONE: [(&str, &str); 0] = [];

/// The line of one setting, as it is printed.
fn shown(settings: &Settings, name: &str) -> String {
    let text = settings.to_string();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name} = ")));
    line.unwrap_or_default().to_owned()
}

#[test]
fn the_stronger_source_wins() {
    let folder = Folder::new();
    let file = folder.file(
        "config.yml",
        "kafka_linger_ms: 1\nkafka_retry_backoff_ms: 1\nkafka_max_poll_records: 1\nkafka_client_id: file\n",
    );
    let dotenv = folder.file(
        ".env",
        "KAFKA_LINGER_MS=2\nKAFKA_RETRY_BACKOFF_MS=2\nKAFKA_MAX_POLL_RECORDS=2\n",
    );
    let environment = [("KAFKA_LINGER_MS", "3"), ("KAFKA_RETRY_BACKOFF_MS", "3")];
    // A setter is the strongest, although it is here before the others are read.
    let settings = Sources::new()
        .over(Settings::new().set("kafka_linger_ms", 4))
        .file(file)
        .dotenv(dotenv)
        .environment(environment)
        .read()
        .unwrap();
    assert_eq!(shown(&settings, "kafka_linger_ms"), "4");
    assert_eq!(shown(&settings, "kafka_retry_backoff_ms"), "3");
    assert_eq!(shown(&settings, "kafka_max_poll_records"), "2");
    assert_eq!(shown(&settings, "kafka_client_id"), "file");
    // What nobody gave is not there: defaults are the backends' own.
    assert_eq!(shown(&settings, "kafka_compression_type"), "");
}

#[test]
fn an_empty_value_means_unset_in_every_source() {
    let folder = Folder::new();
    let file = folder.file(
        "config.toml",
        "[bus]\nkafka_client_id = \"file\"\ndefault_topic = \"\"\n",
    );
    let dotenv = folder.file(".env", "KAFKA_CLIENT_ID=\nKAFKA_TOPIC_TASKS=tasks\n");
    let settings = Sources::new()
        .file(file)
        .section("bus")
        .dotenv(dotenv)
        .environment([
            ("KAFKA_CLIENT_ID", " "),
            ("KAFKA_ENABLED", ""),
            ("KAFKA_TOPIC_TASKS", ""),
        ])
        .read()
        .unwrap()
        .client_id("");
    assert_eq!(shown(&settings, "kafka_client_id"), "file");
    assert_eq!(settings.topic("tasks").unwrap(), "tasks");
    assert_eq!(settings.default_topic(), "events");
    assert!(settings.is_enabled());
}

#[test]
fn yaml_and_toml_say_the_same() {
    let folder = Folder::new();
    let yaml = "app: {name: shop}\nmq:\n  brokers: [h1:9092, h2:9092]\n  topic: lr-book-searches\n  group_id: trend-svr\n  \
                linger_ms: 5\n  enabled: true\n  topics: {task-events: t1}\n  options: {linger.ms: 7, acks: all}\n";
    let toml = "[app]\nname = \"shop\"\n[mq]\nbrokers = \"h1:9092, h2:9092\"\ntopic = \"lr-book-searches\"\ngroup_id = \"trend-svr\"\n\
                linger_ms = 5\nenabled = true\ntopics.task-events = \"t1\"\noptions = { linger.ms = 7, acks = \"all\" }\n";
    let read = |name: &str, text: &str| {
        let file = folder.file(name, text);
        Sources::new()
            .file(file)
            .section("mq")
            .no_dotenv()
            .environment(NONE)
            .read()
            .unwrap()
    };
    let (yaml, toml) = (read("config.yaml", yaml), read("config.toml", toml));
    assert_eq!(yaml.to_string(), toml.to_string());
    assert_eq!(shown(&yaml, "kafka_bootstrap_servers"), "h1:9092,h2:9092");
    assert_eq!(shown(&yaml, "options.linger.ms"), "7");
    assert_eq!(
        (yaml.default_topic(), yaml.default_group()),
        ("lr-book-searches", Some("trend-svr"))
    );
    assert_eq!(yaml.topic("task_events").unwrap(), "t1");
    assert!(yaml.is_configured());
}

#[test]
fn settings_sit_under_a_key_of_an_applications_own_file() {
    #[derive(serde::Deserialize)]
    struct App {
        name: String,
        mq: Settings,
    }
    let text = r#"{"name": "shop", "mq": {"brokers": ["h:1", "i:2"], "kafka_linger_ms": 5, "security_protocol": "ssl"}}"#;
    let app: App = serde_json::from_str(text).unwrap();
    assert_eq!(app.name, "shop");
    assert_eq!(shown(&app.mq, "kafka_bootstrap_servers"), "h:1,i:2");
    // The environment is laid over what the application read itself, and setters over that.
    let over = Sources::new()
        .over(app.mq)
        .no_dotenv()
        .environment([("KAFKA_LINGER_MS", "6")])
        .read()
        .unwrap();
    assert_eq!(shown(&over, "kafka_linger_ms"), "6");
    assert_eq!(shown(&over, "kafka_security_protocol"), "SSL");
    let over = over.security_protocol(Protocol::Plaintext);
    assert_eq!(shown(&over, "kafka_security_protocol"), "PLAINTEXT");

    let error = serde_json::from_str::<App>(r#"{"name": "shop", "mq": {"lingr_ms": 5}}"#)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("unknown setting `lingr_ms`") && error.contains("`linger_ms`"),
        "{error}"
    );
}

#[test]
fn a_section_that_is_not_there_gives_no_settings_and_a_file_that_is_not_there_is_an_error() {
    let folder = Folder::new();
    let file = folder.file("config.yml", "app: {name: shop}\n");
    let read = |sources: Sources| sources.no_dotenv().environment(NONE).read();
    let settings = read(Sources::new().file(&file).section("mq.bus")).unwrap();
    assert!(!settings.is_configured() && settings.to_string().is_empty());
    for (name, part) in [("missing.yml", "cannot be read"), ("config.ini", "`.toml`")] {
        let error = read(Sources::new().file(folder.path(name)))
            .unwrap_err()
            .to_string();
        assert!(error.contains(name) && error.contains(part), "{error}");
    }
    let error = Sources::new()
        .dotenv(folder.path(".env"))
        .environment(NONE)
        .read()
        .unwrap_err()
        .to_string();
    assert!(error.contains(".env cannot be read"), "{error}");
}

#[test]
fn topics_and_groups_have_names_of_their_own() {
    let variables = [
        ("KAFKA_TOPIC_TASK_EVENTS", "task-events"),
        ("KAFKA_CONSUMER_GROUP_AUDIT", "audit-svc"),
    ];
    let settings = Sources::new()
        .no_dotenv()
        .environment(variables)
        .read()
        .unwrap()
        .with_group("web", "web-1");
    assert_eq!(settings.topic("task_events").unwrap(), "task-events");
    assert_eq!(settings.topic("task-events").unwrap(), "task-events");
    assert_eq!(settings.group("audit").unwrap(), "audit-svc");
    assert_eq!(settings.group("web").unwrap(), "web-1");
    let error = settings.topic("orders").unwrap_err().to_string();
    assert!(error.contains("`KAFKA_TOPIC_ORDERS`"), "{error}");
    let error = settings.group("bill.ing").unwrap_err().to_string();
    assert!(error.contains("`KAFKA_CONSUMER_GROUP_BILL_ING`"), "{error}");
}

#[test]
fn every_name_that_people_use_is_taken() {
    let folder = Folder::new();
    let certificate = folder.file("cert.pem", "-").display().to_string();
    let file = certificate.as_str();
    let variables = [
        (
            "KAFKA_BOOTSTRAP_SERVERS",
            "h:1, i:2",
            "kafka_bootstrap_servers",
            "h:1,i:2",
        ),
        (
            "KAFKA_SECURITY_PROTOCOL",
            "sasl_ssl",
            "kafka_security_protocol",
            "SASL_SSL",
        ),
        (
            "KAFKA_SASL_MECHANISM",
            "SCRAM-SHA-256",
            "kafka_sasl_mechanism",
            "SCRAM-SHA-256",
        ),
        ("KAFKA_SASL_USERNAME", "me", "kafka_sasl_username", "me"),
        ("KAFKA_SASL_PASSWORD", "p", "kafka_sasl_password", "***"),
        ("KAFKA_SSL_CAFILE", file, "kafka_ssl_cafile", file),
        ("KAFKA_SSL_CERTFILE", file, "kafka_ssl_certfile", file),
        ("KAFKA_SSL_KEYFILE", file, "kafka_ssl_keyfile", file),
        ("KAFKA_ENABLED", "True", "enabled", "true"),
        (
            "KAFKA_SCHEMA_REGISTRY_URL",
            "http://r:8081",
            "kafka_schema_registry_url",
            "http://r:8081",
        ),
        (
            "KAFKA_SCHEMA_REGISTRY_USER",
            "me",
            "kafka_schema_registry_user",
            "me",
        ),
        (
            "KAFKA_SCHEMA_REGISTRY_PASSWORD",
            "p",
            "kafka_schema_registry_password",
            "***",
        ),
        (
            "KAFKA_SCHEMA_REGISTRY_CAFILE",
            file,
            "kafka_schema_registry_cafile",
            file,
        ),
        ("REDIS_URL", "redis://h", "redis_url", "redis://h"),
        ("KAFKA_CLIENT_ID", "me", "kafka_client_id", "me"),
        ("KAFKA_FIRE_AND_FORGET", "no", "kafka_fire_and_forget", "false"),
        ("KAFKA_COMPRESSION_TYPE", "LZ4", "kafka_compression_type", "lz4"),
        ("KAFKA_LINGER_MS", "5", "kafka_linger_ms", "5"),
        ("KAFKA_MAX_BATCH_SIZE", "32768", "kafka_max_batch_size", "32768"),
        (
            "KAFKA_REQUEST_TIMEOUT_MS",
            "20000",
            "kafka_request_timeout_ms",
            "20000",
        ),
        ("KAFKA_RETRY_BACKOFF_MS", "50", "kafka_retry_backoff_ms", "50"),
        (
            "KAFKA_AUTO_OFFSET_RESET",
            "none",
            "kafka_auto_offset_reset",
            "none",
        ),
        (
            "KAFKA_ENABLE_AUTO_COMMIT",
            "false",
            "kafka_enable_auto_commit",
            "false",
        ),
        (
            "KAFKA_AUTO_COMMIT_INTERVAL_MS",
            "5000",
            "kafka_auto_commit_interval_ms",
            "5000",
        ),
        ("KAFKA_MAX_POLL_RECORDS", "500", "kafka_max_poll_records", "500"),
        (
            "KAFKA_SESSION_TIMEOUT_MS",
            "10000",
            "kafka_session_timeout_ms",
            "10000",
        ),
        (
            "KAFKA_HEARTBEAT_INTERVAL_MS",
            "3000",
            "kafka_heartbeat_interval_ms",
            "3000",
        ),
        (
            "KAFKA_GROUP_INSTANCE_ID",
            "pod-1",
            "kafka_group_instance_id",
            "pod-1",
        ),
        ("KAFKA_BACKEND", "aiokafka", "kafka_backend", "aiokafka"),
        ("MESSAGING_DEFAULT_TOPIC", "all", "messaging_default_topic", "all"),
        ("MESSAGING_EVENT_SOURCE", "shop", "messaging_event_source", "shop"),
        (
            "MESSAGING_DEAD_LETTER_TOPIC",
            "{topic}-dlq",
            "messaging_dead_letter_topic",
            "{topic}-dlq",
        ),
        (
            "AVRO_DEFAULT_NAMESPACE",
            "com.shop",
            "avro_default_namespace",
            "com.shop",
        ),
    ];
    let environment = variables.iter().map(|(variable, value, ..)| (*variable, *value));
    let settings = Sources::new()
        .no_dotenv()
        .environment(environment)
        .read()
        .unwrap();
    for (variable, _, name, value) in variables {
        assert_eq!(shown(&settings, name), value, "{variable}");
        // The same name, in small letters, is the one of a file.
        if variable.starts_with("KAFKA_") && variable != "KAFKA_ENABLED" {
            assert_eq!(variable.to_lowercase(), name);
        }
    }
    assert_eq!(settings.avro_namespace(), "com.shop");
    assert_eq!(settings.event_source(), Some("shop"));
    assert_eq!(settings.dead_letter_topic(), Some("{topic}-dlq"));
    assert_eq!(settings.schema_registry_url(), Some("http://r:8081"));
}
