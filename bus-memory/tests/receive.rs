//! What `receive` hands out, and when.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use bus_core::{Backend, Event, Message, Room, Scope, Source, Start};
use common::*;
use std::time::Duration;
use tokio::time::timeout;

const fn room(messages: usize) -> Room {
    Room {
        messages,
        bytes: 1 << 30,
    }
}

#[tokio::test(start_paused = true)]
async fn room_is_respected_in_messages_and_bytes() {
    let memory = bus(3).await;
    for partition in 0..3 {
        publish(&memory, numbered(partition, 0..100)).await;
    }
    let mut member = join(&memory, "g").await;
    let events = member.receive(NONE).await;
    assert_eq!((shards(&events).len(), events.len()), (3, 3), "ownership only");
    assert!(member.receive(NONE).await.is_empty());
    for messages in [1, 2, 7, 64, 65, 100] {
        assert_eq!(records(&member.receive(room(messages)).await).len(), messages);
    }
    // Two digits a record: ten bytes are five records.
    let bytes = Room {
        messages: 100,
        bytes: 10,
    };
    let events = member.receive(bytes).await;
    assert_eq!(texts(&events).concat().len(), 10);
    let none = Room {
        messages: 100,
        bytes: 0,
    };
    assert!(member.receive(none).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_record_larger_than_the_room_comes_alone() {
    let memory = bus(1).await;
    publish(
        &memory,
        vec![
            Message::new("small"),
            Message::new(vec![0; 1000]),
            Message::new("small"),
        ],
    )
    .await;
    let mut member = join(&memory, "g").await;
    let bytes = Room {
        messages: 10,
        bytes: 100,
    };
    let mut sizes = Vec::new();
    for _ in 0..3 {
        sizes.push(records(&member.receive(bytes).await).len());
    }
    assert_eq!(sizes, [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn one_partition_does_not_starve_the_others() {
    let memory = bus(4).await;
    publish(&memory, numbered(0, 0..100_000)).await;
    for partition in 1..4 {
        publish(&memory, numbered(partition, 0..10)).await;
    }
    let mut member = join(&memory, "g").await;
    member.receive(NONE).await;
    let seen = records(&member.receive(room(256)).await);
    for partition in 0..4 {
        assert!(seen.iter().any(|(shard, _)| shard.partition == partition));
    }
    // Also with room for one record a call.
    let mut last = vec![];
    publish(&memory, numbered(3, 10..12)).await;
    for _ in 0..8 {
        last.extend(records(&member.receive(room(1)).await));
    }
    assert!(last.iter().any(|(shard, _)| shard.partition == 3));
}

#[tokio::test(start_paused = true)]
async fn pause_stops_one_shard_and_keeps_it() {
    let memory = bus(2).await;
    let mut member = join(&memory, "g").await;
    let shards = shards(&member.drain(ALL).await);
    let paused = shards[1];
    member.subscriber.pause(paused, true);
    member.subscriber.pause(paused, true);
    publish(&memory, [numbered(0, 0..1), numbered(1, 0..1)].concat()).await;
    let seen = records(&member.drain(ALL).await);
    assert!(seen.len() == 1 && seen[0].0 != paused);
    member.subscriber.pause(paused, false);
    member.subscriber.pause(paused, false);
    let seen = records(&member.drain(ALL).await);
    assert!(seen.len() == 1 && seen[0].0 == paused);
    member.subscriber.pause(
        bus_core::Shard {
            epoch: 999_999,
            ..paused
        },
        true,
    );
    publish(&memory, numbered(1, 1..2)).await;
    assert_eq!(
        records(&member.drain(ALL).await).len(),
        1,
        "another epoch's pause is nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_loses_nothing() {
    let memory = bus(2).await;
    let mut member = join(&memory, "g").await;
    member.drain(ALL).await;
    let mut seen = Vec::new();
    for n in 0..200 {
        {
            let mut events = Vec::new();
            let parked = member.subscriber.receive(ALL, &mut events);
            assert!(timeout(Duration::ZERO, parked).await.is_err());
            assert!(events.is_empty());
        }
        publish(&memory, numbered(n % 2, n..n + 1)).await;
        if n % 3 == 0 {
            // Woken and dropped before it could look.
            let mut events = Vec::new();
            drop(member.subscriber.receive(ALL, &mut events));
        }
        seen.extend(texts(&member.drain(room(1)).await));
    }
    assert_eq!(seen, (0..200).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_parked_receiver_is_woken_by_a_publish() {
    let memory = bus(8).await;
    let mut member = join(&memory, "g").await;
    member.drain(ALL).await;
    let parked = tokio::spawn(async move {
        let mut events = Vec::new();
        member.subscriber.receive(ALL, &mut events).await.unwrap();
        texts(&events)
    });
    tokio::task::yield_now().await;
    publish(&memory, numbered(5, 1..2)).await;
    assert_eq!(parked.await.unwrap(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn without_room_a_publish_wakes_nobody_but_ownership_does() {
    let memory = bus(1).await;
    let mut member = join(&memory, "g").await;
    member.drain(ALL).await;
    let parked = tokio::spawn(async move {
        let mut events = Vec::new();
        member.subscriber.receive(NONE, &mut events).await.unwrap();
        events
    });
    tokio::task::yield_now().await;
    publish(&memory, numbered(0, 0..1)).await;
    tokio::task::yield_now().await;
    assert!(!parked.is_finished());
    memory.admin().delete(T).await.unwrap();
    assert!(matches!(
        parked.await.unwrap()[..],
        [Event::Lost(_), Event::TopicLost(_)]
    ));
}

#[tokio::test(start_paused = true)]
async fn caught_up_comes_once_behind_the_end_that_was_seen() {
    let memory = bus(1).await;
    publish(&memory, numbered(0, 0..3)).await;
    let mut member = join(&memory, "g").await;
    publish(&memory, numbered(0, 3..5)).await;
    let kinds = |events: &[Event]| -> Vec<&str> {
        let kind = |event: &Event| match event {
            Event::Gained { .. } => "gained",
            Event::Records { .. } => "record",
            Event::CaughtUp(_) => "caught up",
            _ => "other",
        };
        events.iter().map(kind).collect()
    };
    let events = member.drain(room(1)).await;
    let expected = [
        "gained",
        "record",
        "record",
        "record",
        "caught up",
        "record",
        "record",
    ];
    assert_eq!(kinds(&events), expected);
    publish(&memory, numbered(0, 5..6)).await;
    assert_eq!(kinds(&member.drain(ALL).await), ["record"]);
}

#[tokio::test(start_paused = true)]
async fn everyone_at_latest_sees_what_comes_after_subscribe_and_all_of_it() {
    let memory = bus(2).await;
    publish(&memory, numbered(0, 0..3)).await;
    let mut readers = Vec::new();
    for _ in 0..3 {
        readers.push(subscribe(&memory, everyone(Start::Latest)).await);
    }
    publish(&memory, [numbered(0, 3..5), numbered(1, 5..6)].concat()).await;
    for reader in &mut readers {
        let mut texts = texts(&reader.drain(ALL).await);
        texts.sort();
        assert_eq!(texts, ["3", "4", "5"]);
    }
    let (memory, reader) = (&memory, &mut readers[0]);
    memory.admin().grow(T, 3).await.unwrap();
    publish(memory, numbered(2, 6..7)).await;
    let events = reader.drain(ALL).await;
    assert!(matches!(
        events[0],
        Event::PartitionsChanged { partitions: 3, .. }
    ));
    assert_eq!(texts(&events), ["6"]);
}

#[tokio::test(start_paused = true)]
async fn everyone_reads_the_listed_partitions_seeks_and_releases() {
    let memory = bus(4).await;
    for partition in 0..4 {
        publish(&memory, numbered(partition, partition..partition + 1)).await;
    }
    let listed = |partitions| Source {
        scope: Scope::Everyone {
            partitions: Some(partitions),
        },
        ..source("")
    };
    assert!(memory.subscribe(listed(vec![4])).await.is_err());
    assert!(memory.subscribe(everyone(Start::Stored)).await.is_err());
    let mut reader = subscribe(&memory, listed(vec![1, 3])).await;
    let events = reader.drain(ALL).await;
    assert_eq!(texts(&events), ["1", "3"]);
    let shards = shards(&events);
    reader.subscriber.seek(shards[0], Start::Earliest).await.unwrap();
    assert!(reader.subscriber.seek(shards[0], Start::Earliest).await.is_err());
    let events = reader.drain(ALL).await;
    assert_eq!(lost(&events), [shards[0]]);
    assert_eq!(texts(&events), ["1"]);
    reader.ack.release(shards[1]).await.unwrap();
    reader.ack.release(shards[1]).await.unwrap();
    assert_eq!(lost(&reader.drain(ALL).await), [shards[1]]);
    publish(&memory, numbered(3, 9..10)).await;
    assert!(reader.drain(ALL).await.is_empty());
}
