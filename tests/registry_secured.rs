//! A schema registry behind TLS: what is trusted, what is not, and which setting changes that.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;
#[path = "registry/orders.rs"]
mod orders;
#[path = "registry/server.rs"]
mod server;

use bus::{
    Bus, Error, ErrorKind, RegistryJson, Settings,
    registry::{Registry, RegistryConfig},
};
use bus_brokers::{Authority, Certificate, SchemaRegistry};
use orders::{Framed, order};
use server::passed;
use std::time::Duration;

/// One of our own with this certificate.
async fn showing(shown: Certificate) -> SchemaRegistry {
    let start = move || SchemaRegistry::start_tls(&shown).unwrap();
    tokio::task::spawn_blocking(start).await.unwrap()
}

/// The error of the first question to it.
async fn refused(config: RegistryConfig) -> Error {
    let registry = config.timeout(Duration::from_secs(60)).build().unwrap();
    registry.latest("orders-value").await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_reached_through_tls_and_only_by_who_trusts_it() {
    let authority = Authority::new().unwrap();
    let server = showing(authority.issue("registry", &["localhost"]).unwrap()).await;
    let url = server.tls_url("localhost").unwrap();
    let registry = Registry::config(&url).ca_file(authority.file()).build().unwrap();
    let topic = <RegistryJson as Framed>::topic(&registry);
    let bus = Bus::connect("memory://").await.unwrap();
    bus.ensure_topics([topic.spec()]).await.unwrap();
    bus.publish(&topic, &order(1)).await.unwrap();
    let mut readers = bus.subscribe(&topic, "readers").await.unwrap();
    let delivery = readers.next().await.unwrap().unwrap();
    assert!(*delivery.value() == order(1));
    delivery.ack();
    // By settings too.
    let settings = Settings::new().set("kafka_schema_registry_url", &*url).set(
        "kafka_schema_registry_cafile",
        authority.file().display().to_string(),
    );
    let by_settings = Registry::from_settings(&settings).unwrap();
    by_settings
        .register("orders-value", &RegistryJson::schema())
        .await
        .unwrap();

    let stranger = Authority::new().unwrap();
    for (what, config, parts) in [
        (
            "the machine's authorities",
            Registry::config(&url),
            ["not trusted", "`ca_file` (KAFKA_SCHEMA_REGISTRY_CAFILE)"],
        ),
        (
            "another authority",
            Registry::config(&url).ca_file(stranger.file()),
            ["not trusted", "`ca_file` (KAFKA_SCHEMA_REGISTRY_CAFILE)"],
        ),
        (
            "another name of it",
            Registry::config(server.tls_url("127.0.0.1").unwrap()).ca_file(authority.file()),
            ["localhost", "not for `127.0.0.1`"],
        ),
        (
            "the port without TLS",
            Registry::config(server.url().replace("http:", "https:")).ca_file(authority.file()),
            ["does not speak TLS", "`http://`"],
        ),
    ] {
        let error = refused(config).await;
        let told = parts.iter().all(|part| error.message().contains(part));
        assert!(error == ErrorKind::Unavailable && told, "{what}: {error}");
    }
    passed(server.url(), "tls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_expired_is_named() {
    let authority = Authority::new().unwrap();
    let server = showing(authority.issue_expired("registry", &["localhost"]).unwrap()).await;
    let url = server.tls_url("localhost").unwrap();
    let error = refused(Registry::config(url).ca_file(authority.file())).await;
    assert!(error.message().contains("has expired; renew it there"), "{error}");
    passed(server.url(), "expired");
}
