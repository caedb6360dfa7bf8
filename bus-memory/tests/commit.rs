//! What a commit stores, and what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use bus_core::{Backend, Done, ErrorKind, Message, Name, Shard, Start, TopicSpec};
use bus_memory::{Memory, MemoryConfig};
use common::*;
use std::time::Duration;

const OUT: &str = "out";

async fn with_output(partitions: u32) -> Memory {
    let memory = bus(partitions).await;
    create(&memory, TopicSpec::new(OUT)).await;
    memory
}

fn output(text: &'static str) -> Vec<(Name, Message)> {
    vec![(OUT.into(), Message::new(text))]
}

fn done(shard: Shard, next: u128, text: &'static str) -> Done {
    Done {
        shard,
        next,
        notes: text.into(),
        outputs: output(text),
    }
}

async fn stored(memory: &Memory) -> Vec<String> {
    let mut source = everyone(Start::Earliest);
    source.topics = vec![OUT.into()];
    texts(&subscribe(memory, source).await.drain(ALL).await)
}

async fn position(memory: &Memory) -> u128 {
    memory.admin().lag("g").await.unwrap()[0].position
}

#[tokio::test(start_paused = true)]
async fn a_fenced_shard_takes_its_outputs_down_and_leaves_its_neighbours_alone() {
    let memory = with_output(2).await;
    publish(&memory, [numbered(0, 0..2), numbered(1, 0..2)].concat()).await;
    let mut member = join(&memory, "g").await;
    let shards = shards(&member.drain(ALL).await);
    let stale = Shard {
        epoch: shards[0].epoch - 1,
        ..shards[0]
    };
    let all = vec![
        done(stale, 1, "stale"),
        done(shards[1], 2, "good"),
        done(shards[0], 1, "own"),
    ];
    let results = member.ack.commit(all).await;
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::Fenced);
    assert!(results[1].is_ok() && results[2].is_ok());
    assert_eq!(stored(&memory).await, ["good", "own"]);
    let lag = memory.admin().lag("g").await.unwrap();
    let positions: Vec<_> = lag
        .iter()
        .map(|l| (l.partition, l.position, l.end, l.behind))
        .collect();
    assert_eq!(positions, [(0, 1, 2, 1), (1, 2, 2, 0)]);
}

#[tokio::test(start_paused = true)]
async fn the_same_done_again_is_harmless_and_stores_no_second_output() {
    let memory = with_output(1).await;
    publish(&memory, numbered(0, 0..5)).await;
    let mut member = join(&memory, "g").await;
    let shard = shards(&member.drain(ALL).await)[0];
    for _ in 0..3 {
        assert!(member.ack.commit(vec![done(shard, 2, "a")]).await[0].is_ok());
    }
    assert_eq!(stored(&memory).await, ["a"]);
    // Another record settled beyond `next`: the notes tell it from the one before.
    let beyond = Done {
        notes: "b".into(),
        ..done(shard, 2, "a")
    };
    assert!(member.ack.commit(vec![beyond]).await[0].is_ok());
    assert_eq!(stored(&memory).await, ["a", "a"]);
}

