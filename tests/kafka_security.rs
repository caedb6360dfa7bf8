//! Secured Kafka: every protocol with every mechanism, and every connection that is refused, against a real server with
//! certificates of its own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kafka_secured;

use bus::{Bus, ErrorKind, TopicSpec};
use kafka_secured::{AT_ONCE, MECHANISMS, Secured, Text, Way, overheard, publish, server, unique};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

async fn started() -> Arc<Secured> {
    tokio::task::spawn_blocking(server).await.unwrap()
}

/// Publishes by settings and reads by a URL.
async fn comes_and_goes(way: Way) {
    let topic = Text::named(unique("secured"));
    let by_settings = way.connect().await.unwrap();
    by_settings
        .ensure_topics([TopicSpec::new(topic.name())])
        .await
        .unwrap();
    publish(&by_settings, &topic, "hello").await.unwrap();
    let by_url = Bus::connect(&way.url()).await.unwrap();
    overheard::show(&by_url);
    let mut reader = by_url.subscribe(&topic, "readers").await.unwrap();
    let next = tokio::time::timeout(Duration::from_secs(60), reader.next());
    let delivery = next.await.unwrap().unwrap().unwrap();
    overheard::show(&delivery);
    assert_eq!(*delivery, "hello");
    delivery.ack();
    reader.close().await.unwrap();
    by_url.close().await.unwrap();
    by_settings.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_protocol_with_every_mechanism() {
    let server = started().await;
    let (user, password) = &server.master;
    let mut ways = vec![
        server.way("TLS", "SSL"),
        server.way("MUTUAL", "SSL").shows(&server.client),
    ];
    for mechanism in MECHANISMS {
        for (listener, protocol) in [("LOGIN", "SASL_PLAINTEXT"), ("BOTH", "SASL_SSL")] {
            ways.push(server.way(listener, protocol).logs_in(mechanism, user, password));
        }
    }
    let running: Vec<_> = ways
        .into_iter()
        .map(|way| tokio::spawn(comes_and_goes(way)))
        .collect();
    for one in running {
        one.await.unwrap();
    }
    // What librdkafka logs was among what was listened to.
    assert!(overheard::was_said("DEBUG librdkafka"));
    overheard::search();
}

/// One `Denied` with all these words, long before the time to connect is over.
async fn refused(way: Way, words: &[&str]) {
    let begun = Instant::now();
    let error = way.connect().await.expect_err("a refusal");
    assert!(begun.elapsed() < AT_ONCE, "{:?}: {error}", begun.elapsed());
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(!error.is_transient());
    let text = error.to_string();
    let address = way.0.iter().find(|(name, _)| *name == "KAFKA_BOOTSTRAP_SERVERS");
    for word in words
        .iter()
        .copied()
        .chain(address.map(|(_, value)| value.as_str()))
    {
        assert!(text.contains(word), "`{word}` is not in {text}");
    }
    assert!(text.len() < 400 && !text.contains('\n'), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_not_accepted_are_named() {
    let server = started().await;
    let unknown = server.way("TLS", "SSL").trusts(&server.others);
    refused(
        unknown,
        &["signed by nobody who is known here", "`KAFKA_SSL_CAFILE`"],
    )
    .await;
    let elsewhere = server.way("ELSEWHERE", "SSL");
    refused(elsewhere, &["for another host", "`KAFKA_BOOTSTRAP_SERVERS`"]).await;
    refused(server.way("EXPIRED", "SSL"), &["has expired", "clock"]).await;
    let (user, password) = &server.master;
    let both = server
        .way("BOTH", "SASL_SSL")
        .logs_in("SCRAM-SHA-512", user, password);
    refused(
        both.trusts(&server.others),
        &["signed by nobody", "`KAFKA_SSL_CAFILE`"],
    )
    .await;
    overheard::search();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_certificate_is_told_to_set_one() {
    let server = started().await;
    let words = [
        "requires a certificate of the client",
        "`KAFKA_SSL_CERTFILE`",
        "`KAFKA_SSL_KEYFILE`",
    ];
    refused(server.way("MUTUAL", "SSL"), &words).await;
    refused(server.way("MUTUAL", "SSL").shows(&server.stranger), &words).await;
    overheard::search();
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_are_wrong_name_user_and_password() {
    let server = started().await;
    let wrong = overheard::secret("wrong");
    let words = [
        "user or password is wrong",
        "`KAFKA_SASL_USERNAME`",
        "`KAFKA_SASL_PASSWORD`",
    ];
    for mechanism in MECHANISMS {
        for (listener, protocol) in [("LOGIN", "SASL_PLAINTEXT"), ("BOTH", "SASL_SSL")] {
            let way = server.way(listener, protocol);
            refused(way.clone().logs_in(mechanism, "master", &wrong), &words).await;
            refused(way.logs_in(mechanism, "nobody", &server.master.1), &words).await;
        }
    }
    let (user, password) = &server.master;
    let way = server
        .way("PLAIN", "SASL_PLAINTEXT")
        .logs_in("SCRAM-SHA-256", user, password);
    refused(way, &["only PLAIN", "`KAFKA_SASL_MECHANISM`"]).await;
    overheard::search();
}

/// Where nobody can say for certain what is wrong, the time to connect goes by, and the error has the likely cause.
#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_is_not_the_listeners_is_guessed() {
    let server = started().await;
    for (listener, protocol) in [("TLS", "PLAINTEXT"), ("LOGIN", "SSL")] {
        let settings = server
            .way(listener, protocol)
            .settings()
            .set("connect.timeout.ms", 3_000);
        let error = Bus::from_settings(&settings)
            .await
            .expect_err("nobody understands that");
        overheard::show_error(&error);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("security.protocol"), "{error}");
    }
    overheard::search();
}
