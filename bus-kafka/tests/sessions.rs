//! Sessions that run out in the middle of a rebalance, when librdkafka does not watch them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Event, Shard, Start};
use bus_kafka::{Kafka, KafkaConfig};
use bus_proxy::{Filter, Late, Rule};
use common::{lab::Lab, *};
use std::time::{Duration, Instant};

const SESSION: Duration = Duration::from_secs(6);
const GRACE: Duration = Duration::from_secs(5);
/// Looking every 250 ms, asking every 500 ms, and a machine that is busy.
const SLACK: Duration = Duration::from_secs(4);
/// JoinGroup: what is sent behind it to the coordinator waits too.
const JOIN: [i16; 1] = [11];
/// ConsumerGroupHeartbeat, and how long brokers wait for it by default.
const NEWER_HEARTBEAT: [i16; 1] = [68];
const NEWER_SESSION: Duration = Duration::from_secs(45);
/// DescribeGroups and ConsumerGroupDescribe.
const DESCRIBE: [i16; 2] = [15, 69];

/// From now on, requests of one client arrive so much later.
fn hold(lab: &Lab, keys: impl IntoIterator<Item = i16>, client: &str, time: Duration) {
    let rule = Rule::hold_request(Filter::kafka(keys).containing(client), 1.0, time, Late::Waiting);
    lab.proxy.change(|faults| faults.rules.push(rule));
}

fn is_suspended(event: &Event) -> bool {
    matches!(event, Event::Suspended(_))
}

/// Two members with one partition each, and a connection for a third.
struct Pair {
    lab: Lab,
    first: Member,
    shard: Shard,
    second: Member,
    topic: String,
    group: String,
}