#[tokio::test(start_paused = true)]
async fn a_position_never_goes_back() {
    let memory = with_output(1).await;
    publish(&memory, numbered(0, 0..5)).await;
    let mut member = join(&memory, "g").await;
    let shard = shards(&member.drain(ALL).await)[0];
    member.commit(shard, 3).await.unwrap();
    let back = member.ack.commit(vec![done(shard, 2, "x")]).await.remove(0);
    assert_eq!(back.unwrap_err().kind(), ErrorKind::Invalid);
    let beyond = member.ack.commit(vec![done(shard, 6, "x")]).await.remove(0);
    assert_eq!(beyond.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(position(&memory).await, 3);
    assert!(stored(&memory).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_an_output_stores_nothing_of_its_done() {
    let config = MemoryConfig::default().max_message(100);
    let memory = bus_with(1, config).await;
    create(&memory, TopicSpec::new(OUT)).await;
    publish(&memory, numbered(0, 0..5)).await;
    let mut member = join(&memory, "g").await;
    let shard = shards(&member.drain(ALL).await)[0];
    let good = (Name::from(OUT), Message::new("good"));
    for (bad, kind) in [
        (("none".into(), Message::new("x")), ErrorKind::TopicMissing),
        ((OUT.into(), Message::new(vec![0; 101])), ErrorKind::TooLarge),
        (
            (OUT.into(), Message::new("x").to_partition(1)),
            ErrorKind::Invalid,
        ),
    ] {
        let outputs = vec![good.clone(), bad];
        let error = member.commit_with(shard, 1, "", outputs).await.unwrap_err();
        assert_eq!(error.kind(), kind);
    }
    assert_eq!(position(&memory).await, 0);
    assert!(stored(&memory).await.is_empty());
    let notes = Done {
        notes: vec![0; memory.limits().notes + 1].into(),
        ..done(shard, 1, "x")
    };
    let error = member.ack.commit(vec![notes]).await.remove(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn notes_come_back_with_their_position_and_go_with_a_reset() {
    let memory = bus(1).await;
    publish(&memory, numbered(0, 0..5)).await;
    let mut member = join(&memory, "g").await;
    let shard = shards(&member.drain(ALL).await)[0];
    member.commit_with(shard, 2, "two", vec![]).await.unwrap();
    let reset = |to| {
        let admin = memory.admin();
        async move { admin.reset("g", T, to).await }
    };
    let error = reset(Start::Earliest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "a live member");
    member.subscriber.close().await.unwrap();
    let mut member = join(&memory, "g").await;
    assert_eq!(gained(&member.drain(ALL).await)[0].2, "two");
    member.subscriber.close().await.unwrap();
    // Also to the very position they belonged to: the administrator wants what he asked for.
    reset(Start::Positions([(0, 2)].into())).await.unwrap();
    let mut member = join(&memory, "g").await;
    let (_, next, notes) = gained(&member.drain(ALL).await).remove(0);
    assert_eq!((next, &notes[..]), (2, ""));
}

#[tokio::test(start_paused = true)]
async fn seek_voids_the_shard_and_stores_the_new_position() {
    let memory = bus(1).await;
    publish(&memory, numbered(0, 0..5)).await;
    let mut member = join(&memory, "g").await;
    let shard = shards(&member.drain(ALL).await)[0];
    member.commit_with(shard, 4, "n", vec![]).await.unwrap();
    let back = Start::Positions([(0, 1)].into());
    member.subscriber.seek(shard, back).await.unwrap();
    assert_eq!(
        member.commit(shard, 5).await.unwrap_err().kind(),
        ErrorKind::Fenced
    );
    assert_eq!(position(&memory).await, 1);
    let events = member.drain(ALL).await;
    assert_eq!(lost(&events), [shard]);
    let (again, next, notes) = gained(&events).remove(0);
    assert_eq!((next, &notes[..]), (1, ""));
    assert_eq!(texts(&events), ["1", "2", "3", "4"]);
    let error = member.subscriber.seek(shard, Start::Latest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "the old epoch");
    member.subscriber.seek(again, Start::Latest).await.unwrap();
    assert!(texts(&member.drain(ALL).await).is_empty());
}

#[tokio::test(start_paused = true)]
async fn seek_of_a_shard_that_leaves_does_not_keep_it() {
    let memory = bus(2).await;
    publish(&memory, numbered(1, 0..3)).await;
    let mut first = join(&memory, "g").await;
    first.drain(ALL).await;
    let mut second = join(&memory, "g").await;
    let (shard, _) = losing(&first.drain(ALL).await)[0];
    first.subscriber.seek(shard, Start::Latest).await.unwrap();
    let events = first.drain(ALL).await;
    let (again, grace) = losing(&events)[0];
    assert!(again.epoch > shard.epoch && grace > Duration::ZERO);
    first.ack.release(again).await.unwrap();
    assert_eq!(gained(&second.drain(ALL).await)[0].1, 3);
}

#[tokio::test(start_paused = true)]
async fn a_reader_without_a_group_commits_nothing() {
    let memory = with_output(1).await;
    let mut reader = subscribe(&memory, everyone(Start::Earliest)).await;
    let shard = shards(&reader.drain(ALL).await)[0];
    assert!(reader.ack.commit(vec![done(shard, 99, "x")]).await[0].is_ok());
    assert!(stored(&memory).await.is_empty());
    assert!(memory.admin().groups().await.unwrap().is_empty());
}
