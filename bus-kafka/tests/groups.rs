//! Groups: sharing, handing over, fencing, starts.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Bytes, Done, ErrorKind, Event, Message, Name, Room, Scope, Source, Start};
use bus_kafka::Kafka;
use common::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant, SystemTime},
};

fn numbered(count: usize, partitions: u32) -> Vec<Message> {
    (0..count)
        .map(|i| {
            Message::new(format!("{i}"))
                .keyed(format!("{}", i % 40))
                .to_partition(i as u32 % partitions)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_share_and_hand_over() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 4).await;
    let group = unique("g");
    publish(&kafka, &topic, numbered(100, 4)).await;
    let mut first = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    first.until_owned(4).await;
    first.until_records(100).await;

    let mut second = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    first
        .until("losing two partitions", |m| m.losing.len() == 2)
        .await;
    // Settled while it leaves, with notes for what lies beyond.
    let notes = Bytes::from_static(b"beyond \x00\xff");
    let leaving = first.losing.clone();
    let dones = leaving
        .iter()
        .map(|shard| Done {
            shard: *shard,
            next: 20,
            notes: notes.clone(),
            outputs: Vec::new(),
        })
        .collect();
    for result in first.ack.commit(dones).await {
        result.unwrap();
    }
    for shard in &leaving {
        first.ack.release(*shard).await.unwrap();
    }
    first.until("losing them", |m| m.lost.len() == 2).await;

    second.until_owned(2).await;
    for (partition, (_, next, seen)) in &second.owned {
        assert!(leaving.iter().any(|s| s.partition == *partition));
        assert_eq!((*next, seen), (20, &notes));
    }
    second.until_records(10).await;
    assert_eq!(first.owned.len(), 2, "the others stayed");

    // What a former owner does changes nothing.
    let stale = first
        .ack
        .commit(vec![done(leaving[0], 25)])
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Fenced);
    let stale = first
        .ack
        .commit(vec![
            done(leaving[0], 25),
            done(first.owned.values().next().unwrap().0, 5),
        ])
        .await;
    assert_eq!(stale[0].as_ref().unwrap_err().kind(), ErrorKind::Fenced);
    assert!(stale[1].is_ok(), "its neighbour is not held up");

    second.leave().await;
    first.until_owned(4).await;
    let regained = first.owned[&leaving[0].partition].clone();
    assert_eq!(regained.1, 25, "what the second committed");
    assert!(regained.0.epoch > leaving[0].epoch);
    first.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_never_goes_back() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 1).await;
    publish(&kafka, &topic, numbered(10, 1)).await;
    let mut member = Member::join(&kafka, source(&topic, &unique("g"), Start::Earliest)).await;
    member.until_records(10).await;
    let shard = member.shard(0);
    assert!(member.ack.commit(vec![done(shard, 7)]).await[0].is_ok());
    assert!(
        member.ack.commit(vec![done(shard, 7)]).await[0].is_ok(),
        "again is harmless"
    );
    let error = member
        .ack
        .commit(vec![done(shard, 6)])
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let large = Done {
        notes: vec![0; kafka.limits().notes + 1].into(),
        ..done(shard, 8)
    };
    assert_eq!(
        member.ack.commit(vec![large]).await.remove(0).unwrap_err().kind(),
        ErrorKind::TooLarge
    );
    let full = Done {
        notes: vec![0xa5; kafka.limits().notes].into(),
        ..done(shard, 8)
    };
    assert!(
        member.ack.commit(vec![full]).await[0].is_ok(),
        "the broker takes notes as large as the limit says"
    );
    member.subscriber.close().await.unwrap();
    member.subscriber.close().await.unwrap();
    let error = kafka.admin().lag(&unique("no-such-group")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GroupMissing);
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_are_fixed_once() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 2).await;
    let early = SystemTime::now();
    publish(
        &kafka,
        &topic,
        (0..10).map(|i| Message::new("old").to_partition(i % 2)).collect(),
    )
    .await;
    let since_epoch = |t: SystemTime| t.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
    let late = since_epoch(early) + 1_800_000;
    publish(
        &kafka,
        &topic,
        (0..4)
            .map(|i| Message::new("new").to_partition(i % 2).timestamp(late))
            .collect(),
    )
    .await;

    let begin = async |start: Start| {
        let group = unique("g");
        let mut member = Member::join(&kafka, source(&topic, &group, start)).await;
        member.until_owned(2).await;
        let begins: Vec<u128> = member.owned.values().map(|(_, next, _)| *next).collect();
        member.subscriber.close().await.unwrap();
        (group, begins)
    };
    let (_, earliest) = begin(Start::Earliest).await;
    assert_eq!(earliest, [0, 0]);
    let (group, latest) = begin(Start::Latest).await;
    assert_eq!(latest, [7, 7]);
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(late as u64 - 1);
    assert_eq!(begin(Start::Time(time)).await.1, [5, 5]);
    let future = SystemTime::UNIX_EPOCH + Duration::from_millis(late as u64 + 1);
    assert_eq!(begin(Start::Time(future)).await.1, [7, 7]);
    assert_eq!(begin(Start::Positions(BTreeMap::from([(1, 3)]))).await.1, [0, 3]);

    // The group of `Latest` read nothing and restarts: it sees what came in between.
    publish(&kafka, &topic, vec![Message::new("between").to_partition(0)]).await;
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Latest)).await;
    member.until_records(1).await;
    assert_eq!(member.payloads(), ["between"]);
    member.subscriber.close().await.unwrap();

    let stored = kafka.subscribe(source(&topic, &group, Start::Stored)).await;
    stored.unwrap().0.close().await.unwrap();
    let error = kafka
        .subscribe(source(&topic, &unique("g"), Start::Stored))
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::GroupMissing);
    let error = kafka
        .subscribe(source(&unique("missing"), "g", Start::Latest))
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::TopicMissing);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_join_together_have_one_start() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 4).await;
    publish(&kafka, &topic, numbered(40, 4)).await;
    let group = unique("g");
    let mut first = Member::join(&kafka, source(&topic, &group, Start::Latest)).await;
    let mut second = Member::join(&kafka, source(&topic, &group, Start::Latest)).await;
    let deadline = Instant::now() + SOON;
    while first.owned.len() != 2 || second.owned.len() != 2 {
        assert!(
            Instant::now() < deadline,
            "not shared: {:?} {:?}",
            first.owned.keys(),
            second.owned.keys()
        );
        for member in [&mut first, &mut second] {
            member.step(Duration::from_millis(50)).await;
            for shard in std::mem::take(&mut member.losing) {
                member.ack.release(shard).await.unwrap();
            }
        }
    }
    let begins: BTreeSet<u128> = first
        .owned
        .values()
        .chain(second.owned.values())
        .map(|o| o.1)
        .collect();
    assert_eq!(begins, BTreeSet::from([10]));
    assert!(first.records.is_empty() && second.records.is_empty());
    first.subscriber.close().await.unwrap();
    second.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn added_partitions_start_at_their_beginning() {
    let kafka = Kafka::connect(config().metadata_refresh(Duration::from_millis(300)))
        .await
        .unwrap();
    let topic = topic(&kafka, 2).await;
    let group = unique("g");
    publish(&kafka, &topic, numbered(10, 2)).await;
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Latest)).await;
    member.until_owned(2).await;
    kafka.admin().grow(&topic, 3).await.unwrap();
    // Stored before anybody owns the new partition.
    let other = common::kafka().await;
    publish(
        &other,
        &topic,
        vec![Message::new("first of its partition").to_partition(2)],
    )
    .await;
    member.until_records(1).await;
    assert_eq!(member.payloads(), ["first of its partition"]);
    assert_eq!(member.owned[&2].1, 0);
    member
        .until("being told of the new partitions", |m| {
            m.others
                .iter()
                .any(|e| matches!(e, Event::PartitionsChanged { partitions: 3, .. }))
        })
        .await;
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn room_and_pause_are_kept() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 2).await;
    publish(&kafka, &topic, numbered(3_000, 2)).await;
    let mut member = Member::join(&kafka, source(&topic, &unique("g"), Start::Earliest)).await;
    member.room = Room {
        messages: 0,
        bytes: 0,
    };
    member.until_owned(2).await;
    assert!(!member.step(Duration::from_millis(700)).await || member.records.is_empty());
    assert!(member.records.is_empty(), "records without room");
    member.room = Room {
        messages: 7,
        bytes: 1 << 20,
    };
    member.until_records(7).await;
    assert_eq!(member.records.len(), 7);
    member.room = Room {
        messages: 100,
        bytes: 1,
    };
    let before = member.records.len();
    assert!(member.step(SOON).await);
    assert_eq!(member.records.len(), before + 1, "one record may pass the bytes");

    member.room = Room {
        messages: 500,
        bytes: 1 << 20,
    };
    let paused = member.shard(0);
    member.subscriber.pause(paused, true);
    let seen = |m: &Member, partition| m.records.iter().filter(|(s, _)| s.partition == partition).count();
    let of_paused = seen(&member, 0);
    member
        .until("everything of the other partition", |m| seen(m, 1) == 1_500)
        .await;
    assert_eq!(seen(&member, 0), of_paused);
    member.subscriber.pause(paused, false);
    member.until_records(3_000).await;
    let positions: Vec<u128> = member
        .records
        .iter()
        .filter(|(s, _)| s.partition == 0)
        .map(|(_, r)| r.position())
        .collect();
    assert_eq!(positions, (0..1_500).collect::<Vec<u128>>());
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_overtakes_records_that_wait() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 2).await;
    let group = unique("g");
    publish(&kafka, &topic, numbered(2_000, 2)).await;
    let mut first = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    first.room = Room {
        messages: 1,
        bytes: 1 << 20,
    };
    first.until_owned(2).await;
    first.until_records(2).await;
    first.room.messages = 0;
    let mut second = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    first.until("losing one", |m| m.losing.len() == 1).await;
    let leaving = first.losing[0];
    first.room.messages = 1_000;
    first.ack.release(leaving).await.unwrap();
    second.until_owned(1).await;
    second.until_records(1_000).await;
    first
        .until("everything of what stayed", |m| {
            m.records
                .iter()
                .filter(|(s, _)| s.partition != leaving.partition)
                .count()
                == 1_000
        })
        .await;
    second.leave().await;
    first.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn seek_voids_and_gains_again() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 1).await;
    let group = unique("g");
    publish(&kafka, &topic, numbered(2_500, 1)).await;
    let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
    member.until_records(2_500).await;
    let old = member.shard(0);
    assert!(member.ack.commit(vec![done(old, 2_000)]).await[0].is_ok());
    member.records.clear();
    member
        .subscriber
        .seek(old, Start::Positions(BTreeMap::from([(0, 5)])))
        .await
        .unwrap();
    member
        .until("losing and gaining", |m| m.lost == [old] && m.owned.len() == 1)
        .await;
    assert_eq!(member.owned[&0].1, 5);
    assert!(member.shard(0).epoch > old.epoch);
    member.until_records(2_495).await;
    assert_eq!(member.records[0].1.position(), 5);
    assert_eq!(
        member
            .ack
            .commit(vec![done(old, 2_100)])
            .await
            .remove(0)
            .unwrap_err()
            .kind(),
        ErrorKind::Fenced
    );
    member
        .subscriber
        .seek(member.shard(0), Start::Latest)
        .await
        .unwrap();
    member
        .until("gaining at the end", |m| {
            m.owned.get(&0).is_some_and(|o| o.1 == 2_500)
        })
        .await;
    let error = member.subscriber.seek(old, Start::Earliest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    member.subscriber.close().await.unwrap();
    let lag = kafka.admin().lag(&group).await.unwrap();
    assert_eq!(lag[0].position, 2_500, "the new position is stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_are_stored_before_the_position() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 2).await;
    let dead = common::topic(&kafka, 2).await;
    publish(&kafka, &topic, numbered(4, 2)).await;
    let mut member = Member::join(&kafka, source(&topic, &unique("g"), Start::Earliest)).await;
    member.until_records(4).await;
    let with = |shard, topic: &str, text: &str| Done {
        outputs: vec![(
            Name::from(topic),
            Message::new(text.to_owned()).keyed("k").to_partition(1),
        )],
        ..done(shard, 2)
    };
    let missing = unique("missing");
    let (zero, one) = (member.shard(0), member.shard(1));
    let results = member
        .ack
        .commit(vec![with(zero, &missing, "x"), with(one, &dead, "poison")])
        .await;
    let error = results[0].as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TopicMissing);
    assert!(error.to_string().contains(&missing));
    results[1].as_ref().unwrap();
    let mut fenced = zero;
    fenced.epoch += 1_000;
    let results = member
        .ack
        .commit(vec![with(fenced, &dead, "of a fenced shard")])
        .await;
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::Fenced);
    member.subscriber.close().await.unwrap();

    let mut reader = Member::join(&kafka, everyone(&dead, None, Start::Earliest)).await;
    reader
        .until("reading the dead letters", |m| m.caught_up.len() == 2)
        .await;
    assert_eq!(reader.payloads(), ["poison"]);
    reader.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_reads_all_and_commits_nothing() {
    let kafka = kafka().await;
    let topic = topic(&kafka, 3).await;
    publish(&kafka, &topic, numbered(30, 3)).await;
    let mut latest = Member::join(&kafka, everyone(&topic, None, Start::Latest)).await;
    // Stored after subscribe returned: seen.
    publish(&kafka, &topic, vec![Message::new("after").to_partition(2)]).await;
    latest.until_records(1).await;
    assert_eq!(latest.payloads(), ["after"]);

    let mut all = Member::join(&kafka, everyone(&topic, None, Start::Earliest)).await;
    all.until("the end of all three", |m| m.caught_up.len() == 3)
        .await;
    assert_eq!(all.records.len(), 31);
    let mut listed = Member::join(&kafka, everyone(&topic, Some(vec![1]), Start::Earliest)).await;
    listed.until("the end", |m| m.caught_up.len() == 1).await;
    assert_eq!(listed.records.len(), 10);
    assert_eq!(listed.owned.keys().copied().collect::<Vec<_>>(), [1]);
    assert!(
        listed.ack.commit(vec![done(listed.shard(1), 5)]).await[0].is_ok(),
        "a no-op that succeeds"
    );
    listed.records.clear();
    listed
        .subscriber
        .seek(listed.shard(1), Start::Positions(BTreeMap::from([(1, 8)])))
        .await
        .unwrap();
    listed.until_records(2).await;
    assert_eq!(listed.owned[&1].1, 8);

    let bad = Source {
        scope: Scope::Everyone {
            partitions: Some(vec![3]),
        },
        ..everyone(&topic, None, Start::Latest)
    };
    assert_eq!(
        kafka.subscribe(bad).await.err().unwrap().kind(),
        ErrorKind::Invalid
    );
    let groups = kafka.admin().groups().await.unwrap();
    assert!(
        !groups.iter().any(|g| g.contains("everyone")),
        "a group was left behind: {groups:?}"
    );
    for mut member in [latest, all, listed] {
        member.subscriber.close().await.unwrap();
    }
}
