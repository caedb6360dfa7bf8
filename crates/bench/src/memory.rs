//! Memory: tokio's mpsc one by one against publish, next and ack one by one.

use crate::{Result, load::Load, report::Report};
use bus::{Bus, Raw, Topic, TopicSpec};
use bytes::Bytes;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

pub(crate) async fn round(load: &Load, report: &mut Report) -> Result<()> {
    let raw = raw(load).await?;
    report.add("memory, one by one", load.messages, raw, one_by_one(load).await?);
    report.add(
        "memory, batches of 1000 (raw: one by one)",
        load.messages,
        raw,
        batches(load).await?,
    );
    Ok(())
}

async fn raw(load: &Load) -> Result<Duration> {
    let (send, mut receive) = mpsc::channel::<(Bytes, Bytes)>(1_024);
    let begun = Instant::now();
    let messages: Vec<_> = (0..1_000)
        .map(|i| (load.key(i).clone(), load.payload.clone()))
        .collect();
    let count = load.messages;
    let sender = tokio::spawn(async move {
        for i in 0..count {
            if send.send(messages[i % 1_000].clone()).await.is_err() {
                break;
            }
        }
    });
    let mut received = 0;
    while receive.recv().await.is_some() {
        received += 1;
    }
    sender.await?;
    assert_eq!(received, count);
    Ok(begun.elapsed())
}

async fn bus(partitions: u32) -> Result<(Bus, Topic<Bytes, Raw>)> {
    let bus = Bus::connect("memory://").await?;
    bus.ensure_topics([TopicSpec::new("bench").partitions(partitions)])
        .await?;
    Ok((bus, Topic::new("bench")))
}

async fn one_by_one(load: &Load) -> Result<Duration> {
    let (bus, topic) = bus(4).await?;
    let mut subscription = bus.subscribe(&topic, "bench").await?;
    let begun = Instant::now();
    let messages: Vec<_> = (0..1_000).map(|i| load.message(i)).collect();
    let (count, publisher) = (load.messages, bus.clone());
    let sender = tokio::spawn(async move {
        for i in 0..count {
            publisher
                .publish_message("bench", messages[i % 1_000].clone())
                .await?;
        }
        bus::Result::<()>::Ok(())
    });
    consume(&mut subscription, count).await?;
    sender.await??;
    let took = begun.elapsed();
    subscription.close().await?;
    Ok(took)
}

async fn batches(load: &Load) -> Result<Duration> {
    let (bus, topic) = bus(4).await?;
    let mut subscription = bus.subscribe(&topic, "bench").in_flight(8_192).await?;
    let batches: Vec<_> = load.batches().collect();
    let begun = Instant::now();
    let publisher = bus.clone();
    let sender = tokio::spawn(async move {
        for batch in batches {
            for outcome in publisher.publish_batch("bench", batch).await {
                outcome?;
            }
        }
        bus::Result::<()>::Ok(())
    });
    consume(&mut subscription, load.messages).await?;
    sender.await??;
    let took = begun.elapsed();
    subscription.close().await?;
    Ok(took)
}

/// Reads and acknowledges one by one.
pub(crate) async fn consume(subscription: &mut bus::Subscription<Bytes, Raw>, count: usize) -> Result<()> {
    for _ in 0..count {
        let delivery = subscription.next().await.ok_or("the subscription ended")??;
        delivery.ack();
    }
    Ok(())
}
