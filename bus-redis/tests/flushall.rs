//! Everything is deleted under live members and publishers: who was there is told, and what comes after begins anew.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, ErrorKind, Event, Message, Name, Outcome, Publisher, TopicSpec};
use bus_redis::Redis;
use common::{
    member::{Member, ROOM},
    server::Server,
    *,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

const PARTITIONS: u32 = 4;

async fn connect(server: &Server) -> Redis {
    Redis::connect_url(&format!("{}?ttl=9s", server.url()))
        .await
        .unwrap()
}

async fn create(backend: &Redis, topic: &Name) {
    let spec = TopicSpec::new(topic.clone()).partitions(PARTITIONS);
    backend.admin().create(&[spec]).await.unwrap();
}

/// Publishes until it is stored again; the kinds of what it was told before that, and where it is stored.
async fn goes_on(publisher: &Arc<dyn Publisher>, topic: &Name, partition: u32) -> (BTreeSet<String>, u128) {
    let mut told = BTreeSet::new();
    in_time(async {
        loop {
            let message = Message::new("again").to_partition(partition);
            match publisher.publish_batch(topic, vec![message]).await.remove(0) {
                Ok(Outcome::Stored(receipt)) => return (told, receipt.position.unwrap()),
                Ok(other) => panic!("{other:?}"),
                Err(unsent) => {
                    assert!(
                        !unsent.is_unknown(),
                        "it is known that nothing was stored: {unsent}"
                    );
                    told.insert(format!("{:?}", unsent.error().kind()));
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_there_when_everything_is_deleted_is_told_and_begins_anew() {
    let server = Server::start(&[]);
    let (first, second) = (connect(&server).await, connect(&server).await);
    let (topic, name) = (unique("orders"), unique("g"));
    create(&first, &topic).await;
    let (one, two) = (
        first.publisher().await.unwrap(),
        second.publisher().await.unwrap(),
    );
    let mut members = [
        Member::join(&first, group(&topic, &name)).await,
        Member::join(&second, group(&topic, &name)).await,
    ];
    let mut highest = [0; PARTITIONS as usize];
    for publisher in [&one, &two] {
        for receipt in publish(publisher, &topic, numbered(200, PARTITIONS)).await {
            let highest = &mut highest[receipt.partition as usize];
            *highest = receipt.position.unwrap().max(*highest);
        }
    }
    let [a, b] = &mut members;
    // Both own something, and have settled half of what they got: positions and notes are stored.
    let both = async {
        tokio::join!(
            a.until(|m| m.owned.len() == 2 && m.records.len() >= 50),
            b.until(|m| m.owned.len() == 2 && m.records.len() >= 50)
        )
    };
    both.await;
    a.commit_all().await;
    b.commit_all().await;

    let () = server.command(&["FLUSHALL"]);
    let lost = |m: &Member| m.saw(|e| matches!(e, Event::TopicLost(_))) && m.owned.is_empty();
    tokio::join!(a.until(lost), b.until(lost));
    // Nobody makes a topic that nobody asked for.
    for publisher in [&one, &two] {
        let outcome = in_time(publisher.publish_batch(&topic, vec![Message::new("x")]))
            .await
            .remove(0);
        let unsent = outcome.unwrap_err();
        assert!(
            [ErrorKind::TopicMissing, ErrorKind::DataLoss].contains(&unsent.error().kind())
                && !unsent.is_unknown(),
            "{unsent}"
        );
    }
    let keys: Vec<String> = server.command(&["KEYS", "*"]);
    let streams = keys.iter().filter(|key| key.starts_with(&*topic)).count();
    assert_eq!(streams, 0, "{keys:?}");

    // The old members have nothing to do with a topic of the same name; their acks settle nothing of it.
    create(&second, &topic).await;
    for (publisher, half) in [(&one, 0), (&two, 2)] {
        for partition in half..half + 2 {
            let (told, position) = goes_on(publisher, &topic, partition).await;
            let expected = ["DataLoss", "TopicMissing"].map(str::to_owned);
            assert!(told.iter().all(|kind| expected.contains(kind)), "{told:?}");
            assert!(
                position > highest[partition as usize],
                "a position was given out twice"
            );
        }
    }
    let mut anew = [
        Member::join(&first, group(&topic, &name)).await,
        Member::join(&second, group(&topic, &name)).await,
    ];
    let [c, d] = &mut anew;
    // The first may have had all of them before the second was there, and then both were handed some of the records: what
    // counts is what came with the lease that each has in the end.
    let own = |m: &Member| {
        let theirs = m
            .records
            .iter()
            .filter(|(shard, _)| m.owned.get(&shard.partition).is_some_and(|o| o.0 == *shard));
        theirs.map(|(shard, _)| shard.partition).collect::<Vec<_>>()
    };
    in_time(async {
        let both = |c: &Member, d: &Member| c.owned.keys().any(|p| d.owned.contains_key(p));
        while own(c).len() < 2 || own(d).len() < 2 || both(c, d) {
            tokio::select! {
                result = c.step(ROOM) => result.unwrap(),
                result = d.step(ROOM) => result.unwrap(),
            }
        }
    })
    .await;
    let mut all = [own(c), own(d)].concat();
    all.sort_unstable();
    assert_eq!(
        all,
        (0..PARTITIONS).collect::<Vec<_>>(),
        "no partition has two owners, each is read from its start, once"
    );
    assert!(c.payloads().iter().chain(&d.payloads()).all(|p| p == "again"));
    for member in [&mut *a, &mut *b, &mut *c, &mut *d] {
        in_time(member.subscriber.close()).await.unwrap();
    }
    for publisher in [one, two] {
        in_time(publisher.close()).await.unwrap();
    }
}
