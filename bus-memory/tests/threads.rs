//! Many threads at once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use bus_core::{Backend, Event, Message, Room};
use bus_memory::{Full, MemoryConfig};
use common::*;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Barrier, time::timeout};

const KEYS: u32 = 50;
const PUBLISHERS: u32 = 8;
const EACH: u32 = 5_000;

/// Publishes `publisher:number`, keyed by publisher and number modulo `KEYS`, singly and in batches, without awaiting
/// the one before: call order must be enough.
async fn publish_all(memory: bus_memory::Memory, publisher: u32) {
    let handle = memory.publisher().await.unwrap();
    let message =
        |n: u32| Message::new(format!("{publisher}:{n}")).keyed(format!("{publisher}/{}", n % KEYS));
    let mut pending = Vec::new();
    let mut n = 0;
    while n < EACH {
        let size = if n % 3 == 0 { 1 } else { 17.min(EACH - n) };
        pending.push(handle.publish_batch(T, (n..n + size).map(message).collect()));
        n += size;
        if n % 64 < 17 {
            tokio::task::yield_now().await;
        }
    }
    for answer in pending {
        assert!(answer.await.iter().all(Result::is_ok));
    }
    handle.close().await.unwrap();
}

async fn run(config: MemoryConfig) {
    let memory = bus_with(8, config).await;
    let mut member = join(&memory, "g").await;
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|p| tokio::spawn(publish_all(memory.clone(), p)))
        .collect();
    let mut next: HashMap<String, u32> = HashMap::new();
    let mut got = 0;
    while got < PUBLISHERS * EACH {
        let mut events = Vec::new();
        let room = Room {
            messages: 500,
            bytes: 1 << 20,
        };
        let receive = member.subscriber.receive(room, &mut events);
        timeout(Duration::from_secs(60), receive)
            .await
            .expect("stalled")
            .unwrap();
        let mut done = HashMap::new();
        for (shard, record) in records(&events) {
            let key = String::from_utf8(record.key().unwrap().to_vec()).unwrap();
            let text = String::from_utf8(record.payload().unwrap().to_vec()).unwrap();
            let (publisher, n) = text.split_once(':').unwrap();
            let (from, lane) = key.split_once('/').unwrap();
            assert_eq!(publisher, from);
            let lane: u32 = lane.parse().unwrap();
            let expected = next.entry(key).or_insert(lane);
            assert_eq!(
                n.parse::<u32>().unwrap(),
                *expected,
                "order of a key from one handle"
            );
            *expected += KEYS;
            got += 1;
            done.insert(shard, record.position() + 1);
        }
        for (shard, position) in done {
            member.commit(shard, position).await.unwrap();
        }
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_order_of_a_key_is_kept_for_each_handle() {
    run(MemoryConfig::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn also_when_publishes_wait_for_room() {
    run(MemoryConfig::default().max_messages(200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn members_come_and_go_and_nothing_is_lost_or_doubled() {
    let memory = bus(8).await;
    let publishers: Vec<_> = (0..2)
        .map(|p| tokio::spawn(publish_all(memory.clone(), p)))
        .collect();
    let total = (2 * EACH) as usize;
    let seen = Arc::new(parking_lot::Mutex::new(HashSet::new()));
    let done = Arc::new(tokio::sync::Notify::new());
    let worker = |rounds: Option<u32>| {
        let (memory, seen, done) = (memory.clone(), seen.clone(), done.clone());
        async move {
            for _ in 0..rounds.unwrap_or(1) {
                let mut member = join(&memory, "g").await;
                for _ in 0..if rounds.is_some() { 20 } else { usize::MAX } {
                    let mut events = Vec::new();
                    let room = Room {
                        messages: 40,
                        bytes: 1 << 20,
                    };
                    let receive = member.subscriber.receive(room, &mut events);
                    let limit = if rounds.is_some() { 20 } else { 60_000 };
                    if timeout(Duration::from_millis(limit), receive).await.is_err() {
                        break;
                    }
                    // Settled before it is counted: what was fenced comes again, elsewhere.
                    for event in &events {
                        match event {
                            Event::Records { shard, batch, range } => {
                                let last = &batch.records()[range.end as usize - 1];
                                if member.commit(*shard, last.position + 1).await.is_ok() {
                                    let mut seen = seen.lock();
                                    for (_, record) in records(std::slice::from_ref(event)) {
                                        assert!(seen.insert(record.payload().unwrap().to_vec()), "doubled");
                                    }
                                    if seen.len() == total {
                                        done.notify_one();
                                    }
                                }
                            }
                            Event::Losing { shard, .. } => member.ack.release(*shard).await.unwrap(),
                            _ => {}
                        }
                    }
                }
                member.subscriber.close().await.unwrap();
            }
        }
    };
    let steady = tokio::spawn(worker(None));
    let others: Vec<_> = (0..3).map(|_| tokio::spawn(worker(Some(20)))).collect();
    timeout(Duration::from_secs(60), done.notified())
        .await
        .expect("something is missing");
    steady.abort();
    for task in publishers.into_iter().chain(others) {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dropping_the_oldest_under_load_accounts_for_every_position() {
    let config = MemoryConfig::default()
        .max_messages(300)
        .when_full(Full::DropOldest);
    let memory = bus_with(4, config).await;
    let mut member = join(&memory, "g").await;
    let start = Arc::new(Barrier::new(5));
    let publishers: Vec<_> = (0..4)
        .map(|partition| {
            let (memory, start) = (memory.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                for n in (0..20_000).step_by(10) {
                    publish(&memory, numbered(partition, n..n + 10)).await;
                }
            })
        })
        .collect();
    start.wait().await;
    let mut next = [0u128; 4];
    while next != [20_000; 4] {
        let mut events = Vec::new();
        let receive = member.subscriber.receive(ALL, &mut events);
        timeout(Duration::from_secs(60), receive)
            .await
            .expect("stalled")
            .unwrap();
        for event in &events {
            match event {
                Event::DataLoss { shard, from, to } => {
                    let next = &mut next[shard.partition as usize];
                    assert_eq!(*from, *next);
                    *next = *to;
                }
                Event::Records { shard, .. } => {
                    let next = &mut next[shard.partition as usize];
                    for (_, record) in records(std::slice::from_ref(event)) {
                        assert_eq!(record.position(), *next);
                        assert_eq!(record.payload().unwrap(), next.to_string().as_bytes());
                        *next += 1;
                    }
                }
                _ => {}
            }
        }
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
}
