//! Other programs and administrators: what they write arrives, what they destroy is told.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Bytes, ErrorKind, Event, Message, Room, Scope, Start, TopicSpec};
use bus_redis::Redis;
use common::{member::Member, server::Server, *};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_stream_is_a_topic_with_one_partition() {
    let backend = backend().await;
    let stream = unique("plain stream");
    let missing = backend.subscribe(group(&stream, &unique("g"))).await.unwrap_err();
    assert_eq!(missing, ErrorKind::TopicMissing);
    let mut client = foreign(&url());
    redis::cmd("XADD")
        .arg(&*stream)
        .arg("*")
        .arg(&["user", "anna", "note", "a \"b\"\n"])
        .exec(&mut client)
        .unwrap();
    redis::cmd("XADD")
        .arg(&*stream)
        .arg("*")
        .arg(&["data", "plain", "key", "k", "trace", "7"])
        .exec(&mut client)
        .unwrap();
    let name = unique("g");
    let mut member = Member::join(&backend, group(&stream, &name)).await;
    member.until(|m| m.records.len() == 2).await;
    assert_eq!(
        member.payloads(),
        [r#"{"user":"anna","note":"a \"b\"\n"}"#, "plain"]
    );
    assert_eq!(member.records[1].1.headers().get("trace"), Some(&b"7"[..]));
    // And back: what we publish is fields that others can read.
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &stream, vec![Message::new("ours").keyed("k")]).await;
    member.until(|m| m.records.len() == 3).await;
    let entries: Vec<(String, Vec<String>)> = redis::cmd("XREVRANGE")
        .arg(&*stream)
        .arg("+")
        .arg("-")
        .arg("COUNT")
        .arg(1)
        .query(&mut client)
        .unwrap();
    assert_eq!(entries[0].1, ["key", "k", "data", "ours"]);
    member.commit_all().await;
    assert_eq!(native_groups(&url(), &stream)[0].2, Some(0));
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_others_read_with_is_refused() {
    let (backend, _, topic) = with_topic(1).await;
    let mut client = foreign(&url());
    redis::cmd("XGROUP")
        .arg(&["CREATE", &topic, "theirs", "0"])
        .exec(&mut client)
        .unwrap();
    redis::cmd("XADD")
        .arg(&[&*topic, "*", "a", "b"])
        .exec(&mut client)
        .unwrap();
    redis::cmd("XREADGROUP")
        .arg(&["GROUP", "theirs", "c", "STREAMS", &topic, ">"])
        .exec(&mut client)
        .unwrap();
    let error = backend
        .subscribe(group(&topic, &"theirs".into()))
        .await
        .unwrap_err();
    assert_eq!(error, ErrorKind::Conflict);
    assert!(error.to_string().contains("drain it first"), "{error}");
    let string = unique("string");
    redis::cmd("SET").arg(&*string).arg(1).exec(&mut client).unwrap();
    assert_eq!(
        backend.subscribe(group(&string, &unique("g"))).await.unwrap_err(),
        ErrorKind::Conflict
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn flushall_and_deletion_are_events_and_no_spin() {
    let server = Server::start(&[]);
    let backend = Redis::connect_url(&format!("{}?ttl=2s", server.url()))
        .await
        .unwrap();
    let admin = backend.admin();
    let topics = [unique("a"), unique("b")];
    admin
        .create(&topics.clone().map(|t| TopicSpec::new(t).partitions(2)))
        .await
        .unwrap();
    let publisher = backend.publisher().await.unwrap();
    for topic in &topics {
        publish(&publisher, topic, vec![Message::new("x").to_partition(0)]).await;
    }
    let mut first = Member::join(&backend, group(&topics[0], &unique("g"))).await;
    let mut second = Member::join(&backend, group(&topics[1], &unique("g"))).await;
    let mut tail = Member::join(
        &backend,
        source(&topics[1], Scope::Everyone { partitions: None }, Start::Latest),
    )
    .await;
    first.until(|m| m.records.len() == 1 && m.owned.len() == 2).await;
    second.until(|m| m.records.len() == 1 && m.owned.len() == 2).await;
    let lost = |m: &Member| m.saw(|e| matches!(e, Event::TopicLost(_))) && m.owned.is_empty();

    admin.delete(&topics[0]).await.unwrap();
    first.until(lost).await;
    assert!(!lost(&second), "its neighbour goes on");
    let mut client = foreign(&server.url());
    redis::cmd("FLUSHALL").exec(&mut client).unwrap();
    second.until(lost).await;
    tail.until(lost).await;

    // Nothing to read, and nothing is read: commands of a second, all members together.
    redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut client).unwrap();
    let mut quiet = Vec::new();
    let _ = tokio::time::timeout(
        Duration::from_secs(1),
        second.subscriber.receive(common::member::ROOM, &mut quiet),
    )
    .await;
    assert!(quiet.is_empty(), "{quiet:?}");
    let stats: String = redis::cmd("INFO").arg("stats").query(&mut client).unwrap();
    let commands: u32 = stats
        .lines()
        .find_map(|l| l.strip_prefix("total_commands_processed:"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(commands < 100, "{commands} commands in a second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_is_another_topic() {
    let (backend, admin, topic) = with_topic(1).await;
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    member.until(|m| m.owned.len() == 1).await;
    admin.delete(&topic).await.unwrap();
    admin.create(&[TopicSpec::new(topic.clone())]).await.unwrap();
    member
        .until(|m| m.saw(|e| matches!(e, Event::TopicLost(_))) && m.owned.is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_removed_before_they_were_read_are_told_exactly() {
    let (backend, _, topic) = with_topic(1).await;
    let publisher = backend.publisher().await.unwrap();
    let batch = |n: u32| (0..n).map(|i| Message::new(format!("{i}"))).collect::<Vec<_>>();
    let receipts = publish(&publisher, &topic, batch(100)).await;
    let position = |i: usize| receipts[i].position.unwrap();
    let mut client = foreign(&url());
    let name = unique("g");
    let mut member = Member::join(&backend, group(&topic, &name)).await;
    member.until(|m| m.records.len() == 100).await;
    let done = bus_core::Done {
        next: position(10),
        ..member.done(0)
    };
    member.ack.commit(vec![done]).await.remove(0).unwrap();
    member.subscriber.close().await.unwrap();
    assert_eq!(native_groups(&url(), &topic)[0].2, Some(90));

    // While it was away.
    redis::cmd("XTRIM")
        .arg(&*topic)
        .arg("MAXLEN")
        .arg("=")
        .arg(60)
        .exec(&mut client)
        .unwrap();
    let mut member = Member::join(&backend, group(&topic, &name)).await;
    member.until(|m| m.records.len() == 60).await;
    let losses = |m: &Member| -> Vec<(u128, u128)> {
        let loss = |e: &Event| match e {
            Event::DataLoss { from, to, .. } => Some((*from, *to)),
            _ => None,
        };
        m.events.iter().filter_map(loss).collect()
    };
    assert_eq!(losses(&member), [(position(10), position(40))]);
    member.commit_all().await;

    member.subscriber.close().await.unwrap();

    // While it has no room.
    let mut member = Member::join(&backend, group(&topic, &name)).await;
    let none = Room {
        messages: 0,
        bytes: 0,
    };
    while member.owned.is_empty() {
        in_time(member.step(none)).await.unwrap();
    }
    let receipts = publish(&publisher, &topic, batch(50)).await;
    redis::cmd("XTRIM")
        .arg(&*topic)
        .arg("MAXLEN")
        .arg("=")
        .arg(20)
        .exec(&mut client)
        .unwrap();
    while losses(&member).is_empty() {
        in_time(member.step(none)).await.unwrap();
    }
    let next = member.owned[&0].1;
    assert_eq!(losses(&member), [(next, receipts[30].position.unwrap())]);
    member.until(|m| m.records.len() == 20).await;
    member.commit_all().await;
    assert_eq!(native_groups(&url(), &topic)[0].2, Some(0));

    // What was read may go.
    redis::cmd("XTRIM")
        .arg(&*topic)
        .arg("MAXLEN")
        .arg("=")
        .arg(0)
        .exec(&mut client)
        .unwrap();
    publish(&publisher, &topic, batch(1)).await;
    member.until(|m| m.records.len() == 21).await;
    member.commit_all().await;
    member.subscriber.close().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &name)).await;
    member.until(|m| m.saw(|e| matches!(e, Event::CaughtUp(_)))).await;
    assert_eq!(losses(&member), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_trims_up_to_the_slowest_group() {
    let backend = backend().await;
    let admin = backend.admin();
    let topic = unique("orders");
    admin
        .create(&[TopicSpec::new(topic.clone()).retention(Duration::from_millis(1))])
        .await
        .unwrap();
    let mut slow = Member::join(&backend, group(&topic, &unique("slow"))).await;
    let mut fast = Member::join(&backend, group(&topic, &unique("fast"))).await;
    let publisher = backend.publisher().await.unwrap();
    publish(
        &publisher,
        &topic,
        (0..1000).map(|i| Message::new(format!("{i}"))).collect(),
    )
    .await;
    slow.until(|m| m.records.len() == 1000).await;
    fast.until(|m| m.records.len() == 1000).await;
    let settled = slow.records[500].1.position();
    let done = bus_core::Done {
        next: settled,
        notes: Bytes::new(),
        ..slow.done(0)
    };
    slow.ack.commit(vec![done]).await.remove(0).unwrap();
    fast.commit_all().await;
    let mut client = foreign(&url());
    let mut length = || -> usize { redis::cmd("XLEN").arg(&*topic).query(&mut client).unwrap() };
    // Nodes of a hundred entries go as a whole.
    slow.during(async {
        while length() > 600 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(length() >= 500, "{} entries are left", length());
    slow.commit_all().await;
    slow.during(async {
        while length() > 100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for mut member in [slow, fast] {
        assert!(!member.saw(|e| matches!(e, Event::DataLoss { .. })));
        member.subscriber.close().await.unwrap();
    }
}
