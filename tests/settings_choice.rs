//! Which bus the settings mean, and connecting to it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod folder;
mod logs;

use bus::{
    Backend, Bus, Error, ErrorKind, Message, Settings, TopicSpec,
    settings::{BackendName, Sources},
};
use folder::Folder;
use logs::Logs;

fn environment(variables: &[(&str, &str)]) -> Settings {
    Sources::new()
        .no_dotenv()
        .environment(variables.iter().copied())
        .read()
        .unwrap()
}

async fn refused(settings: &Settings) -> Error {
    Bus::from_settings(settings).await.expect_err("a bus")
}

#[tokio::test]
async fn a_url_beats_a_chosen_backend() {
    let settings = environment(&[
        ("BUS_URL", "memory://"),
        ("BUS_BACKEND", "kafka"),
        ("REDIS_URL", "redis://127.0.0.1:1"),
    ]);
    let bus = Bus::from_settings(&settings).await.unwrap();
    assert_eq!(bus.backend().name(), "memory");
    assert!(bus.settings().is_configured());
}

#[tokio::test]
async fn a_chosen_backend_beats_a_url_of_a_weaker_source() {
    let folder = Folder::new();
    let file = folder.file("config.yml", "url: redis://127.0.0.1:1\n");
    let read = |variables: &[(&str, &str)]| {
        Sources::new()
            .file(&file)
            .no_dotenv()
            .environment(variables.iter().copied())
            .read()
            .unwrap()
    };
    let bus = Bus::from_settings(&read(&[("BUS_BACKEND", "memory")]))
        .await
        .unwrap();
    assert_eq!(bus.backend().name(), "memory");
    // A URL of the backend that is chosen is its address all the same.
    assert!(read(&[("BUS_BACKEND", "redis")]).is_configured());
    assert!(!read(&[("BUS_BACKEND", "kafka")]).is_configured());
}

#[tokio::test]
async fn several_backends_without_a_choice_are_named() {
    let settings = environment(&[("KAFKA_BOOTSTRAP_SERVERS", "h:1"), ("REDIS_URL", "redis://h:1")]);
    assert!(settings.is_configured());
    let error = refused(&settings).await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for part in [
        "`kafka` by `KAFKA_BOOTSTRAP_SERVERS`",
        "`redis` by `REDIS_URL`",
        "`BUS_BACKEND`",
        "`kafka` or `redis`",
    ] {
        assert!(error.message().contains(part), "{error}");
    }
    // Memory needs no address, so it is chosen by name alone.
    let bus = Bus::from_settings(&settings.backend(BackendName::Memory))
        .await
        .unwrap();
    assert_eq!(bus.backend().name(), "memory");
}

#[tokio::test]
async fn nothing_configured_says_what_to_set() {
    let settings = environment(&[("KAFKA_CLIENT_ID", "me"), ("KAFKA_BACKEND", "aiokafka")]);
    assert!(!settings.is_configured());
    let error = refused(&settings).await;
    for part in ["BUS_URL", "KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL"] {
        assert!(error.message().contains(part), "{error}");
    }
    let error = refused(&environment(&[
        ("BUS_BACKEND", "kafka"),
        ("REDIS_URL", "redis://h"),
    ]))
    .await;
    assert!(error.message().contains("`KAFKA_BOOTSTRAP_SERVERS`"), "{error}");
    let error = refused(&environment(&[("BUS_BACKEND", "redis")])).await;
    assert!(error.message().contains("`REDIS_URL`"), "{error}");
}

#[tokio::test]
async fn a_python_client_means_kafka_and_is_noted_once() {
    let logs = Logs::default();
    let _listening = logs.install();
    for name in ["aiokafka", "confluent"] {
        let both = [
            ("KAFKA_BACKEND", name),
            ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
            ("REDIS_URL", "redis://127.0.0.1:1"),
        ];
        let settings = environment(&both).set("connect.timeout.ms", "300");
        let error = refused(&settings).await;
        assert!(error.message().contains("kafka"), "{error}");
        let notes = logs.with(&format!("`KAFKA_BACKEND` in the environment is `{name}`"));
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].starts_with("INFO"), "{notes:?}");
    }
    // It says which client, not which bus: what is chosen beside it holds.
    let settings = environment(&[("KAFKA_BACKEND", "confluent"), ("BUS_URL", "memory://")]);
    assert_eq!(
        Bus::from_settings(&settings).await.unwrap().backend().name(),
        "memory"
    );
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_named_with_its_feature() {
    let (kafka, redis) = (cfg!(feature = "kafka"), cfg!(feature = "redis"));
    for (url, backend, compiled_in) in [
        ("kafka://127.0.0.1:1", "kafka", kafka),
        ("redis://127.0.0.1:1", "redis", redis),
        ("redis-cluster://127.0.0.1:1,127.0.0.1:2", "redis", redis),
    ] {
        for error in [
            Bus::connect(url).await.expect_err("a bus"),
            refused(&Settings::new().url(url).set("connect.timeout.ms", "300")).await,
        ] {
            let named = error.message().contains(&format!("add the `{backend}` feature"));
            assert_eq!(named, !compiled_in, "{error}");
        }
    }
    let error = refused(&Settings::new().url("amqp://h")).await;
    assert!(
        error.message().contains("no backend is named `amqp`")
            && error.message().contains("`redis-sentinel://`"),
        "{error}"
    );
}

#[cfg(all(feature = "redis", not(feature = "redis-tls")))]
#[tokio::test]
async fn tls_that_is_not_compiled_in_is_named() {
    let error = Bus::connect("rediss://:hunter2@127.0.0.1:1")
        .await
        .expect_err("a bus");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("the `redis-tls` feature"), "{error}");
}

#[tokio::test]
async fn options_of_the_url_and_raw_ones_reach_the_backend() {
    // The stronger source wins here too: the URL's own option is weaker than the setter's.
    let settings = Sources::new()
        .over(Settings::new().set("max_message", 10))
        .no_dotenv()
        .environment([("BUS_URL", "memory://?max_message=1000&when_full=drop_oldest")])
        .read()
        .unwrap();
    let bus = Bus::from_settings(&settings).await.unwrap();
    assert_eq!(bus.backend().limits().message, 10);
    bus.ensure_topics([TopicSpec::new("t")]).await.unwrap();
    bus.publish_message("t", Message::new("0123456789"))
        .await
        .unwrap();
    let unsent = bus
        .publish_message("t", Message::new("0123456789a"))
        .await
        .unwrap_err();
    assert_eq!(unsent.error().kind(), ErrorKind::TooLarge);
    let settings = Settings::new()
        .url("memory://?max_message=1000")
        .set("max_mesage", 10);
    let error = refused(&settings).await;
    assert!(
        error.message().contains("option `max_mesage` in the program"),
        "{error}"
    );
}

#[tokio::test]
async fn settings_without_effect_are_said() {
    let logs = Logs::default();
    let _listening = logs.install();
    let variables = [
        ("BUS_URL", "memory://"),
        ("KAFKA_LINGER_MS", "5"),
        ("KAFKA_CLIENT_ID", "x"),
        ("KAFKA_MAX_POLL_RECORDS", "9"),
    ];
    Bus::from_settings(&environment(&variables)).await.unwrap();
    let lines = logs.with("without effect on `memory`");
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].contains("KAFKA_LINGER_MS") && !lines[0].contains("KAFKA_MAX_POLL_RECORDS"),
        "{lines:?}"
    );
}

#[test]
fn the_backends_trait_is_there_for_what_the_bus_does_not_cover() {
    fn is_backend<B: Backend>() {}
    is_backend::<bus::backend::Memory>();
}
