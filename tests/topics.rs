//! Topics as an application defines them, and what an administrator does with topics and groups, on every backend.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[cfg(any(feature = "kafka", feature = "redis"))]
mod rerun;

use bus::{
    Bus, Error, ErrorKind, Raw, Start, Topic, TopicSpec,
    testing::{bus, published, settle},
};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(86_400);
const ORDERS: Topic<String> = Topic::event("orders").partitions(3).replication(1).retention(DAY);
const BILL: Topic<String, Raw> = Topic::command("bill");
const PRICES: Topic<u32> = Topic::state("prices").partitions(2);

fn kind<T>(result: Result<T, Error>) -> ErrorKind {
    result.err().expect("an error").kind()
}

#[tokio::test]
async fn topics_are_made_as_they_are_defined() {
    let bus = bus().await.unwrap();
    assert_eq!(kind(bus.topic("orders").await), ErrorKind::TopicMissing);
    // Before anything is made.
    let illegal = [ORDERS.spec(), TopicSpec::new("no good")];
    assert_eq!(kind(bus.ensure_topics(illegal).await), ErrorKind::Invalid);
    assert_eq!(
        kind(bus.ensure_topics([ORDERS.spec().partitions(0)]).await),
        ErrorKind::Invalid
    );
    assert_eq!(kind(bus.topic("orders").await), ErrorKind::TopicMissing);

    let all = [ORDERS.spec(), BILL.spec(), PRICES.spec()];
    let ensured = bus.ensure_topics(all.clone()).await.unwrap();
    assert_eq!((&ensured.differences[..], &ensured.grown[..]), (&[][..], &[][..]));
    // They can be used at once, each partition of them.
    for partition in 0..3 {
        bus.publish(&ORDERS, &"bread".to_owned())
            .partition(partition)
            .await
            .unwrap();
    }
    bus.publish(&BILL, &"ada".to_owned()).await.unwrap();
    bus.publish(&PRICES, &320).key("bread").await.unwrap();
    let orders = bus.topic("orders").await.unwrap();
    assert_eq!(
        (orders.partitions, orders.retention, orders.compact),
        (3, Some(DAY), false)
    );
    let bill = bus.topic("bill").await.unwrap();
    assert_eq!(
        (bill.partitions, bill.compact, bill.replication.unwrap_or(1)),
        (1, false, 1)
    );
    let prices = bus.topic("prices").await.unwrap();
    assert_eq!((prices.partitions, prices.compact), (2, true));
    let names: Vec<_> = bus
        .admin()
        .topics()
        .await
        .unwrap()
        .into_iter()
        .map(|topic| topic.name)
        .collect();
    assert_eq!(names, ["bill".into(), "orders".into(), "prices".into()]);

    // The same again: nothing differs, and nothing is deleted.
    assert!(bus.ensure_topics(all).await.unwrap().differences.is_empty());
    assert_eq!(published(&bus, &ORDERS).await.unwrap().len(), 3);
}

#[tokio::test]
async fn differences_are_reported_and_left() {
    let bus = bus().await.unwrap();
    bus.ensure_topics([ORDERS.spec()]).await.unwrap();
    bus.publish(&ORDERS, &"bread".to_owned()).await.unwrap();
    let other = TopicSpec::new("orders")
        .partitions(5)
        .retention(2 * DAY)
        .compact(true);
    let found = bus.ensure_topics([other]).await.unwrap();
    let said: Vec<_> = found.differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "topic `orders`: partitions 5 was asked for, there is 3",
            "topic `orders`: retention 172800s was asked for, there is 86400s",
            "topic `orders`: compact true was asked for, there is false",
        ]
    );
    let there = bus.topic("orders").await.unwrap();
    assert_eq!(
        (there.partitions, there.retention, there.compact),
        (3, Some(DAY), false)
    );
    assert_eq!(published(&bus, &ORDERS).await.unwrap().len(), 1);
}

