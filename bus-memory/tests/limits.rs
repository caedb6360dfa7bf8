//! A topic holds what it may, and says what it dropped.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use bus_core::{Backend, ErrorKind, Event, Message, Start, TopicSpec};
use bus_memory::{Full, Memory, MemoryConfig};
use common::*;
use std::{pin::pin, time::Duration};
use tokio::time::{advance, timeout};

fn ten() -> MemoryConfig {
    MemoryConfig::default().max_messages(10)
}

fn loss(events: &[Event]) -> Vec<(u128, u128)> {
    let of = |event: &Event| match event {
        Event::DataLoss { from, to, .. } => Some((*from, *to)),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

async fn first(memory: &Memory) -> u128 {
    memory.admin().positions(T, Start::Earliest).await.unwrap()[0].1
}

#[tokio::test(start_paused = true)]
async fn a_topic_without_groups_keeps_the_newest() {
    let memory = bus_with(1, ten()).await;
    publish(&memory, numbered(0, 0..25)).await;
    let mut member = join(&memory, "g").await;
    let expected: Vec<_> = (15..25).map(|n| n.to_string()).collect();
    assert_eq!(texts(&member.drain(ALL).await), expected);
}

#[tokio::test(start_paused = true)]
async fn what_every_group_has_settled_goes_first_and_only_at_the_limit() {
    let memory = bus_with(1, ten()).await;
    let mut fast = join(&memory, "fast").await;
    let mut slow = join(&memory, "slow").await;
    let (fast_shard, slow_shard) = (
        shards(&fast.drain(ALL).await)[0],
        shards(&slow.drain(ALL).await)[0],
    );
    publish(&memory, numbered(0, 0..10)).await;
    fast.commit(fast_shard, 10).await.unwrap();
    slow.commit(slow_shard, 4).await.unwrap();
    assert_eq!(first(&memory).await, 0, "a group made now still sees everything");
    publish(&memory, numbered(0, 10..14)).await;
    assert_eq!(first(&memory).await, 4);
    let events = slow.drain(ALL).await;
    assert_eq!(loss(&events), [(0, 4)], "it had settled what it had not read");
    assert_eq!(texts(&events).len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_publish_waits_for_room_in_order() {
    let memory = bus_with(1, ten()).await;
    let mut member = join(&memory, "g").await;
    let shard = shards(&member.drain(ALL).await)[0];
    let publisher = publisher(&memory).await;
    publish(&memory, numbered(0, 0..8)).await;
    let mut waiting = publisher.publish_batch(T, numbered(0, 8..12));
    let behind = publisher.publish_batch(T, numbered(0, 12..13));
    assert!(timeout(Duration::from_secs(1), &mut waiting).await.is_err());
    // Taken is taken: dropping the answer cancels nothing.
    drop(behind);
    assert_eq!(texts(&member.drain(ALL).await).len(), 10);
    let mut closing = pin!(publisher.close());
    assert!(timeout(Duration::ZERO, &mut closing).await.is_err());
    member.commit(shard, 3).await.unwrap();
    let outcomes = waiting.await;
    let positions: Vec<_> = outcomes
        .into_iter()
        .map(|o| stored(o.unwrap()).position.unwrap())
        .collect();
    assert_eq!(positions, [8, 9, 10, 11]);
    closing.await.unwrap();
    assert_eq!(texts(&member.drain(ALL).await), ["10", "11", "12"]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_and_what_is_behind_fails_with_it() {
    let memory = bus_with(1, ten().publish_timeout(Duration::from_secs(5))).await;
    let mut member = join(&memory, "billing").await;
    let shard = shards(&member.drain(ALL).await)[0];
    publish(&memory, numbered(0, 0..10)).await;
    let publisher = publisher(&memory).await;
    let first = publisher.publish_batch(T, numbered(0, 10..11));
    advance(Duration::from_secs(3)).await;
    let second = publisher.publish_batch(T, numbered(0, 11..12));
    for outcome in [first.await, second.await].concat_outcomes() {
        let unsent = outcome.unwrap_err();
        assert!(!unsent.is_unknown());
        assert_eq!(unsent.error().kind(), ErrorKind::Unavailable);
        assert!(unsent.error().message().contains("billing"), "{unsent}");
    }
    member.commit(shard, 0).await.unwrap();
    assert_eq!(texts(&member.drain(ALL).await).len(), 10);
}

trait Concat<T> {
    fn concat_outcomes(self) -> Vec<T>;
}
impl<T, const N: usize> Concat<T> for [Vec<T>; N] {
    fn concat_outcomes(self) -> Vec<T> {
        self.into_iter().flatten().collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_deleted_or_moved_holds_nothing_back() {
    let memory = bus_with(1, ten()).await;
    join(&memory, "gone").await.subscriber.close().await.unwrap();
    let mut member = join(&memory, "kept").await;
    let shard = shards(&member.drain(ALL).await)[0];
    publish(&memory, numbered(0, 0..10)).await;
    member.commit(shard, 10).await.unwrap();
    let mut waiting = publisher(&memory).await.publish_batch(T, numbered(0, 10..15));
    assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
    memory
        .admin()
        .reset("gone", T, Start::Positions([(0, 2)].into()))
        .await
        .unwrap();
    assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
    assert_eq!(first(&memory).await, 2);
    memory.admin().delete_group("gone").await.unwrap();
    assert!(waiting.await.iter().all(|o| o.is_ok()));
}

#[tokio::test(start_paused = true)]
async fn drop_oldest_says_exactly_what_is_missing() {
    let memory = bus_with(1, ten().when_full(Full::DropOldest)).await;
    let mut member = join(&memory, "g").await;
    publish(&memory, numbered(0, 0..10)).await;
    let shard = shards(&member.receive(NONE).await)[0];
    publish(&memory, numbered(0, 10..13)).await;
    assert_eq!(loss(&member.receive(NONE).await), [(0, 3)], "also without room");
    publish(&memory, numbered(0, 13..17)).await;
    let events = member.drain(ALL).await;
    assert_eq!(loss(&events), [(3, 7)]);
    assert_eq!(texts(&events), (7..17).map(|n| n.to_string()).collect::<Vec<_>>());
    publish(&memory, numbered(0, 17..20)).await;
    let events = member.drain(ALL).await;
    assert!(loss(&events).is_empty(), "what was handed out is not lost to it");
    member.commit(shard, 8).await.unwrap();
    member.subscriber.close().await.unwrap();
    let mut member = join(&memory, "g").await;
    let events = member.drain(ALL).await;
    assert_eq!(
        gained(&events)[0].1,
        8,
        "the stored position is not moved silently"
    );
    assert_eq!(loss(&events), [(8, 10)]);
    assert_eq!(texts(&events)[0], "10");
}

#[tokio::test(start_paused = true)]
async fn retention_drops_by_age_and_says_so() {
    let memory = Memory::new();
    create(&memory, TopicSpec::new(T).retention(Duration::from_secs(60))).await;
    let mut member = join(&memory, "g").await;
    member.receive(NONE).await;
    publish(&memory, numbered(0, 0..3)).await;
    advance(Duration::from_secs(40)).await;
    publish(&memory, numbered(0, 3..5)).await;
    advance(Duration::from_secs(30)).await;
    let events = member.drain(ALL).await;
    assert_eq!(loss(&events), [(0, 3)]);
    assert_eq!(texts(&events), ["3", "4"]);
    advance(Duration::from_secs(61)).await;
    publish(&memory, numbered(0, 5..6)).await;
    assert_eq!(first(&memory).await, 5);
    assert!(loss(&member.drain(ALL).await).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_publish_goes_on_when_records_grow_too_old() {
    let config = ten().publish_timeout(Duration::from_secs(3600));
    let memory = Memory::with_config(config);
    create(&memory, TopicSpec::new(T).retention(Duration::from_secs(60))).await;
    let _member = join(&memory, "g").await;
    publish(&memory, numbered(0, 0..10)).await;
    let outcomes = publisher(&memory)
        .await
        .publish_batch(T, numbered(0, 10..11))
        .await;
    assert!(outcomes[0].is_ok());
}

#[tokio::test(start_paused = true)]
async fn bytes_are_bounded_too() {
    let memory = bus_with(2, MemoryConfig::default().max_bytes(100_000)).await;
    for n in 0..1000 {
        publish(&memory, vec![Message::new(vec![0; 1000]).to_partition(n % 2)]).await;
    }
    let mut member = join(&memory, "g").await;
    let kept = records(&member.drain(ALL).await).len();
    assert!((80..=94).contains(&kept), "{kept}");
    let large = Message::new(vec![0; 60_000]);
    let unsent = publisher(&memory)
        .await
        .publish_batch(T, vec![large])
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(unsent.error().kind(), ErrorKind::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn a_commit_waits_for_room_for_its_outputs_before_publishes_do() {
    let memory = bus_with(1, ten()).await;
    create(&memory, TopicSpec::new("out")).await;
    let mut source_out = source("reader");
    source_out.topics = vec!["out".into()];
    let mut reader = subscribe(&memory, source_out).await;
    let reader_shard = shards(&reader.drain(ALL).await)[0];
    publish_to(&memory, "out", numbered(0, 0..10)).await;
    publish(&memory, numbered(0, 0..1)).await;
    let mut member = join(&memory, "g").await;
    let shard = shards(&member.drain(ALL).await)[0];
    let output = vec![("out".into(), Message::new("output"))];
    let mut commit = pin!(member.commit_with(shard, 1, "", output));
    assert!(timeout(Duration::from_secs(2), &mut commit).await.is_err());
    let mut publish = publisher(&memory)
        .await
        .publish_batch("out", vec![Message::new("published")]);
    assert!(timeout(Duration::from_secs(2), &mut publish).await.is_err());
    assert_eq!(
        memory.admin().lag("g").await.unwrap()[0].position,
        0,
        "together or not at all"
    );
    reader.drain(ALL).await;
    reader.commit(reader_shard, 1).await.unwrap();
    commit.await.unwrap();
    assert!(timeout(Duration::ZERO, &mut publish).await.is_err());
    reader.commit(reader_shard, 2).await.unwrap();
    assert!(publish.await[0].is_ok());
    assert_eq!(texts(&reader.drain(ALL).await), ["output", "published"]);
}

#[tokio::test(start_paused = true)]
async fn outputs_to_the_topic_that_is_read_never_wait_for_themselves() {
    let memory = bus_with(1, ten()).await;
    let mut member = join(&memory, "mover").await;
    publish(&memory, numbered(0, 0..10)).await;
    let shard = shards(&member.drain(ALL).await)[0];
    for n in 1..=100 {
        let again = vec![(T.into(), Message::new("again"))];
        member.commit_with(shard, n, "", again).await.unwrap();
    }
    let lag = memory.admin().lag("mover").await.unwrap();
    assert_eq!(lag[0].behind, 10);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_answers_who_waits() {
    let memory = bus_with(1, ten()).await;
    let _member = join(&memory, "g").await;
    publish(&memory, numbered(0, 0..10)).await;
    let waiting = publisher(&memory).await.publish_batch(T, numbered(0, 10..12));
    memory.admin().delete(T).await.unwrap();
    for outcome in waiting.await {
        assert_eq!(outcome.unwrap_err().error().kind(), ErrorKind::TopicMissing);
    }
}

#[tokio::test(start_paused = true)]
async fn a_compacted_topic_keeps_the_newest_of_each_key() {
    let memory = Memory::with_config(ten());
    create(&memory, TopicSpec::new(T).compact(true)).await;
    let mut member = join(&memory, "g").await;
    let shard = shards(&member.drain(ALL).await)[0];
    let set = |key: u32, value: u32| Message::new(value.to_string()).keyed(key.to_string());
    for round in 0..20 {
        publish(&memory, (0..4).map(|key| set(key, round)).collect()).await;
    }
    let mut fresh = join(&memory, "fresh").await;
    let kept = records(&fresh.drain(ALL).await);
    assert!(kept.len() <= 10);
    for key in 0..4u32 {
        let newest = kept
            .iter()
            .rfind(|(_, r)| r.key() == Some(key.to_string().as_bytes()));
        assert_eq!(newest.unwrap().1.payload(), Some(&b"19"[..]));
    }
    // What was replaced is not lost: positions have holes.
    assert!(loss(&member.drain(ALL).await).is_empty());
    member.commit(shard, 80).await.unwrap();
    let keyless = publisher(&memory)
        .await
        .publish_batch(T, vec![Message::new("x")])
        .await;
    assert_eq!(
        keyless[0].as_ref().unwrap_err().error().kind(),
        ErrorKind::Invalid
    );
}
