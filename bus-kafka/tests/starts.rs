//! Where a group begins.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, ErrorKind, Message, Name, Source, Start};
use bus_kafka::{Kafka, KafkaConfig};
use bus_proxy::{Filter, Late, Rule};
use common::{lab::Lab, *};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant, SystemTime},
};

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

/// ListOffsets: where the end is.
const LOOK_UP: [i16; 1] = [2];

/// A start that was looked up for too long is not stored over what the partition's next owner has stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_found_too_late_is_not_stored() {
    let lab = Lab::start().await;
    // Whichever of them moves, it is the first partition of its topic, which its owner begins.
    let topics = [topic(&lab.kafka, 1).await, topic(&lab.kafka, 1).await];
    let group = unique("g");
    let source = || Source {
        topics: topics.iter().map(|t| Name::from(t.as_str())).collect(),
        ..source(&topics[0], &group, Start::Latest)
    };
    for topic in &topics {
        publish(&lab.kafka, topic, numbered(10, 1)).await;
    }
    let kafka = Kafka::connect(KafkaConfig::new(lab.proxy.address()).client_id("late"));
    let kafka = kafka.await.unwrap();
    let asked = Filter::kafka(LOOK_UP).containing("late");
    let asked = lab.proxy.delay_next_request(asked, Duration::from_secs(60));
    lab.proxy.change(|faults| {
        let all = Filter::kafka(LOOK_UP).containing("late");
        let hold = Rule::hold_request(all, 1.0, Duration::from_secs(60), Late::Waiting);
        faults.rules.push(hold);
    });
    let mut late = Member::join(&kafka, source()).await;
    assert!(asked.begun().await);

    // The other takes one of them over, begins, and reads and stores in it.
    let mut other = Member::join(&lab.kafka, source()).await;
    let deadline = Instant::now() + SOON;
    while other.owned.is_empty() {
        assert!(Instant::now() < deadline, "the other gets nothing");
        late.step(Duration::from_millis(50)).await;
        other.step(Duration::from_millis(50)).await;
    }
    let (shard, begins, _) = other.owned.values().next().unwrap().clone();
    assert_eq!(begins, 10);
    let moved = topics[shard.topic as usize].clone();
    publish(&lab.kafka, &moved, numbered(10, 1)).await;
    other.until_records(10).await;
    other.ack.commit(vec![done(shard, 13)]).await.remove(0).unwrap();

    // Now the first hears where the end is, of the one that left too, and begins in the one that it has.
    lab.proxy.change(|faults| faults.rules.clear());
    lab.proxy.reset();
    late.until_owned(1).await;
    let (_, begins, _) = late.owned.values().next().unwrap();
    assert_eq!(*begins, 10, "a look-up without an answer is no answer");
    let position = async || {
        let lag = lag(&lab.kafka, &group).await;
        let here = lag.iter().find(|l| *l.topic == *moved);
        here.map(|l| l.position).unwrap()
    };
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(4) {
        assert_eq!(position().await, 13, "after {:?}", since.elapsed());
        late.step(Duration::from_millis(100)).await;
    }
    late.subscriber.close().await.unwrap();
    other.subscriber.close().await.unwrap();
}

/// A partition that is not its topic's first is begun by its owner where the first one's looks up the start for too long.
/// That one then begins what is left, and tells meanwhile what holds it up.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_found_too_late_leaves_out_what_others_have_begun() {
    let lab = Lab::start().await;
    let (topic, group) = (topic(&lab.kafka, 2).await, unique("g"));
    publish(&lab.kafka, &topic, numbered(20, 2)).await;
    let hold = |client: &str| {
        let all = Filter::kafka(LOOK_UP).containing(client);
        Rule::hold_request(all, 1.0, Duration::from_secs(60), Late::Waiting)
    };
    let names = ["client-one", "client-two"];
    lab.proxy.change(|faults| faults.rules.extend(names.map(hold)));
    let mut members = Vec::new();
    for name in names {
        let config = KafkaConfig::new(lab.proxy.address()).client_id(name);
        let kafka = Kafka::connect(config).await.unwrap();
        let member = Member::join(&kafka, source(&topic, &group, Start::Latest)).await;
        members.push((name, kafka, member));
    }
    let owner = async |partition: u32| {
        let group = lab.kafka.admin().group(&group).await.ok()?;
        let mut owners = group
            .members
            .iter()
            .filter(|m| m.partitions == [(Name::from(topic.as_str()), partition)]);
        owners.next().map(|m| m.id.clone())
    };
    let deadline = Instant::now() + SOON;
    let first = loop {
        if let (Some(first), Some(_)) = (owner(0).await, owner(1).await) {
            break first;
        }
        assert!(Instant::now() < deadline, "not shared");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let at = members.iter().position(|(name, ..)| first.starts_with(name));
    let (late, kafka, mut first) = members.swap_remove(at.unwrap());
    let (_, _, mut other) = members.remove(0);

    // The owner of the other partition begins by itself, and reads and stores in it.
    lab.proxy.change(|faults| faults.rules = vec![hold(late)]);
    lab.proxy.reset();
    other.until_owned(1).await;
    let (shard, begins, _) = other.owned[&1].clone();
    assert_eq!(begins, 10);
    let told = kafka.health().unwrap_err().to_string();
    assert!(told.contains(&topic) && told.contains("start"), "{told}");
    publish(&lab.kafka, &topic, numbered(20, 2)).await;
    other.until_records(10).await;
    other.ack.commit(vec![done(shard, 13)]).await.remove(0).unwrap();

    // Now the first hears where both end.
    lab.proxy.change(|faults| faults.rules.clear());
    lab.proxy.reset();
    first.until_owned(1).await;
    assert_eq!(first.owned[&0].1, 20, "a look-up without an answer is no answer");
    let positions: Vec<u128> = lag(&lab.kafka, &group).await.iter().map(|l| l.position).collect();
    assert_eq!(positions, [20, 13], "a start over what was read");
    first.subscriber.close().await.unwrap();
    other.subscriber.close().await.unwrap();
}