#[tokio::test]
async fn partitions_are_added_only_when_asked_for() {
    let bus = bus().await.unwrap();
    bus.ensure_topics([ORDERS.spec()]).await.unwrap();
    let more = [ORDERS.partitions(5).spec()];
    assert!(bus.ensure_topics(more.clone()).await.unwrap().grown.is_empty());
    assert_eq!(bus.topic("orders").await.unwrap().partitions, 3);
    let grown = bus.grow_topics(more.clone()).await.unwrap();
    assert_eq!(
        (&grown.grown[..], grown.differences.len()),
        (&["orders".into()][..], 0)
    );
    bus.publish(&ORDERS, &"bread".to_owned())
        .partition(4)
        .await
        .unwrap();
    assert!(bus.grow_topics(more).await.unwrap().grown.is_empty());
    // Never fewer.
    let fewer = bus.grow_topics([ORDERS.spec()]).await.unwrap();
    assert_eq!((fewer.grown.len(), fewer.differences[0].what), (0, "partitions"));
    assert_eq!(kind(bus.admin().grow("orders", 2).await), ErrorKind::Invalid);
    assert_eq!(bus.topic("orders").await.unwrap().partitions, 5);
}

async fn behind(bus: &Bus, group: &str) -> u64 {
    bus.admin()
        .lag(group)
        .await
        .unwrap()
        .iter()
        .map(|at| at.behind)
        .sum()
}

#[tokio::test]
async fn groups_are_listed_described_reset_and_deleted() {
    let (bus, admin) = {
        let bus = bus().await.unwrap();
        (bus.clone(), bus.admin())
    };
    bus.ensure_topics([BILL.spec()]).await.unwrap();
    assert_eq!(kind(admin.group("billing").await), ErrorKind::GroupMissing);
    let publish = async |who: &str| bus.publish(&BILL, &who.to_owned()).await.map(|_| ());
    publish("ada").await.unwrap();
    publish("eve").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let between = SystemTime::now();
    tokio::time::sleep(Duration::from_millis(50)).await;
    publish("bob").await.unwrap();
    publish("zoe").await.unwrap();

    let reader = bus.subscribe(&BILL, "billing").await.unwrap();
    let control = reader.control();
    let reading = tokio::spawn(reader.for_each(1, |who| async { who.ack() }));
    settle(&bus).within(Duration::from_secs(60)).await.unwrap();
    let group = admin.group("billing").await.unwrap();
    assert_eq!(
        (
            group.members.len(),
            group.positions.len(),
            group.positions[0].behind
        ),
        (1, 1, 0)
    );
    assert_eq!(group.members[0].partitions, [("bill".into(), 0)]);
    // Not under its members.
    assert_eq!(
        kind(admin.reset("billing", "bill", Start::Earliest).await),
        ErrorKind::Conflict
    );
    assert_eq!(kind(admin.delete_group("billing").await), ErrorKind::Conflict);
    control.drain(Duration::from_secs(30)).await.unwrap();
    reading.await.unwrap().unwrap();
    assert_eq!(admin.groups().await.unwrap(), ["billing".into()]);
    assert!(admin.group("billing").await.unwrap().members.is_empty());

    let last = published(&bus, &BILL).await.unwrap()[3].position();
    for (to, left) in [
        (Start::Earliest, 4),
        (Start::Time(between), 2),
        (Start::Positions(BTreeMap::from([(0, last)])), 1),
        (Start::Latest, 0),
        (Start::Time(SystemTime::UNIX_EPOCH), 4),
        (Start::Time(SystemTime::now() + DAY), 0),
    ] {
        admin.reset("billing", "bill", to.clone()).await.unwrap();
        assert_eq!(behind(&bus, "billing").await, left, "{to:?}");
    }
    // And that is where it goes on.
    admin
        .reset("billing", "bill", Start::Time(between))
        .await
        .unwrap();
    let mut reader = bus.subscribe(&BILL, "billing").await.unwrap();
    let next = tokio::time::timeout(Duration::from_secs(60), reader.next())
        .await
        .unwrap();
    let next = next.unwrap().unwrap();
    assert_eq!(*next, "bob");
    next.ack();
    reader.close().await.unwrap();
    assert_eq!(behind(&bus, "billing").await, 1);

    admin.delete_group("billing").await.unwrap();
    assert_eq!(kind(admin.lag("billing").await), ErrorKind::GroupMissing);
    assert!(admin.groups().await.unwrap().is_empty());
    admin.delete("bill").await.unwrap();
    assert_eq!(kind(admin.delete("bill").await), ErrorKind::TopicMissing);
    assert_eq!(kind(bus.topic("bill").await), ErrorKind::TopicMissing);
}

#[cfg(feature = "kafka")]
#[test]
fn on_kafka() {
    rerun::on(&format!("kafka://{}", rerun::server("BUS_TEST_KAFKA")), 4);
}

#[cfg(feature = "redis")]
#[test]
fn on_redis() {
    rerun::on(&rerun::server("BUS_TEST_REDIS"), 4);
}
