//! Members share partitions, hand them over, and are fenced.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Bytes, Done, ErrorKind, Event, Message, Room, Scope, Start, TopicSpec};
use bus_redis::Redis;
use common::{member::Member, proxy::Proxy, *};
use std::time::Instant;

fn numbered(count: usize, partitions: u32) -> Vec<Message> {
    (0..count)
        .map(|i| Message::new(format!("{i}")).to_partition(i as u32 % partitions))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_member_gets_its_share_and_a_leaving_one_gives_it_back() {
    let (backend, admin, topic) = with_topic(4).await;
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, numbered(40, 4)).await;
    let name = unique("g");
    let mut first = Member::join(&backend, group(&topic, &name)).await;
    first.until(|m| m.owned.len() == 4 && m.records.len() == 40).await;
    first.commit_all().await;

    let joined = Instant::now();
    let mut second = Member::join(&backend, group(&topic, &name)).await;
    first
        .until(|m| {
            m.events
                .iter()
                .filter(|e| matches!(e, Event::Losing { .. }))
                .count()
                == 2
        })
        .await;
    let losing = first.events.iter().filter_map(|e| match e {
        Event::Losing { shard, .. } => Some(*shard),
        _ => None,
    });
    let losing: Vec<_> = losing.collect();
    assert!(
        losing.iter().all(|s| s.partition >= 2),
        "the highest partitions leave: {losing:?}"
    );
    for shard in losing {
        first.ack.release(shard).await.unwrap();
    }
    second.until(|m| m.owned.len() == 2).await;
    assert!(joined.elapsed().as_secs() < 3, "it took {:?}", joined.elapsed());
    first.until(|m| m.owned.len() == 2).await;
    let spec = admin.group(&name).await.unwrap();
    assert_eq!(spec.members.len(), 2);
    assert!(spec.members.iter().all(|m| m.partitions.len() == 2), "{spec:?}");

    second.subscriber.close().await.unwrap();
    first.until(|m| m.owned.len() == 4).await;
    publish(&publisher, &topic, numbered(4, 4)).await;
    first.until(|m| m.records.len() == 44).await;
    assert!(second.records.is_empty(), "nothing is delivered twice");
    assert_eq!(
        second
            .subscriber
            .receive(common::member::ROOM, &mut Vec::new())
            .await
            .unwrap_err(),
        ErrorKind::Closed
    );
    second.subscriber.close().await.unwrap();
    first.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_released_in_time_is_taken_away() {
    let (backend, _, topic) = with_topic(2).await;
    let name = unique("g");
    let mut slow = Member::join(&backend, group(&topic, &name)).await;
    slow.until(|m| m.owned.len() == 2).await;
    let mut other = Member::join(&backend, group(&topic, &name)).await;
    slow.until(|m| m.saw(|e| matches!(e, Event::Losing { .. })) && m.owned.len() == 1)
        .await;
    other.until(|m| m.owned.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_vanishes_is_replaced_after_its_ttl_and_fenced() {
    let (backend, admin, topic) = with_topic(2).await;
    let out = unique("out");
    admin.create(&[TopicSpec::new(out.clone())]).await.unwrap();
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, numbered(10, 2)).await;
    let name = unique("g");
    let address = url().trim_start_matches("redis://").to_owned();
    let proxy = Proxy::start(address).await;
    let frozen = Redis::connect(bus_redis::RedisConfig::new("127.0.0.1", proxy.port).ttl(config_ttl()))
        .await
        .unwrap();
    let mut frozen = Member::join(&frozen, group(&topic, &name)).await;
    frozen
        .until(|m| m.owned.len() == 2 && m.records.len() == 10)
        .await;
    let (zero, stale) = (frozen.done(0), frozen.done(1));
    frozen.ack.commit(vec![zero]).await.remove(0).unwrap();
    let died = Instant::now();
    proxy.die();

    let mut next = Member::join(&backend, group(&topic, &name)).await;
    // Reading goes on at the frozen member, which notices by its own clock that it may not be the owner any more.
    tokio::join!(
        frozen.until(|m| m
            .events
            .iter()
            .filter(|e| matches!(e, Event::Suspended(_)))
            .count()
            == 2),
        next.until(|m| m.owned.len() == 2 && m.records.len() == 5)
    );
    assert!(
        died.elapsed() < config_ttl() * 2,
        "taken over after {:?}",
        died.elapsed()
    );
    assert_eq!(
        next.gained(0).unwrap().0,
        next.owned[&0].1,
        "partition 0 was settled"
    );

    proxy.revive();
    let outputs = vec![(out.clone(), Message::new("must not appear"))];
    let refused = in_time(frozen.ack.commit(vec![Done { outputs, ..stale }]))
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(refused, ErrorKind::Fenced);
    frozen.until(|m| m.owned.is_empty()).await;
    next.commit_all().await;
    let mut check = Member::join(
        &backend,
        source(&out, Scope::Everyone { partitions: None }, Start::Earliest),
    )
    .await;
    check.until(|m| m.saw(|e| matches!(e, Event::CaughtUp(_)))).await;
    assert!(
        check.records.is_empty(),
        "the outputs went down with the fenced commit"
    );
    frozen.subscriber.close().await.unwrap();
}

fn config_ttl() -> std::time::Duration {
    std::time::Duration::from_secs(3)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_absence_suspends_and_resumes() {
    let (backend, _, topic) = with_topic(1).await;
    let address = url().trim_start_matches("redis://").to_owned();
    let proxy = Proxy::start(address).await;
    let cut = Redis::connect(bus_redis::RedisConfig::new("127.0.0.1", proxy.port).ttl(config_ttl()))
        .await
        .unwrap();
    let mut member = Member::join(&cut, group(&topic, &unique("g"))).await;
    member.until(|m| m.owned.len() == 1).await;
    proxy.die();
    member
        .until(|m| m.saw(|e| matches!(e, Event::Suspended(_))))
        .await;
    assert!(cut.health().is_err(), "a lost connection is reported");
    proxy.revive();
    member.until(|m| m.saw(|e| matches!(e, Event::Resumed(_)))).await;
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, numbered(1, 1)).await;
    member.until(|m| m.records.len() == 1).await;
    member.commit_all().await;
    assert!(cut.health().is_ok());
    member.subscriber.close().await.unwrap();
}

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
async fn outputs_are_stored_with_the_position_or_not_at_all() {
    let (backend, admin, topic) = with_topic(2).await;
    let out = unique("out");
    admin
        .create(&[TopicSpec::new(out.clone()).partitions(2)])
        .await
        .unwrap();
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, numbered(2, 2)).await;
    let mut source = group(&topic, &unique("g"));
    source.exactly_once = true;
    let mut member = Member::join(&backend, source.clone()).await;
    member.until(|m| m.records.len() == 2).await;
    let output = |topic: &str| vec![(topic.into(), Message::new("out").keyed("k").header("h", "v"))];
    let missing = unique("missing");
    let done = vec![
        Done {
            outputs: output(&missing),
            ..member.done(0)
        },
        Done {
            outputs: output(&out),
            ..member.done(1)
        },
    ];
    let results = in_time(member.ack.commit(done)).await;
    assert_eq!(*results[0].as_ref().unwrap_err(), ErrorKind::TopicMissing);
    results[1].as_ref().unwrap();
    let again = Done {
        outputs: output(&out),
        ..member.done(1)
    };
    member.ack.commit(vec![again]).await.remove(0).unwrap();
    member.subscriber.close().await.unwrap();

    let mut member = Member::join(&backend, source).await;
    member.until(|m| m.records.len() == 1 && m.owned.len() == 2).await;
    assert_eq!(
        member.records[0].0.partition, 0,
        "a refused commit stored no position"
    );
    let mut outputs = Member::join(&backend, group(&out, &unique("g"))).await;
    outputs
        .until(|m| {
            m.events
                .iter()
                .filter(|e| matches!(e, Event::CaughtUp(_)))
                .count()
                == 2
        })
        .await;
    assert_eq!(outputs.records.len(), 1, "once");
    assert_eq!(outputs.messages()[0].headers.get("h"), Some(&b"v"[..]));
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

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_reply_is_lost_stores_its_outputs_once() {
    let (backend, admin, topic) = with_topic(1).await;
    let out = unique("out");
    admin.create(&[TopicSpec::new(out.clone())]).await.unwrap();
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, numbered(20, 1)).await;
    let proxy = Proxy::start(url().trim_start_matches("redis://").to_owned()).await;
    let faulty = Redis::connect(bus_redis::RedisConfig::new("127.0.0.1", proxy.port))
        .await
        .unwrap();
    let mut member = Member::join(&faulty, group(&topic, &unique("g"))).await;
    member.until(|m| m.records.len() == 20).await;
    for i in 0..20 {
        let next = member.records[i].1.position() + 1;
        let notes = Bytes::from(format!("commit-{i}-"));
        proxy.lose_replies(&notes, 1);
        let outputs = vec![(out.clone(), Message::new(format!("{i}")))];
        let done = Done {
            next,
            notes,
            outputs,
            ..member.done(0)
        };
        in_time(member.ack.commit(vec![done])).await.remove(0).unwrap();
    }
    assert_eq!(proxy.lost(), 20);
    let mut check = Member::join(&backend, group(&out, &unique("g"))).await;
    check.until(|m| m.saw(|e| matches!(e, Event::CaughtUp(_)))).await;
    assert_eq!(
        check.payloads(),
        (0..20).map(|i| format!("{i}")).collect::<Vec<_>>()
    );
    member.subscriber.close().await.unwrap();
}

/// Works until told to stop; answers `Losing` as core does. What it settled, in order.
async fn work(
    backend: std::sync::Arc<Redis>,
    source: bus_core::Source,
    mut stop: tokio::sync::oneshot::Receiver<()>,
) -> Vec<(u32, String)> {
    let mut member = Member::join(&backend, source).await;
    loop {
        tokio::select! {
            _ = &mut stop => break,
            result = member.step(Room { messages: 16, bytes: 1 << 20 }) => result.unwrap(),
        }
        let losing: Vec<_> = member
            .events
            .drain(..)
            .filter_map(|e| match e {
                Event::Losing { shard, .. } => Some(shard),
                _ => None,
            })
            .collect();
        for shard in losing {
            let done = member.done(shard.partition);
            in_time(member.ack.commit(vec![done])).await.remove(0).unwrap();
            in_time(member.ack.release(shard)).await.unwrap();
            member.until(|m| !m.owned.values().any(|o| o.0 == shard)).await;
        }
        member.commit_all().await;
    }
    member.commit_all().await;
    in_time(member.subscriber.close()).await.unwrap();
    let text = |r: &bus_core::Record| String::from_utf8_lossy(r.payload().unwrap()).into_owned();
    member
        .records
        .iter()
        .map(|(shard, r)| (shard.partition, text(r)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go_and_everything_is_delivered_once() {
    let (backend, _, topic) = with_topic(4).await;
    let backend = std::sync::Arc::new(backend);
    let publisher = backend.publisher().await.unwrap();
    let source = group(&topic, &unique("g"));
    let mut workers = std::collections::VecDeque::new();
    let mut seen = Vec::new();
    let mut sent = 0;
    for round in 0..8 {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        workers.push_back((stop, tokio::spawn(work(backend.clone(), source.clone(), stopped))));
        for _ in 0..40 {
            let batch = (sent..sent + 10)
                .map(|i| Message::new(format!("{i:06}")).to_partition(i % 4))
                .collect();
            publish(&publisher, &topic, batch).await;
            sent += 10;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        if round % 3 > 0 {
            let (stop, worker) = workers.pop_front().unwrap();
            stop.send(()).unwrap();
            seen.extend(in_time(worker).await.unwrap());
        }
    }
    // The last ones finish what is left.
    let admin = backend.admin();
    let name = match &source.scope {
        Scope::Group(name) => name.clone(),
        Scope::Everyone { .. } => unreachable!(),
    };
    in_time(async {
        while admin.lag(&name).await.unwrap().iter().any(|lag| lag.behind > 0) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    for (stop, worker) in workers {
        stop.send(()).unwrap();
        seen.extend(in_time(worker).await.unwrap());
    }
    let mut all: Vec<_> = seen.iter().map(|(_, text)| text.clone()).collect();
    all.sort();
    let expected: Vec<_> = (0..sent).map(|i| format!("{i:06}")).collect();
    assert_eq!(all.len(), expected.len(), "nothing lost, nothing twice");
    assert_eq!(all, expected);
}
