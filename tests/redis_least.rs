//! The least that a user of Redis must be allowed: exactly the rule that the documentation gives.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod secured;

use bus::{Bus, Raw, Start, Subscription, Topic};
use bus_brokers::{Redis as Server, RedisOptions};
use secured::{PATIENCE, is_refused, rule, works_with};
use std::{collections::BTreeSet, path::Path, time::Duration};

/// What stands between quotes in the sources of the backend.
fn words(folder: &Path, all: &mut BTreeSet<String>) {
    for path in std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if path.is_dir() {
            words(&path, all);
        } else {
            let text = std::fs::read_to_string(path).unwrap();
            all.extend(text.split(['"', '\'']).map(str::to_owned));
        }
    }
}

fn topic(name: &'static str) -> Topic<Vec<u8>, Raw> {
    Topic::named(name).partitions(2)
}

async fn next(from: &mut Subscription<Vec<u8>, Raw>) -> bus::Delivery<Vec<u8>> {
    let next = tokio::time::timeout(PATIENCE, from.next())
        .await
        .expect("a delivery in time");
    next.unwrap().unwrap()
}

/// Everything that the bus does, in the topics that the rule is about.
async fn everything(bus: &Bus) {
    for partitions in [1, 2] {
        let orders = Topic::<Vec<u8>, Raw>::named(if partitions == 1 { "orders" } else { "orders.wide" })
            .partitions(partitions);
        works_with(bus, &orders).await;
        let group = format!("g{partitions}");
        // Failed, delayed, dead-lettered and replayed.
        let mut readers = bus.subscribe(&orders, &group).await.unwrap();
        next(&mut readers).await.nack();
        next(&mut readers).await.reject("no use");
        let later = Duration::from_millis(50);
        bus.publish(&orders, &b"later".to_vec())
            .delay(later)
            .await
            .unwrap();
        loop {
            let delivery = next(&mut readers).await;
            let is_last = delivery.value() == b"later";
            delivery.ack();
            if is_last {
                break;
            }
        }
        readers.flush().await.unwrap();
        readers.close().await.unwrap();
    }
    let (from, to) = (topic("orders.in"), topic("orders.out"));
    bus.ensure_topics([from.spec(), to.spec()]).await.unwrap();
    bus.publish(&from, &b"1".to_vec()).key("k").await.unwrap();
    let mut once = bus.subscribe(&from, "once").exactly_once().await.unwrap();
    let delivery = next(&mut once).await;
    let output = to.message(delivery.value()).unwrap().keyed("k");
    delivery.ack_with([(to.name().to_owned(), output)]).unwrap();
    once.flush().await.unwrap();
    let mut copies = bus.subscribe(&to, "copies").await.unwrap();
    let copy = next(&mut copies).await;
    assert_eq!(copy.value(), b"1");
    copy.ack();
    copies.close().await.unwrap();
    once.close().await.unwrap();
    let mut observer = bus.observe(&to).start(Start::Earliest).await.unwrap();
    assert_eq!(next(&mut observer).await.value(), b"1");
    observer.close().await.unwrap();
    administers(bus).await;
}

async fn administers(bus: &Bus) {
    let admin = bus.admin();
    assert!(
        admin
            .topics()
            .await
            .unwrap()
            .iter()
            .any(|spec| &*spec.name == "orders")
    );
    assert!(
        admin
            .groups()
            .await
            .unwrap()
            .iter()
            .any(|group| &**group == "copies")
    );
    admin.group("copies").await.unwrap();
    admin.lag("copies").await.unwrap();
    admin.positions("orders", Start::Earliest).await.unwrap();
    admin.grow("orders.out", 3).await.unwrap();
    admin
        .reset("copies", "orders.out", Start::Earliest)
        .await
        .unwrap();
    admin.delete_group("copies").await.unwrap();
    admin.delete("orders.out").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rule_is_enough_and_names_nothing_that_is_not_used() {
    let rule = rule();
    let server = Server::start(RedisOptions::new().user(&rule.join(" "))).unwrap();
    let login = |rest: &str| format!("redis://billing:password@{}?ttl=2s{rest}", server.socket());
    let bus = Bus::connect(&login("&retention=1s")).await.unwrap();
    everything(&bus).await;
    // Nothing was refused that nobody noticed.
    assert_eq!(server.ask(&["ACL", "LOG"]).unwrap(), "");
    // Nothing is allowed that is not used, here or where data was lost, compacted or left by others.
    let stats = server.ask(&["INFO", "commandstats"]).unwrap();
    let used: BTreeSet<&str> = stats
        .lines()
        .filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(':'))
        .map(|(command, _)| command)
        .collect();
    let last = |command: &str| {
        let word = command.rsplit('|').next().unwrap_or(command);
        word.to_uppercase()
    };
    let mut sources = BTreeSet::new();
    words(
        concat!(env!("CARGO_MANIFEST_DIR"), "/bus-redis/src").as_ref(),
        &mut sources,
    );
    let unused: Vec<_> = rule
        .iter()
        .filter_map(|word| word.strip_prefix('+'))
        .filter(|command| !used.contains(command) && !sources.contains(&last(command)))
        .collect();
    assert!(unused.is_empty(), "{unused:?} of {used:?}");
    // Elsewhere it is good for nothing.
    let other = Topic::<Vec<u8>, Raw>::named("payments");
    let error = bus.publish(&other, &b"x".to_vec()).await.unwrap_err();
    assert_eq!(error.error().kind(), bus::ErrorKind::Denied, "{error:?}");
    is_refused(
        "another database",
        &login("").replace("?", "/3?"),
        bus::ErrorKind::Denied,
        &["'select'"],
    )
    .await;
}
