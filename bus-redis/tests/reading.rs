//! Where reading begins, how much is handed out, and what is known of it afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Bytes, Done, ErrorKind, Event, Message, Room, Scope, Start};
use common::{member::Member, *};

#[tokio::test(flavor = "multi_thread")]
async fn notes_survive_a_handover_and_are_dropped_after_a_reset() {
    let (backend, admin, topic) = with_topic(1).await;
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, numbered(10, 1)).await;
    let name = unique("g");
    let mut member = Member::join(&backend, group(&topic, &name)).await;
    member.until(|m| m.records.len() == 10).await;
    let next = member.records[4].1.position();
    let done = Done {
        next,
        notes: Bytes::from_static(b"\x00notes\xff"),
        ..member.done(0)
    };
    member.ack.commit(vec![done.clone()]).await.remove(0).unwrap();
    member.ack.commit(vec![done.clone()]).await.remove(0).unwrap();
    let back = Done {
        next: member.records[3].1.position(),
        ..done
    };
    assert_eq!(
        member.ack.commit(vec![back]).await.remove(0).unwrap_err(),
        ErrorKind::Invalid
    );
    assert_eq!(
        admin.reset(&name, &topic, Start::Earliest).await.unwrap_err(),
        ErrorKind::Conflict
    );
    assert_eq!(admin.delete_group(&name).await.unwrap_err(), ErrorKind::Conflict);
    member.subscriber.close().await.unwrap();

    let mut member = Member::join(&backend, group(&topic, &name)).await;
    member.until(|m| m.records.len() == 6).await;
    assert_eq!(
        member.gained(0),
        Some((next, Bytes::from_static(b"\x00notes\xff")))
    );
    member.subscriber.close().await.unwrap();

    // By another tool, to another place: the notes do not belong there.
    let earlier = bus_core::position::format(member.records[2].1.position() - 1);
    redis::cmd("XGROUP")
        .arg("SETID")
        .arg(&*topic)
        .arg(&*name)
        .arg(earlier)
        .exec(&mut foreign(&url()))
        .unwrap();
    let mut member = Member::join(&backend, group(&topic, &name)).await;
    member.until(|m| m.owned.len() == 1).await;
    assert_eq!(member.gained(0).unwrap().1, Bytes::new());
    member.subscriber.close().await.unwrap();

    in_time(admin.reset(&name, &topic, Start::Earliest))
        .await
        .unwrap();
    let mut member = Member::join(&backend, group(&topic, &name)).await;
    member.until(|m| m.records.len() == 10).await;
    assert_eq!(member.gained(0).unwrap().1, Bytes::new());
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_fixed_once() {
    let (backend, admin, topic) = with_topic(1).await;
    let publisher = backend.publisher().await.unwrap();
    let receipts = publish(&publisher, &topic, numbered(4, 1)).await;
    let start = |start| source(&topic, Scope::Group(unique("g")), start);
    let missing = backend.subscribe(start(Start::Stored)).await.unwrap_err();
    assert_eq!(missing, ErrorKind::GroupMissing);

    let at = Start::Positions([(0, receipts[2].position.unwrap())].into());
    let mut member = Member::join(&backend, start(at)).await;
    member.until(|m| m.records.len() == 2).await;
    assert_eq!(member.payloads(), ["2", "3"]);
    let mut member = Member::join(&backend, start(Start::Time(std::time::SystemTime::UNIX_EPOCH))).await;
    member.until(|m| m.records.len() == 4).await;

    // At the end, read nothing, come back: what came in between is not skipped. Partitions added later from their start.
    let name = unique("g");
    let latest = source(&topic, Scope::Group(name.clone()), Start::Latest);
    let mut member = Member::join(&backend, latest.clone()).await;
    member.until(|m| m.owned.len() == 1).await;
    member.subscriber.close().await.unwrap();
    publish(&publisher, &topic, vec![Message::new("between")]).await;
    admin.grow(&topic, 3).await.unwrap();
    let stream = format!("{topic}:{{2}}");
    redis::cmd("XADD")
        .arg(stream)
        .arg("*")
        .arg("data")
        .arg("added")
        .exec(&mut foreign(&url()))
        .unwrap();
    let mut member = Member::join(&backend, latest).await;
    member.until(|m| m.records.len() == 2).await;
    let mut payloads = member.payloads();
    payloads.sort();
    assert_eq!(payloads, ["added", "between"]);
    admin.grow(&topic, 4).await.unwrap();
    member
        .until(|m| {
            m.saw(|e| matches!(e, Event::PartitionsChanged { partitions: 4, .. })) && m.owned.len() == 4
        })
        .await;
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn room_pause_and_seek_are_respected() {
    let (backend, _, topic) = with_topic(2).await;
    let publisher = backend.publisher().await.unwrap();
    let receipts = publish(&publisher, &topic, numbered(1000, 2)).await;
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    while member.owned.len() < 2 {
        member
            .step(Room {
                messages: 0,
                bytes: 0,
            })
            .await
            .unwrap();
        assert!(member.records.is_empty(), "no room, no records");
    }
    let before = member.records.len();
    while member.records.len() == before {
        member
            .step(Room {
                messages: 7,
                bytes: 1 << 20,
            })
            .await
            .unwrap();
    }
    assert!(member.records.len() <= 7);
    let before = member.records.len();
    while member.records.len() == before {
        member
            .step(Room {
                messages: 100,
                bytes: 1,
            })
            .await
            .unwrap();
    }
    assert_eq!(
        member.records.len() - before,
        1,
        "one record passes a budget that is too small"
    );
    let paused = member.shard(1);
    member.subscriber.pause(paused, true);
    let read = |m: &Member, p| m.records.iter().filter(|(s, _)| s.partition == p).count();
    let before = read(&member, 1);
    member.until(|m| read(m, 0) == 500).await;
    assert_eq!(read(&member, 1), before);
    member.subscriber.pause(paused, false);
    member.until(|m| read(m, 1) == 500).await;

    let (old, third) = (member.shard(1), receipts[5].position.unwrap());
    in_time(member.subscriber.seek(old, Start::Positions([(1, third)].into())))
        .await
        .unwrap();
    member.until(|m| read(m, 1) == 500 + 498).await;
    assert!(member.shard(1).epoch > old.epoch);
    let stale = Done {
        shard: old,
        ..member.done(1)
    };
    assert_eq!(
        member.ack.commit(vec![stale]).await.remove(0).unwrap_err(),
        ErrorKind::Fenced
    );
    member.commit_all().await;
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_receive_loses_nothing() {
    let (backend, _, topic) = with_topic(1).await;
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    let sending = async {
        for i in 0..200 {
            publish(
                &publisher,
                &topic,
                vec![Message::new(format!("{i}").repeat(1 + i * 50))],
            )
            .await;
        }
    };
    let receiving = async {
        while member.records.len() < 200 {
            // Cut off at every moment a call may be in.
            let _ = tokio::time::timeout(
                std::time::Duration::from_micros(300),
                member.step(common::member::ROOM),
            )
            .await;
        }
        member
    };
    let (member, ()) = in_time(async { tokio::join!(receiving, sending) }).await;
    let expected: Vec<_> = (0..200).map(|i| format!("{i}").repeat(1 + i * 50)).collect();
    assert_eq!(member.payloads(), expected);
}

/// Eight streams in one reply, of which each holds more than is asked for: the pieces of a reply are handed out before it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_does_not_end_before_what_the_first_reply_left_out() {
    let (backend, _, topic) = with_topic(8).await;
    let publisher = backend.publisher().await.unwrap();
    let long = "x".repeat(250);
    let batch = (0..1600)
        .map(|n| Message::new(format!("{n} {long}")).to_partition(n % 8))
        .collect();
    publish(&publisher, &topic, batch).await;
    let bus = bus_core::Bus::new(std::sync::Arc::new(backend)).await.unwrap();
    let topic: bus_core::Topic<Bytes, bus_core::Raw> = bus_core::Topic::named(&*topic);
    let mut replay = bus.observe(&topic).until(Start::Latest).await.unwrap();
    let mut count = 0;
    while let Some(record) = in_time(replay.next()).await {
        record.unwrap().ack();
        count += 1;
    }
    assert_eq!(count, 1600);
}
