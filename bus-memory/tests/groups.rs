//! Members join, leave and die; ownership moves with its epoch.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use bus_core::{Backend, ErrorKind, Event, Message, Name, Start, TopicSpec};
use bus_memory::MemoryConfig;
use common::*;
use std::time::Duration;
use tokio::time::{Instant, advance};

#[tokio::test(start_paused = true)]
async fn two_groups_each_see_everything_also_one_made_later() {
    let memory = bus(2).await;
    let mut early = join(&memory, "early").await;
    publish(&memory, [numbered(0, 0..3), numbered(1, 3..6)].concat()).await;
    let mut late = join(&memory, "late").await;
    for member in [&mut early, &mut late] {
        let mut texts = texts(&member.drain(ALL).await);
        texts.sort();
        assert_eq!(texts, ["0", "1", "2", "3", "4", "5"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_joins_gets_its_share_after_release() {
    let memory = bus(4).await;
    let mut first = join(&memory, "g").await;
    let owned = shards(&first.drain(ALL).await);
    assert_eq!(owned.len(), 4);
    let mut second = join(&memory, "g").await;
    assert!(second.drain(ALL).await.is_empty(), "nothing is free yet");
    let leaving = losing(&first.drain(ALL).await);
    assert_eq!(leaving.len(), 2);
    assert_eq!(leaving[0].1, Duration::from_secs(10));
    for (shard, _) in &leaving {
        first.commit_with(*shard, 0, "notes", vec![]).await.unwrap();
        first.ack.release(*shard).await.unwrap();
        first.ack.release(*shard).await.unwrap();
    }
    let gone = lost(&first.drain(ALL).await);
    assert_eq!(gone, leaving.iter().map(|(shard, _)| *shard).collect::<Vec<_>>());
    let gained = gained(&second.drain(ALL).await);
    assert_eq!(gained.len(), 2);
    for (shard, next, notes) in gained {
        let old = gone.iter().find(|s| s.partition == shard.partition).unwrap();
        assert!(shard.epoch > old.epoch);
        assert_eq!((next, &notes[..]), (0, "notes"));
    }
}

#[tokio::test(start_paused = true)]
async fn after_losing_no_record_of_that_shard_follows_and_after_the_grace_it_is_lost() {
    let memory = bus(2).await;
    let mut first = join(&memory, "g").await;
    first.drain(ALL).await;
    let mut second = join(&memory, "g").await;
    publish(&memory, [numbered(0, 0..1), numbered(1, 1..2)].concat()).await;
    let events = first.drain(ALL).await;
    let [(leaving, grace)] = losing(&events)[..] else {
        panic!("{events:?}")
    };
    assert_eq!(records(&events).len(), 1);
    assert!(records(&events).iter().all(|(shard, _)| *shard != leaving));
    advance(grace - Duration::from_millis(1)).await;
    assert!(second.drain(ALL).await.is_empty());
    first.commit(leaving, 0).await.unwrap();
    advance(Duration::from_millis(1)).await;
    // Whoever moves first, here the new owner, ends the grace.
    let events = second.drain(ALL).await;
    assert_eq!(texts(&events).len(), 1);
    assert_eq!(
        first.commit(leaving, 1).await.unwrap_err().kind(),
        ErrorKind::Fenced
    );
    assert_eq!(lost(&first.drain(NONE).await), [leaving]);
}

#[tokio::test(start_paused = true)]
async fn a_parked_member_wakes_when_the_grace_of_another_runs_out() {
    let memory = bus(2).await;
    let mut first = join(&memory, "g").await;
    first.drain(ALL).await;
    let mut second = join(&memory, "g").await;
    let start = Instant::now();
    let mut events = Vec::new();
    second.subscriber.receive(ALL, &mut events).await.unwrap();
    assert_eq!(gained(&events).len(), 1);
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn close_leaves_at_once() {
    let memory = bus(3).await;
    let mut first = join(&memory, "g").await;
    assert_eq!(shards(&first.drain(ALL).await).len(), 3);
    let mut second = join(&memory, "g").await;
    first.subscriber.close().await.unwrap();
    assert_eq!(shards(&second.drain(ALL).await).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_subscriber_is_a_crashed_member_until_its_session_runs_out() {
    let config = MemoryConfig::default().session_timeout(Duration::from_secs(3));
    let memory = bus_with(1, config).await;
    publish(&memory, numbered(0, 0..5)).await;
    let mut first = join(&memory, "g").await;
    let shard = shards(&first.drain(ALL).await)[0];
    first.commit_with(shard, 2, "n", vec![]).await.unwrap();
    let Member { subscriber, ack } = first;
    drop(subscriber);
    let mut second = join(&memory, "g").await;
    advance(Duration::from_millis(2_999)).await;
    assert!(second.drain(ALL).await.is_empty());
    let start = Instant::now();
    let mut events = Vec::new();
    second.subscriber.receive(ALL, &mut events).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(1));
    assert_eq!(gained(&events)[0].1, 2);
    assert_eq!(gained(&events)[0].2, "n");
    assert_eq!(texts(&events), ["2", "3", "4"]);
    let late = bus_core::Done {
        shard,
        next: 5,
        notes: "".into(),
        outputs: vec![],
    };
    let result = ack.commit(vec![late]).await.remove(0);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Fenced);
}

#[tokio::test(start_paused = true)]
async fn every_member_gets_a_share_of_many_single_partition_topics() {
    let memory = bus(1).await;
    let names: Vec<Name> = (0..10).map(|n| Name::from(format!("t{n}"))).collect();
    for name in &names {
        create(&memory, TopicSpec::new(name.clone())).await;
    }
    let source = bus_core::Source {
        topics: names,
        ..source("g")
    };
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(subscribe(&memory, source.clone()).await);
    }
    let mut counts = Vec::new();
    for member in &mut members {
        counts.push(shards(&member.drain(ALL).await).len());
    }
    counts.sort();
    assert_eq!(
        counts,
        [3, 3, 4],
        "nobody had heard of his shards, so they moved without a drain"
    );
}

#[tokio::test(start_paused = true)]
async fn topics_are_shared_evenly_each() {
    let memory = bus(4).await;
    create(&memory, TopicSpec::new("bills").partitions(4)).await;
    let source = bus_core::Source {
        topics: vec![T.into(), "bills".into()],
        ..source("g")
    };
    let mut first = subscribe(&memory, source.clone()).await;
    let mut second = subscribe(&memory, source).await;
    for member in [&mut first, &mut second] {
        let shards = shards(&member.drain(ALL).await);
        for topic in [0, 1] {
            assert_eq!(shards.iter().filter(|s| s.topic == topic).count(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_voluntary_release_comes_back_in_a_new_epoch() {
    let memory = bus(1).await;
    let mut member = join(&memory, "g").await;
    let shard = shards(&member.drain(ALL).await)[0];
    member.ack.release(shard).await.unwrap();
    let events = member.drain(ALL).await;
    assert!(matches!(events[0], Event::Lost(s) if s == shard));
    assert!(shards(&events)[0].epoch > shard.epoch);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_nobody_looked_at_leaves_no_trace() {
    let memory = bus(4).await;
    let mut idle = join(&memory, "g").await;
    for _ in 0..100 {
        let mut other = join(&memory, "g").await;
        other.drain(ALL).await;
        other.subscriber.close().await.unwrap();
    }
    let events = idle.drain(ALL).await;
    assert_eq!(shards(&events).len(), 4);
    assert!(lost(&events).is_empty() && losing(&events).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_stored_at_latest_sees_what_came_while_it_was_away() {
    let memory = bus(1).await;
    publish(&memory, numbered(0, 0..2)).await;
    let latest = bus_core::Source {
        start: Start::Latest,
        ..source("g")
    };
    let mut member = subscribe(&memory, latest.clone()).await;
    // It was closed before it received anything, and still its start is fixed.
    member.subscriber.close().await.unwrap();
    publish(&memory, numbered(0, 2..4)).await;
    let mut member = subscribe(&memory, latest).await;
    assert_eq!(texts(&member.drain(ALL).await), ["2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn starts() {
    let memory = bus(2).await;
    let at = |ms: i64| Message::new(ms.to_string()).timestamp(ms).to_partition(0);
    publish(&memory, vec![at(10), at(30), at(20), at(40)]).await;
    publish(&memory, numbered(1, 0..1)).await;
    let time = |ms| Start::Time(std::time::UNIX_EPOCH + Duration::from_millis(ms));
    for (group, start, next) in [
        ("earliest", Start::Earliest, [0, 0]),
        ("latest", Start::Latest, [4, 1]),
        ("time-20", time(20), [1, 0]),
        ("time-35", time(35), [3, 0]),
        ("positions", Start::Positions([(0, 2)].into()), [2, 0]),
        ("behind", Start::Positions([(0, 99), (1, 1)].into()), [4, 1]),
    ] {
        let source = bus_core::Source {
            start,
            ..source(group)
        };
        let mut member = subscribe(&memory, source).await;
        let mut gained = gained(&member.receive(NONE).await);
        gained.sort_by_key(|(shard, ..)| shard.partition);
        assert_eq!([gained[0].1, gained[1].1], next, "{group}");
    }
}

#[tokio::test(start_paused = true)]
async fn start_stored_needs_a_stored_position() {
    let memory = bus(1).await;
    let stored = bus_core::Source {
        start: Start::Stored,
        ..source("g")
    };
    let error = memory.subscribe(stored.clone()).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GroupMissing);
    assert!(
        memory.admin().groups().await.unwrap().is_empty(),
        "no trace of it"
    );
    join(&memory, "g").await.subscriber.close().await.unwrap();
    let mut member = subscribe(&memory, stored).await;
    assert_eq!(shards(&member.drain(ALL).await).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn partitions_added_later_start_at_their_beginning() {
    let memory = bus(1).await;
    let latest = bus_core::Source {
        start: Start::Latest,
        ..source("g")
    };
    let mut member = subscribe(&memory, latest.clone()).await;
    member.drain(ALL).await;
    memory.admin().grow(T, 3).await.unwrap();
    publish(&memory, numbered(2, 0..2)).await;
    let events = member.drain(ALL).await;
    assert!(matches!(&events[0], Event::PartitionsChanged { topic, partitions: 3 } if &**topic == T));
    assert_eq!(gained(&events).iter().map(|g| g.1).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(texts(&events), ["0", "1"]);
    member.subscriber.close().await.unwrap();
    // Also while nobody is there.
    memory.admin().grow(T, 4).await.unwrap();
    publish(&memory, numbered(3, 7..8)).await;
    let mut member = subscribe(&memory, latest).await;
    assert!(texts(&member.drain(ALL).await).contains(&"7".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_missing_topic_makes_nothing() {
    let memory = bus(1).await;
    let source = bus_core::Source {
        topics: vec!["none".into()],
        ..source("g")
    };
    let error = memory.subscribe(source).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TopicMissing);
    assert_eq!(memory.admin().topics().await.unwrap().len(), 1);
    assert!(memory.admin().groups().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_is_lost_and_a_new_one_is_another() {
    let memory = bus(2).await;
    let mut member = join(&memory, "g").await;
    let mut reader = subscribe(&memory, everyone(Start::Latest)).await;
    let owned = shards(&member.drain(ALL).await);
    reader.drain(ALL).await;
    memory.admin().delete(T).await.unwrap();
    create(&memory, TopicSpec::new(T)).await;
    publish(&memory, numbered(0, 0..1)).await;
    for member in [&mut member, &mut reader] {
        let events = member.drain(ALL).await;
        assert_eq!(lost(&events).len(), 2);
        assert!(matches!(events.last(), Some(Event::TopicLost(topic)) if &**topic == T));
        assert!(records(&events).is_empty());
    }
    let error = member.commit(owned[0], 0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    let mut again = join(&memory, "g").await;
    assert_eq!(
        texts(&again.drain(ALL).await),
        ["0"],
        "the old position went with the old topic"
    );
}
