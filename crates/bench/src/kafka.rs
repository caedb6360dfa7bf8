//! Kafka: rdkafka's `BaseProducer` and `BaseConsumer` against the bus, with the same client settings.

use crate::{
    Result,
    load::{BATCH, Load},
    memory::consume,
    report::Report,
};
use bus::{Bus, Raw, Topic, TopicSpec};
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesOrdered};
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::ClientConfig,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

const PARTITIONS: u32 = 4;
/// Batches on their way at a time: the bus bounds 65 536 messages.
const AHEAD: usize = 32;

pub(crate) async fn round(broker: &str, load: &Load, report: &mut Report) -> Result<()> {
    let bus = Bus::connect(&format!("kafka://{broker}?fetch.queue.backoff.ms=5")).await?;
    let name = format!("bench-{}-{}", std::process::id(), report_number());
    let (raw_topic, bus_topic) = (format!("{name}-raw"), format!("{name}-bus"));
    let specs = [&raw_topic, &bus_topic].map(|t| TopicSpec::new(t.as_str()).partitions(PARTITIONS));
    bus.ensure_topics(specs).await?;

    let raw = raw_publish(broker, &raw_topic, load)?;
    report.add(
        "kafka publish",
        load.messages,
        raw,
        publish(&bus, &bus_topic, load).await?,
    );
    let raw = raw_consume(broker, &raw_topic, load)?;
    let topic = Topic::<Bytes, Raw>::named(&bus_topic);
    let mut subscription = bus
        .subscribe(&topic, "bench")
        .no_dead_letters()
        .in_flight(16_384)
        .await?;
    // Joining a group is not what is measured: the first message is, from when it is there.
    consume(&mut subscription, 1).await?;
    let begun = Instant::now();
    consume(&mut subscription, load.messages - 1).await?;
    report.add("kafka consume, ack each", load.messages, raw, begun.elapsed());
    subscription.close().await?;

    let admin = bus.admin();
    admin.delete(&raw_topic).await?;
    admin.delete(&bus_topic).await?;
    bus.close().await?;
    Ok(())
}

fn report_number() -> usize {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    NUMBER.fetch_add(1, Relaxed)
}

/// Pipelined batches, every outcome checked.
pub(crate) async fn publish(bus: &Bus, topic: &str, load: &Load) -> Result<Duration> {
    let begun = Instant::now();
    let mut running = FuturesOrdered::new();
    for batch in load.batches() {
        if running.len() == AHEAD {
            check(running.next().await)?;
        }
        running.push_back(bus.publish_batch(topic, batch));
    }
    while let Some(outcomes) = running.next().await {
        check(Some(outcomes))?;
    }
    Ok(begun.elapsed())
}

fn check(outcomes: Option<Vec<bus::Result<bus::Outcome, bus::Unsent>>>) -> Result<()> {
    for outcome in outcomes.into_iter().flatten() {
        outcome?;
    }
    Ok(())
}

#[derive(Clone, Default)]
struct Reports(Arc<AtomicUsize>);
impl ClientContext for Reports {}
impl ProducerContext for Reports {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            self.0.fetch_add(1, Relaxed);
        }
    }
}

fn client(broker: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker);
    config
}

fn raw_publish(broker: &str, topic: &str, load: &Load) -> Result<Duration> {
    let reports = Reports::default();
    let mut config = client(broker);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "5");
    config
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.messages", "500000");
    let producer: BaseProducer<Reports> = config.create_with_context(reports.clone())?;
    producer
        .client()
        .fetch_metadata(Some(topic), Duration::from_secs(10))?;
    let begun = Instant::now();
    for i in 0..load.messages {
        let mut record = BaseRecord::to(topic)
            .key(&load.key(i)[..])
            .payload(&load.payload[..]);
        while let Err((error, again)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(rdkafka::types::RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            producer.poll(Duration::from_millis(10));
            record = again;
        }
        if i % BATCH == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    while reports.0.load(Relaxed) < load.messages {
        producer.poll(Duration::from_millis(10));
    }
    Ok(begun.elapsed())
}

fn raw_consume(broker: &str, topic: &str, load: &Load) -> Result<Duration> {
    let mut config = client(broker);
    config
        .set("group.id", format!("{topic}-raw"))
        .set("fetch.queue.backoff.ms", "5");
    config.set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(topic, partition as i32, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let (mut received, mut begun) = (0, Instant::now());
    while received < load.messages {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            assert_eq!(message?.payload_len(), load.payload.len());
            if received == 0 {
                begun = Instant::now();
            }
            received += 1;
        }
    }
    Ok(begun.elapsed())
}
