//! Members that come and go: nothing lost, nothing twice, nothing out of order.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Bytes, Done, Event, Message, Room, Shard, Start};
use bus_kafka::Kafka;
use common::*;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const PARTITIONS: u32 = 8;

/// Who got which position, in the order of delivery.
type History = Arc<Mutex<Vec<(usize, Shard, u128)>>>;

/// Receives, settles at once, commits now and then, hands over as core does, until told to leave.
async fn member(
    kafka: Arc<Kafka>,
    topic: String,
    group: String,
    id: usize,
    leave: Arc<AtomicBool>,
    history: History,
) {
    let (mut subscriber, ack) = kafka
        .subscribe(source(&topic, &group, Start::Earliest))
        .await
        .unwrap();
    let mut next: BTreeMap<Shard, (u128, bool)> = BTreeMap::new();
    let mut events = Vec::new();
    let room = Room {
        messages: 200,
        bytes: 1 << 20,
    };
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut leaving: Vec<Shard> = Vec::new();
    loop {
        tokio::select! {
            received = subscriber.receive(room, &mut events) => received.unwrap(),
            _ = tick.tick() => {}
        }
        for event in events.drain(..) {
            match event {
                Event::Gained { shard, next: at, .. } => {
                    next.insert(shard, (at, false));
                }
                Event::Records { shard, batch, range } => {
                    let (at, dirty) = next.get_mut(&shard).expect("records of a shard that is owned");
                    for i in range {
                        let position = batch.records()[i as usize].position;
                        assert!(position >= *at, "back from {at} to {position}");
                        history.lock().unwrap().push((id, shard, position));
                        *at = position + 1;
                        *dirty = true;
                    }
                }
                Event::Losing { shard, .. } => leaving.push(shard),
                Event::Lost(shard) => {
                    next.remove(&shard);
                }
                _ => {}
            }
        }
        let done: Vec<Done> = next
            .iter()
            .filter(|(_, (_, dirty))| *dirty)
            .map(|(shard, (next, _))| Done {
                shard: *shard,
                next: *next,
                notes: Bytes::from_static(b"n"),
                outputs: Vec::new(),
            })
            .collect();
        let stopping = leave.load(Ordering::Acquire);
        let mut clean = true;
        if !done.is_empty() {
            for (done, result) in done.iter().zip(ack.commit(done.clone()).await) {
                match result {
                    Ok(()) => next.get_mut(&done.shard).into_iter().for_each(|n| n.1 = false),
                    Err(error) => {
                        assert!(error.is_transient(), "{error}");
                        clean = false;
                    }
                }
            }
        }
        leaving.retain(|shard| {
            let keep = next.get(shard).is_some_and(|n| n.1);
            if !keep {
                let (ack, shard) = (ack.clone(), *shard);
                tokio::spawn(async move { ack.release(shard).await.unwrap() });
            }
            keep
        });
        if stopping && clean {
            break;
        }
    }
    for shard in next.keys() {
        ack.release(*shard).await.unwrap();
    }
    subscriber.close().await.unwrap();
}

/// Where a history does not go from one position to the next, and how it ends.
fn gaps(history: &[(usize, Shard, u128)]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let mut last: BTreeMap<u32, (usize, Shard, u128)> = BTreeMap::new();
    for entry in history {
        let expected = last.get(&entry.1.partition).map_or(0, |l| l.2 + 1);
        if entry.2 != expected {
            writeln!(text, "{:?} after {:?}", entry, last.get(&entry.1.partition)).unwrap();
        }
        last.insert(entry.1.partition, *entry);
    }
    for entry in last.values() {
        writeln!(text, "ends with {entry:?}").unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go_without_loss_or_duplicate() {
    let kafka = Arc::new(kafka().await);
    let topic = topic(&kafka, PARTITIONS).await;
    let group = unique("g");
    let history = History::default();
    let stop = Arc::new(AtomicBool::new(false));
    let producer = {
        let (kafka, topic, stop) = (kafka.clone(), topic.clone(), stop.clone());
        tokio::spawn(async move {
            let publisher = kafka.publisher().await.unwrap();
            let mut sent = 0;
            while !stop.load(Ordering::Acquire) {
                let batch = (sent..sent + 40)
                    .map(|i| Message::new(format!("{i}")).keyed(format!("{}", i % 97)))
                    .collect();
                assert!(
                    publisher
                        .publish_batch(&topic, batch)
                        .await
                        .iter()
                        .all(Result::is_ok)
                );
                sent += 40;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            sent
        })
    };
    let mut members = Vec::new();
    let join = |id| {
        let leave = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(member(
            kafka.clone(),
            topic.clone(),
            group.clone(),
            id,
            leave.clone(),
            history.clone(),
        ));
        (leave, task)
    };
    members.push(join(0));
    // A member joins every second and a half, and the oldest leaves when there are four.
    for id in 1..8 {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        members.push(join(id));
        if members.len() > 3 {
            let (leave, task) = members.remove(0);
            leave.store(true, Ordering::Release);
            tokio::time::timeout(SOON, task)
                .await
                .expect("leaving in time")
                .unwrap();
        }
    }
    stop.store(true, Ordering::Release);
    let sent: usize = producer.await.unwrap();
    let deadline = Instant::now() + SOON;
    while history.lock().unwrap().len() < sent {
        if Instant::now() >= deadline {
            let history = history.lock().unwrap();
            panic!("{} of {sent}: {}", history.len(), gaps(&history));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (leave, task) in members {
        leave.store(true, Ordering::Release);
        tokio::time::timeout(SOON, task)
            .await
            .expect("leaving in time")
            .unwrap();
    }
    let mut next: BTreeMap<u32, u128> = (0..PARTITIONS).map(|p| (p, 0)).collect();
    let history = std::mem::take(&mut *history.lock().unwrap());
    for (id, shard, position) in &history {
        let at = next.get_mut(&shard.partition).unwrap();
        assert_eq!(
            position, at,
            "member {id}, {shard:?}: lost, twice or out of order"
        );
        *at += 1;
    }
    assert_eq!(history.len(), sent);
    let lag = kafka.admin().lag(&group).await.unwrap();
    assert!(
        lag.iter().all(|l| l.behind == 0),
        "a graceful close commits everything: {lag:?}"
    );
}
