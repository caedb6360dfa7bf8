//! Members share partitions and hand them over.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, ErrorKind, Event, Message, Room};
use bus_redis::Redis;
use common::{member::Member, *};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_member_gets_its_share_and_a_leaving_one_gives_it_back() {
    let (backend, admin, topic) = with_lasting_leases(4).await;
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
    // Not when a lease or the grace was over.
    assert!(joined.elapsed().as_secs() < 30, "it took {:?}", joined.elapsed());
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
    let (backend, _, topic) = with_lasting_leases(4).await;
    let backend = std::sync::Arc::new(backend);
    let publisher = backend.publisher().await.unwrap();
    let (admin, name) = (backend.admin(), unique("g"));
    let source = group(&topic, &name);
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
        }
        // The new member has its share before the next one comes or goes.
        let shares =
            |spec: bus_core::GroupSpec| spec.members.iter().filter(|m| !m.partitions.is_empty()).count();
        in_time(async {
            while shares(admin.group(&name).await.unwrap()) < workers.len().min(4) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
        if round % 3 > 0 {
            let (stop, worker) = workers.pop_front().unwrap();
            stop.send(()).unwrap();
            seen.extend(in_time(worker).await.unwrap());
        }
    }
    // The last ones finish what is left.
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