impl Pair {
    async fn share(sessions: [Duration; 2]) -> Self {
        Self::share_by("classic", sessions).await
    }
    /// With the session of the newer protocol, the brokers choose its length.
    async fn share_by(protocol: &str, sessions: [Duration; 2]) -> Self {
        let lab = Lab::start().await;
        let (topic, group) = (topic(&lab.kafka, 2).await, unique("g"));
        let mut members = Vec::new();
        for (name, session) in ["first", "second"].into_iter().zip(sessions) {
            let config = KafkaConfig::new(lab.proxy.address());
            let config = config.client_id(name).session_timeout(session);
            let config = config.set("group.protocol", protocol);
            let kafka = Kafka::connect(config).await.unwrap();
            let mut member = Member::join(&kafka, source(&topic, &group, Start::Earliest)).await;
            if members.is_empty() {
                member.until_owned(2).await;
            }
            members.push(member);
        }
        let (mut second, mut first) = (members.pop().unwrap(), members.pop().unwrap());
        let deadline = Instant::now() + SOON;
        while first.owned.len() != 1 || second.owned.len() != 1 {
            assert!(Instant::now() < deadline, "the members do not share");
            first.step(Duration::from_millis(50)).await;
            second.step(Duration::from_millis(50)).await;
            for shard in std::mem::take(&mut first.losing) {
                first.ack.release(shard).await.unwrap();
            }
        }
        let shard = first.owned.values().map(|(shard, ..)| *shard).next().unwrap();
        first.lost.clear();
        Self {
            lab,
            first,
            shard,
            second,
            topic,
            group,
        }
    }
    async fn third(&self) -> Member {
        Member::join(&self.lab.kafka, source(&self.topic, &self.group, Start::Earliest)).await
    }
    /// Until the first is told that its partition is lost, and until another has that: how long both took.
    async fn told_and_taken(&mut self, third: &mut Option<Member>, limit: Duration) -> [Duration; 2] {
        let since = Instant::now();
        let (shard, first, second) = (self.shard, &mut self.first, &mut self.second);
        let deadline = since + limit;
        tokio::join!(
            async {
                while !first.lost.contains(&shard) {
                    assert!(Instant::now() < deadline, "the first is not told");
                    first.step(Duration::from_millis(50)).await;
                }
                since.elapsed()
            },
            async {
                let owns = |m: &Member| m.owned.contains_key(&shard.partition);
                while !owns(second) && !third.as_ref().is_some_and(owns) {
                    assert!(Instant::now() < deadline, "nobody took it over");
                    second.step(Duration::from_millis(50)).await;
                    if let Some(third) = third {
                        third.step(Duration::from_millis(50)).await;
                    }
                }
                since.elapsed()
            }
        )
        .into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_put_out_while_its_join_hangs_is_told() {
    let mut pair = Pair::share([SESSION, SESSION]).await;
    hold(&pair.lab, JOIN, "first", Duration::from_secs(40));
    let mut third = Some(pair.third().await);
    let [told, taken] = pair.told_and_taken(&mut third, SOON).await;
    println!("told after {told:?}, taken over after {taken:?}");
    assert!(
        told < SESSION + SLACK,
        "told after {told:?}, taken over after {taken:?}"
    );
    assert!(
        told < taken + Duration::from_secs(2),
        "told after {told:?}, taken over after {taken:?}"
    );
    assert!(pair.first.owned.is_empty());
}

/// The newer protocol has no join: it is the heartbeats that hang.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_put_out_by_the_newer_protocol_is_told() {
    let mut pair = Pair::share_by("consumer", [SESSION, SESSION]).await;
    hold(&pair.lab, NEWER_HEARTBEAT, "first", 3 * NEWER_SESSION);
    let [told, taken] = pair.told_and_taken(&mut None, NEWER_SESSION + SOON).await;
    println!("told after {told:?}, taken over after {taken:?}");
    assert!(
        told < taken + Duration::from_secs(2),
        "told after {told:?}, taken over after {taken:?}"
    );
    assert!(pair.first.owned.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_a_rebalance_goes_on() {
    let long = 2 * SESSION;
    let mut pair = Pair::share([SESSION, long]).await;
    // The group waits for the second, and the first for the group, for longer than its own session.
    hold(&pair.lab, JOIN, "second", Duration::from_secs(40));
    let since = Instant::now();
    let mut third = pair.third().await;
    let first = &mut pair.first;
    while since.elapsed() < long - Duration::from_secs(2) {
        first.step(Duration::from_millis(50)).await;
        third.step(Duration::from_millis(1)).await;
        assert!(third.owned.is_empty(), "the group did not wait");
    }
    assert!(!first.others.iter().any(is_suspended), "{:?}", first.others);
    assert_eq!(first.shard(pair.shard.partition), pair.shard);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_vouches_for_is_suspended_then_lost_and_gained_again() {
    let mut pair = Pair::share([SESSION, 5 * SESSION]).await;
    hold(&pair.lab, JOIN, "second", Duration::from_secs(26));
    hold(&pair.lab, DESCRIBE, "first", Duration::from_secs(5));
    let since = Instant::now();
    let mut third = pair.third().await;
    let (first, shard) = (&mut pair.first, pair.shard);
    first
        .until("being suspended", |m| m.others.iter().any(is_suspended))
        .await;
    let suspended = since.elapsed();
    first.until("losing it", |m| m.lost.contains(&shard)).await;
    let lost = since.elapsed();
    pair.lab.proxy.change(|faults| drop(faults.rules.pop()));
    first
        .until("gaining it again", |m| m.owned.contains_key(&shard.partition))
        .await;
    let regained = since.elapsed();
    println!("suspended after {suspended:?}, lost after {lost:?}, regained after {regained:?}");
    assert!(suspended < SESSION + SLACK, "suspended after {suspended:?}");
    assert!(lost < SESSION + GRACE + SLACK, "lost after {lost:?}");
    assert!(
        regained < Duration::from_secs(26),
        "gained only when the group had joined"
    );
    assert_ne!(first.shard(shard.partition), shard, "another epoch");
    // Its own first events, if there were any, are looked at too.
    while third.step(Duration::from_millis(500)).await {}
    assert!(third.owned.is_empty(), "the group did not wait");
}

/// As where nobody may describe the group: it takes a commit of the same member's again, which says as much.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_gained_again_without_describing_the_group() {
    let mut pair = Pair::share([SESSION, 5 * SESSION]).await;
    let hung = Duration::from_secs(16);
    hold(&pair.lab, JOIN, "second", hung);
    hold(&pair.lab, DESCRIBE, "first", Duration::from_secs(90));
    let since = Instant::now();
    // It makes the group join again, which then waits for the second.
    let mut third = pair.third().await;
    let (first, shard) = (&mut pair.first, pair.shard);
    first.until("losing it", |m| m.lost.contains(&shard)).await;
    assert!(since.elapsed() < hung, "lost after {:?}", since.elapsed());
    third.subscriber.close().await.unwrap();
    let deadline = Instant::now() + SOON;
    while !first.owned.contains_key(&shard.partition) {
        assert!(Instant::now() < deadline, "not gained again");
        first.step(Duration::from_millis(50)).await;
        pair.second.step(Duration::from_millis(50)).await;
    }
    println!("gained again after {:?}", since.elapsed());
}
