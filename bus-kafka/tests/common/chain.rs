//! A chain of exactly-once subscriptions with kills.

use super::*;
use bus_core::{Bus, Bytes, Delivery, Message, Raw, Subscription, Topic};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const KEYS: usize = 30;

type Payload = Topic<Bytes, Raw>;

/// One member of a hop, started again whenever it was killed.
async fn member(
    bus: Bus,
    from: String,
    to: String,
    group: String,
    kill: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
) {
    while !end.load(Ordering::Acquire) {
        let subscription: Subscription<Bytes, Raw> = bus
            .subscribe(&Payload::named(from.clone()), &group)
            .exactly_once()
            .no_dead_letters()
            .commit_every(Duration::from_millis(100))
            .await
            .unwrap();
        let control = subscription.control();
        let to = to.clone();
        let running = tokio::spawn(subscription.for_each(8, move |delivery: Delivery<Bytes>| {
            let to = to.clone();
            async move {
                let mut output = Message::new(delivery.value().clone());
                output.key = delivery.key().map(Bytes::copy_from_slice);
                let _ = delivery.ack_with([(to, output)]);
            }
        }));
        while !running.is_finished() {
            if end.load(Ordering::Acquire) {
                control.drain(Duration::from_secs(5)).await.unwrap();
            } else if kill.swap(false, Ordering::AcqRel) {
                control.abort();
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if end.load(Ordering::Acquire) {
            running.await.unwrap().unwrap();
        }
    }
}

/// Passes `messages` on through two hops with three members each, of which one is killed `kills` times, and fails
/// unless what comes out is what went in, once and in order of each key.
pub(crate) async fn chain(kafka: Arc<Kafka>, messages: usize, kills_wanted: usize, limit: Duration) {
    let topics = [
        topic(&kafka, 6).await,
        topic(&kafka, 6).await,
        topic(&kafka, 6).await,
    ];
    let group = unique("g");
    let bus = Bus::new(kafka.clone()).await.unwrap();
    let end = Arc::<AtomicBool>::default();
    let mut kills = Vec::new();
    let mut members = Vec::new();
    for hop in 0..2 {
        for _ in 0..3 {
            let kill = Arc::<AtomicBool>::default();
            kills.push(kill.clone());
            members.push(tokio::spawn(member(
                bus.clone(),
                topics[hop].clone(),
                topics[hop + 1].clone(),
                group.clone(),
                kill,
                end.clone(),
            )));
        }
    }
    let sent = Arc::<AtomicUsize>::default();
    let feed = {
        let (kafka, input, sent) = (kafka.clone(), topics[0].clone(), sent.clone());
        tokio::spawn(async move {
            for i in 0..messages {
                let message = Message::new(format!("{i}")).keyed(format!("k{}", i % KEYS));
                publish(&kafka, &input, vec![message]).await;
                sent.fetch_add(1, Ordering::AcqRel);
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
        })
    };
    let mut reader = Member::join(&kafka, everyone(&topics[2], None, bus_core::Start::Earliest)).await;
    let deadline = Instant::now() + limit;
    let mut killed = 0;
    while reader.records.len() < messages {
        reader.step(Duration::from_millis(100)).await;
        // Kills are spread over the run by what has come through, not by time.
        if killed < kills_wanted && reader.records.len() > (killed + 1) * messages / (kills_wanted + 2) {
            kills[(killed * 7) % kills.len()].store(true, Ordering::Release);
            killed += 1;
        }
        assert!(
            Instant::now() < deadline,
            "{} of {} through, {killed} kills, owned {:?}",
            reader.records.len(),
            sent.load(Ordering::Acquire),
            lag(&kafka, &group).await
        );
    }
    feed.await.unwrap();
    end.store(true, Ordering::Release);
    for member in members {
        member.await.unwrap();
    }
    // Whatever is still to come would be too much.
    publish(&kafka, &topics[2], vec![Message::new("last").to_partition(0)]).await;
    reader
        .until("the message behind everything", |m| {
            m.payloads().contains(&"last".to_owned())
        })
        .await;
    let mut by_key: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
    for (_, record) in reader.records.iter().filter(|(_, r)| r.key().is_some()) {
        let number = String::from_utf8_lossy(record.payload().unwrap())
            .parse()
            .unwrap();
        by_key
            .entry(record.key().unwrap().to_vec())
            .or_default()
            .push(number);
    }
    assert_eq!(killed, kills_wanted);
    assert_eq!(by_key.len(), KEYS);
    for (key, numbers) in by_key {
        let first = numbers[0] % KEYS;
        let expected: Vec<usize> = (first..messages).step_by(KEYS).collect();
        if numbers != expected {
            for topic in &topics {
                let mut reader = Member::join(&kafka, everyone(topic, None, bus_core::Start::Earliest)).await;
                reader.until("the end", |m| m.caught_up.len() == 6).await;
                let found = reader.records.iter().filter(|(_, r)| r.key() == Some(&key[..]));
                let found: Vec<_> = found
                    .map(|(s, r)| {
                        let text = String::from_utf8_lossy(r.payload().unwrap()).into_owned();
                        (s.partition, r.position(), text)
                    })
                    .collect();
                eprintln!("{topic}: {found:?}");
            }
        }
        assert_eq!(numbers, expected, "{}", String::from_utf8_lossy(&key));
    }
    reader.subscriber.close().await.unwrap();
}
