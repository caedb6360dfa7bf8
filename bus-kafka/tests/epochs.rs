//! A message that may be stored is not sent again under another epoch of its producer, where nobody would know it again.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, ErrorKind, Message, Outcome, Pending, Publisher, Result, Unsent};
use bus_kafka::{Kafka, KafkaConfig};
use bus_proxy::Filter;
use common::{lab::Lab, lines::Lines, *};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const PRODUCE: i16 = 0;

/// What gets no answer is sent again so much later, and after twice that the next time, if nothing comes between.
fn config(address: &str, later: Duration) -> KafkaConfig {
    KafkaConfig::new(address)
        .set("retry.backoff.ms", later.as_millis().to_string())
        .set("retry.backoff.max.ms", "60000")
}

fn to(partition: u32, text: &str) -> Message {
    Message::new(text.to_owned()).to_partition(partition)
}

/// Stores a message whose answer is lost, and waits until the producer knows that it will get none.
async fn lose(lab: &Lab, publisher: &Arc<dyn Publisher>, topic: &str, text: &str) -> Pending {
    let strike = lab
        .proxy
        .drop_next_reply(Filter::kafka([PRODUCE]).containing(text));
    let pending = publisher.publish_batch(topic, vec![to(0, text)]);
    assert!(strike.happened().await);
    let retried = format!("{topic} [0] beginning partition drain: drain before retrying");
    Lines::shared().until(&retried).await;
    pending
}

async fn store(publisher: &Arc<dyn Publisher>, topic: &str, text: &str) {
    let outcome = publisher.publish_batch(topic, vec![to(0, text)]).await.remove(0);
    assert!(matches!(outcome, Ok(Outcome::Stored(_))), "{outcome:?}");
}

fn unknown(outcome: Result<Outcome, Unsent>) -> Unsent {
    let unsent = outcome.expect_err("a message that may be stored was sent again, and confirmed");
    assert!(unsent.is_unknown(), "{unsent}");
    unsent
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_refuses_makes_no_second_copies_of_others() {
    Lines::shared();
    let lab = Lab::start().await;
    let kafka = Kafka::connect(config(&lab.proxy.address(), Duration::from_secs(20)));
    let publisher = kafka.await.unwrap().publisher().await.unwrap();
    let (others, narrow) = (topic(&lab.kafka, 1).await, topic(&lab.kafka, 1).await);
    store(&publisher, &others, "first").await;
    store(&publisher, &narrow, "first").await;
    alter_at(lab.direct(), &narrow, "max.message.bytes", "500").await;
    let lost = lose(&lab, &publisher, &others, "lost").await;
    let large = "x".repeat(5_000);
    let refused = publisher
        .publish_batch(&narrow, vec![to(0, &large)])
        .await
        .remove(0);
    assert_eq!(refused.unwrap_err().error().kind(), ErrorKind::TooLarge);
    let unsent = unknown(lost.await.remove(0));
    assert!(unsent.error().is_transient(), "{unsent}");
    // Another producer takes its place, in order.
    store(&publisher, &others, "after").await;
    assert_eq!(contents(&lab.kafka, &others).await, ["first", "lost", "after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_makes_no_second_copies_of_others() {
    Lines::shared();
    let lab = Lab::start().await;
    let config = config(&lab.proxy.address(), Duration::from_secs(5));
    let kafka = Kafka::connect(config.publish_deadline(Duration::from_secs(8)));
    let publisher = kafka.await.unwrap().publisher().await.unwrap();
    let (one, two) = (topic(&lab.kafka, 1).await, topic(&lab.kafka, 1).await);
    store(&publisher, &one, "first").await;
    store(&publisher, &two, "first").await;
    let late = lose(&lab, &publisher, &one, "late").await;
    let again = lab
        .proxy
        .drop_next_reply(Filter::kafka([PRODUCE]).containing("late"));
    assert!(again.happened().await);
    let lost = lose(&lab, &publisher, &two, "lost").await;
    assert_eq!(unknown(late.await.remove(0)).error().kind(), ErrorKind::Timeout);
    unknown(lost.await.remove(0));
    store(&publisher, &two, "after").await;
    assert_eq!(contents(&lab.kafka, &one).await, ["first", "late"]);
    assert_eq!(contents(&lab.kafka, &two).await, ["first", "lost", "after"]);
}

/// A broker that waits for replicas reads no further on that connection: what lies there is stored when it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_and_arrives_late_is_not_behind_what_comes_after_it() {
    Lines::shared();
    let lab = Lab::start().await;
    let config = KafkaConfig::new(lab.proxy.address()).publish_deadline(Duration::from_secs(2));
    let publisher = Kafka::connect(config).await.unwrap().publisher().await.unwrap();
    let topic = topic(&lab.kafka, 1).await;
    store(&publisher, &topic, "first").await;
    let filter = Filter::kafka([PRODUCE]).containing("late");
    let strike = lab.proxy.delay_next_request(filter, Duration::from_secs(10));
    unknown(
        publisher
            .publish_batch(&topic, vec![to(0, "late")])
            .await
            .remove(0),
    );
    let deadline = Instant::now() + Duration::from_secs(90);
    while let Err(unsent) = publisher
        .publish_batch(&topic, vec![to(0, "after")])
        .await
        .remove(0)
    {
        assert!(!unsent.is_unknown() && Instant::now() < deadline, "{unsent}");
    }
    assert!(strike.happened().await);
    assert_eq!(contents(&lab.kafka, &topic).await, ["first", "late", "after"]);
}
