//! Consume, transform, produce: outputs and positions take effect together or not at all.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Bus, Bytes, Done, ErrorKind, Event, Message, Raw, Scope, Start, Topic, TopicSpec};
use bus_proxy::Filter;
use bus_redis::Redis;
use common::{member::Member, *};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const MESSAGES: usize = 600;
const KEYS: usize = 12;
const PARTITIONS: u32 = 3;

/// Which hop, and how it dies.
struct Hop {
    from: String,
    to: String,
    group: String,
    crashes: Arc<AtomicUsize>,
}

/// One member of a hop: every life but the last ends in the middle of something.
async fn member(hop: Arc<Hop>, lives: usize, mut stop: tokio::sync::watch::Receiver<bool>) {
    let settings = config().ttl(Duration::from_secs(1)).grace(Duration::from_secs(1));
    for life in 0..=lives {
        let bus = Bus::new(Arc::new(Redis::connect(settings.clone()).await.unwrap()))
            .await
            .unwrap();
        let topic: Topic<Bytes, Raw> = Topic::named(hop.from.clone());
        let subscribe = bus.subscribe(&topic, &hop.group).exactly_once().no_dead_letters();
        let mut subscription = subscribe.await.unwrap();
        // Spread, so that members die at different moments of a commit.
        let dies_after = (life < lives).then_some(11 + 17 * life);
        let mut forwarded = 0;
        loop {
            let delivery = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                delivery = subscription.next() => delivery.unwrap().unwrap(),
            };
            let message = delivery.record().to_message();
            let message = Message {
                partition: None,
                ..message
            };
            delivery.ack_with([(hop.to.clone(), message)]).unwrap();
            forwarded += 1;
            if dies_after.is_some_and(|limit| forwarded >= limit) {
                // A commit every 200 ms: some of these are on their way, some are not.
                tokio::time::sleep(Duration::from_millis(90 * life as u64)).await;
                subscription.control().abort();
                hop.crashes.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
        if dies_after.is_none() || *stop.borrow() {
            subscription.close().await.unwrap();
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_two_hops_delivers_once_and_in_order_whoever_dies() {
    let backend = backend().await;
    let topics = [unique("first"), unique("second"), unique("third")];
    let specs = topics.clone().map(|t| TopicSpec::new(t).partitions(PARTITIONS));
    backend.admin().create(&specs).await.unwrap();
    let crashes = Arc::new(AtomicUsize::new(0));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut members = Vec::new();
    for (from, to) in [(0, 1), (1, 2)] {
        let hop = Arc::new(Hop {
            from: topics[from].to_string(),
            to: topics[to].to_string(),
            group: unique("hop").to_string(),
            crashes: crashes.clone(),
        });
        for _ in 0..3 {
            members.push(tokio::spawn(member(hop.clone(), 3, stopped.clone())));
        }
    }
    let publisher = backend.publisher().await.unwrap();
    for batch in 0..MESSAGES / 20 {
        let batch = (batch * 20..(batch + 1) * 20)
            .map(|i| Message::new(format!("{i:05}")).keyed(format!("key-{}", i % KEYS)));
        publish(&publisher, &topics[0], batch.collect()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let everyone = source(&topics[2], Scope::Everyone { partitions: None }, Start::Earliest);
    let mut out = Member::join(&backend, everyone).await;
    let end = tokio::time::Instant::now() + Duration::from_secs(300);
    while out.records.len() < MESSAGES {
        let step = tokio::time::timeout_at(end, out.step(common::member::ROOM)).await;
        assert!(
            step.is_ok(),
            "only {} of {MESSAGES} came through",
            out.records.len()
        );
    }
    stop.send_replace(true);
    for member in members {
        let ended = tokio::time::timeout(2 * DEADLINE, member).await;
        ended.expect("an end in time").unwrap();
    }
    // A second copy of anything would lie behind what has come: nobody writes any more.
    let end = backend
        .admin()
        .positions(&topics[2], Start::Latest)
        .await
        .unwrap();
    out.until(|m| end.iter().all(|(p, end)| m.owned[p].1 == *end))
        .await;
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in out.messages() {
        let key = String::from_utf8(message.key.unwrap().to_vec()).unwrap();
        let payload = String::from_utf8(message.payload.unwrap().to_vec()).unwrap();
        by_key.entry(key).or_default().push(payload);
    }
    for key in 0..KEYS {
        let expected: Vec<_> = (0..MESSAGES)
            .filter(|i| i % KEYS == key)
            .map(|i| format!("{i:05}"))
            .collect();
        assert_eq!(by_key[&format!("key-{key}")], expected, "each once, in order");
    }
    // Each of six may die three times; who waits for a dead member's lease does not come to it, nor does a slow machine.
    let crashes = crashes.load(Ordering::Relaxed);
    assert!(crashes >= 6, "{crashes} crashes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_in_another_slot_of_a_cluster_is_refused_before_anything_is_stored() {
    let server = common::server::Server::start(&["--cluster-enabled", "yes"]);
    let () = server.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    in_time(async {
        let state = || -> String { server.command(&["CLUSTER", "INFO"]) };
        while !state().contains("cluster_state:ok") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let backend = Redis::connect_url(&server.url()).await.unwrap();
    let (topic, other) = (unique("in"), unique("other"));
    let same: bus_core::Name = format!("{topic}.g.dlq").into();
    let specs = [&topic, &same, &other].map(|name| TopicSpec::new(name.clone()));
    backend.admin().create(&specs).await.unwrap();
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, vec![Message::new("x")]).await;
    let source = bus_core::Source {
        exactly_once: true,
        ..group(&topic, &unique("g"))
    };
    let mut member = Member::join(&backend, source).await;
    member.until(|m| m.records.len() == 1).await;
    let to = |topics: &[&bus_core::Name]| Done {
        outputs: topics
            .iter()
            .map(|t| ((*t).clone(), Message::new("out")))
            .collect(),
        ..member.done(0)
    };
    let refused = in_time(member.ack.commit(vec![to(&[&same, &other])]))
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(refused, ErrorKind::Unsupported);
    assert!(refused.to_string().contains("another slot"), "{refused}");
    let stored = || -> usize { server.command(&["XLEN", &format!("{{{topic}}}.g.dlq")]) };
    assert_eq!(stored(), 0);
    in_time(member.ack.commit(vec![to(&[&same])]))
        .await
        .remove(0)
        .unwrap();
    assert_eq!(stored(), 1);
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fenced_owner_settles_is_refused_with_its_outputs() {
    let (backend, admin, topic) = with_topic(1).await;
    let out = unique("out");
    admin.create(&[TopicSpec::new(out.clone())]).await.unwrap();
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, vec![Message::new("x")]).await;
    let source = bus_core::Source {
        exactly_once: true,
        ..group(&topic, &unique("g"))
    };
    let mut first = Member::join(&backend, source.clone()).await;
    first.until(|m| m.records.len() == 1).await;
    let late = Done {
        outputs: vec![(out.clone(), Message::new("late"))],
        ..first.done(0)
    };
    first.ack.release(first.shard(0)).await.unwrap();
    first.until(|m| m.saw(|e| matches!(e, Event::Lost(_)))).await;
    let mut second = Member::join(&backend, source).await;
    first.subscriber.close().await.unwrap();
    second.until(|m| m.records.len() == 1).await;
    let refused = in_time(first.ack.commit(vec![late])).await.remove(0).unwrap_err();
    assert_eq!(refused, ErrorKind::Fenced);
    let length: usize = redis::cmd("XLEN").arg(&*out).query(&mut foreign(&url())).unwrap();
    assert_eq!(length, 0);
    second.commit_all().await;
    second.subscriber.close().await.unwrap();
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
async fn a_commit_whose_reply_is_lost_stores_its_outputs_once() {
    let (backend, admin, topic) = with_topic(1).await;
    let out = unique("out");
    admin.create(&[TopicSpec::new(out.clone())]).await.unwrap();
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, numbered(20, 1)).await;
    let (proxy, through) = proxied(&url()).await;
    let faulty = Redis::connect(through).await.unwrap();
    let mut member = Member::join(&faulty, group(&topic, &unique("g"))).await;
    member.until(|m| m.records.len() == 20).await;
    for i in 0..20 {
        let next = member.records[i].1.position() + 1;
        let notes = Bytes::from(format!("commit-{i}-"));
        let struck = proxy.drop_next_reply(Filter::redis(["EVALSHA"]).containing(notes.to_vec()));
        let outputs = vec![(out.clone(), Message::new(format!("{i}")))];
        let done = Done {
            next,
            notes,
            outputs,
            ..member.done(0)
        };
        in_time(member.ack.commit(vec![done])).await.remove(0).unwrap();
        assert!(in_time(struck.happened()).await);
    }
    let mut check = Member::join(&backend, group(&out, &unique("g"))).await;
    check.until(|m| m.saw(|e| matches!(e, Event::CaughtUp(_)))).await;
    assert_eq!(
        check.payloads(),
        (0..20).map(|i| format!("{i}")).collect::<Vec<_>>()
    );
    member.subscriber.close().await.unwrap();
}
