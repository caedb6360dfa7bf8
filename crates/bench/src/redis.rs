//! Redis: pipelined `XADD`, and `XREADGROUP` with a pipelined `XACK`, against the bus.

use crate::{Result, kafka::publish, load::Load, memory::consume, report::Report};
use bus::{Bus, Raw, Topic, TopicSpec};
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{AsyncCommands, Client, aio::MultiplexedConnection, streams::StreamReadReply};
use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

const PIPELINE: usize = 500;
/// Pipelines on their way at a time.
const AHEAD: usize = 4;
const READ: usize = 1_000;

pub(crate) async fn round(server: &str, load: &Load, report: &mut Report) -> Result<()> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let bus = Bus::connect(server).await?;
    let name = format!("bench-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let (raw_stream, bus_topic) = (format!("{name}-raw"), format!("{name}-bus"));
    bus.ensure_topics([TopicSpec::new(bus_topic.as_str())]).await?;
    let mut connection = Client::open(server)?.get_multiplexed_async_connection().await?;

    let raw = raw_publish(&connection, &raw_stream, load).await?;
    report.add(
        "redis publish",
        load.messages,
        raw,
        publish(&bus, &bus_topic, load).await?,
    );
    let raw = raw_consume(&mut connection, &raw_stream, load).await?;
    let topic = Topic::<Bytes, Raw>::named(&bus_topic);
    let mut subscription = bus
        .subscribe(&topic, "bench")
        .no_dead_letters()
        .in_flight(16_384)
        .await?;
    consume(&mut subscription, 1).await?;
    let begun = Instant::now();
    consume(&mut subscription, load.messages - 1).await?;
    report.add("redis consume, ack each", load.messages, raw, begun.elapsed());
    subscription.close().await?;

    bus.admin().delete(&bus_topic).await?;
    let _: () = connection.del(&raw_stream).await?;
    bus.close().await?;
    Ok(())
}

async fn raw_publish(connection: &MultiplexedConnection, stream: &str, load: &Load) -> Result<Duration> {
    let begun = Instant::now();
    let mut running = FuturesUnordered::new();
    for from in (0..load.messages).step_by(PIPELINE) {
        if running.len() == AHEAD {
            running.next().await.transpose()?;
        }
        let mut pipe = redis::pipe();
        for i in from..(from + PIPELINE).min(load.messages) {
            let command = pipe.cmd("XADD").arg(stream).arg("*");
            command
                .arg("data")
                .arg(&load.payload[..])
                .arg("key")
                .arg(&load.key(i)[..])
                .ignore();
        }
        let mut connection = connection.clone();
        running.push(async move { pipe.query_async::<()>(&mut connection).await });
    }
    while let Some(done) = running.next().await {
        done?;
    }
    Ok(begun.elapsed())
}

async fn raw_consume(connection: &mut MultiplexedConnection, stream: &str, load: &Load) -> Result<Duration> {
    let _: () = connection.xgroup_create(stream, "bench", "0").await?;
    let begun = Instant::now();
    let (mut received, mut bytes) = (0, 0);
    while received < load.messages {
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP")
            .arg("bench")
            .arg("raw")
            .arg("COUNT")
            .arg(READ)
            .arg("STREAMS")
            .arg(stream)
            .arg(">");
        let reply: StreamReadReply = read.query_async(connection).await?;
        // One command acknowledges all of them: the raw client at its best.
        let mut ack = redis::cmd("XACK");
        ack.arg(stream).arg("bench");
        for entry in reply.keys.iter().flat_map(|k| &k.ids) {
            bytes += entry.get::<Vec<u8>>("data").map_or(0, |d| d.len());
            ack.arg(&entry.id);
            received += 1;
        }
        ack.query_async::<()>(connection).await?;
    }
    assert_eq!(bytes, load.messages * load.payload.len());
    Ok(begun.elapsed())
}
