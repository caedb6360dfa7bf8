//! A server whose history went back, or that lost single records, is found out and told.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Done, ErrorKind, Scope, Start};
use common::{
    member::{Member, losses, numbered},
    server::Server,
    *,
};

#[tokio::test(flavor = "multi_thread")]
async fn confirmed_records_that_a_restart_lost_are_told_to_publishers_and_readers() {
    let server = Server::start(&[]);
    let (backend, topic) = server.with_topic("?ttl=2s").await;
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    let everyone = source(&topic, Scope::Everyone { partitions: None }, Start::Earliest);
    let mut tail = Member::join(&backend, everyone).await;
    let kept = publish(&publisher, &topic, numbered(0, 5)).await;
    member.until(|m| m.records.len() == 5).await;
    member.commit_all().await;
    // The disk has this much; what follows is confirmed, read, and lost.
    let () = server.command(&["SAVE"]);
    let lost = publish(&publisher, &topic, numbered(5, 10)).await;
    member.until(|m| m.records.len() == 10).await;
    member.commit_all().await;
    tail.until(|m| m.records.len() == 10).await;
    let old = (member.shard(0), tail.shard(0));
    server.kill();
    server.restart();

    let refused = in_time(publisher.publish_batch(&topic, numbered(90, 92))).await;
    for outcome in &refused {
        let unsent = outcome.as_ref().unwrap_err();
        assert!(
            unsent.error() == &ErrorKind::DataLoss && !unsent.is_unknown(),
            "{unsent}"
        );
        let last = bus_core::position::format(lost[4].position.unwrap());
        assert!(unsent.to_string().contains(&last), "{unsent}");
    }
    let range = (kept[4].position.unwrap() + 1, lost[4].position.unwrap() + 1);
    for (member, old) in [(&mut member, old.0), (&mut tail, old.1)] {
        member
            .until(|m| m.owned.get(&0).is_some_and(|o| o.0.epoch > old.epoch))
            .await;
        member.until(|m| !losses(m).is_empty()).await;
        assert_eq!(losses(member), [range]);
    }
    // Told once; and no position is given out a second time.
    let again = publish(&publisher, &topic, numbered(10, 12)).await;
    assert!(again[0].position.unwrap() >= range.1);
    for member in [&mut member, &mut tail] {
        member.until(|m| m.records.len() == 12).await;
        assert_eq!(member.payloads()[10..], ["10", "11"]);
    }
    member.commit_all().await;
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_lost_nothing_is_no_loss_and_a_new_epoch() {
    let server = Server::start(&["--appendonly", "yes"]);
    let (backend, topic) = server.with_topic("?ttl=2s").await;
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, numbered(0, 10)).await;
    let everyone = source(&topic, Scope::Everyone { partitions: None }, Start::Earliest);
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    let mut tail = Member::join(&backend, everyone.clone()).await;
    let mut settling = Member::join(&backend, everyone).await;
    for member in [&mut member, &mut tail, &mut settling] {
        member.until(|m| m.records.len() == 10).await;
    }
    member.commit_all().await;
    let next = settling.records[7].1.position();
    let done = Done {
        next,
        ..settling.done(0)
    };
    settling.ack.commit(vec![done]).await.remove(0).unwrap();
    server.kill();
    let pending = publisher.publish_batch(&topic, numbered(10, 12));
    server.restart();
    assert!(in_time(pending).await.iter().all(Result::is_ok));
    for member in [&mut member, &mut tail, &mut settling] {
        let old = member.shard(0);
        member
            .until(|m| m.owned.get(&0).is_some_and(|o| o.0.epoch > old.epoch))
            .await;
        member
            .until(|m| m.payloads().last().is_some_and(|p| p == "11"))
            .await;
        assert_eq!(losses(member), []);
    }
    assert_eq!(
        (member.records.len(), tail.records.len()),
        (12, 12),
        "nothing twice"
    );
    assert_eq!(settling.records.len(), 10 + 5, "what was not settled comes again");
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn single_records_that_were_deleted_are_told_with_their_range() {
    let (backend, _, topic) = with_topic(1).await;
    let publisher = backend.publisher().await.unwrap();
    let receipts = publish(&publisher, &topic, numbered(0, 30)).await;
    let position = |i: usize| receipts[i].position.unwrap();
    let mut client = foreign(&url());
    let mut delete = |i: usize| {
        let id = bus_core::position::format(position(i));
        let deleted: usize = redis::cmd("XDEL")
            .arg(&*topic)
            .arg(id)
            .query(&mut client)
            .unwrap();
        assert_eq!(deleted, 1);
    };
    let name = unique("g");
    let mut member = Member::join(&backend, group(&topic, &name)).await;
    member.until(|m| m.records.len() == 30).await;
    let done = Done {
        next: position(10),
        ..member.done(0)
    };
    member.ack.commit(vec![done]).await.remove(0).unwrap();
    member.subscriber.close().await.unwrap();

    // Behind the position: nobody misses it. Ahead of it: told, and nothing beside it.
    delete(4);
    delete(20);
    let mut member = Member::join(&backend, group(&topic, &name)).await;
    member
        .until(|m| m.records.len() == 19 && !losses(m).is_empty())
        .await;
    assert_eq!(losses(&member), [(position(20), position(20) + 1)]);
    member.commit_all().await;
    member.subscriber.close().await.unwrap();

    // At the front.
    let receipts = publish(&publisher, &topic, numbered(30, 40)).await;
    let next = position(29) + 1;
    let mut client = foreign(&url());
    let trimmed = redis::cmd("XTRIM")
        .arg(&*topic)
        .arg("MAXLEN")
        .arg(6)
        .query::<usize>(&mut client);
    assert!(trimmed.unwrap() > 0);
    let mut member = Member::join(&backend, group(&topic, &name)).await;
    member
        .until(|m| m.records.len() == 6 && !losses(m).is_empty())
        .await;
    assert_eq!(losses(&member), [(next, receipts[4].position.unwrap())]);
    member.commit_all().await;
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_group_goes_on_where_it_was_or_ends_with_a_reason() {
    let (backend, _, topic) = with_topic(1).await;
    let publisher = backend.publisher().await.unwrap();
    publish(&publisher, &topic, numbered(0, 10)).await;
    let name = unique("g");
    let mut member = Member::join(&backend, group(&topic, &name)).await;
    member.until(|m| m.records.len() == 10).await;
    member.commit_all().await;
    let mut client = foreign(&url());
    let mut destroy = || {
        let destroyed: usize = redis::cmd("XGROUP")
            .arg("DESTROY")
            .arg(&*topic)
            .arg(&*name)
            .query(&mut client)
            .unwrap();
        assert_eq!(destroyed, 1);
    };
    let first = member.shard(0);
    destroy();
    publish(&publisher, &topic, numbered(10, 12)).await;
    member
        .until(|m| m.owned.get(&0).is_some_and(|o| o.0.epoch > first.epoch))
        .await;
    member
        .until(|m| m.payloads().last().is_some_and(|p| p == "11"))
        .await;
    assert!(
        !member.payloads()[10..].contains(&"0".to_owned()),
        "not from the start"
    );
    member.commit_all().await;

    // With what the bus knows of it gone too, nobody can say where it was.
    let lease = format!("{{{topic}}}:bus:{name}");
    let () = redis::cmd("DEL").arg(lease).query(&mut foreign(&url())).unwrap();
    destroy();
    let error = in_time(async {
        loop {
            if let Err(error) = member.step(common::member::ROOM).await {
                break error;
            }
        }
    })
    .await;
    assert_eq!(error, ErrorKind::GroupMissing);
    assert!(error.to_string().contains("subscribe again"), "{error}");
}

/// A replica that is promoted, and a server that is restarted with an older file, know the lease with the same owner and
/// epoch. A commit out of the history before is not carried out there: the position would pass what nobody was told of.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_another_history_is_not_stored() {
    let server = Server::start(&[]);
    let (backend, topic) = server.with_topic("?ttl=9s").await;
    let publisher = backend.publisher().await.unwrap();
    let mut member = Member::join(&backend, group(&topic, &unique("g"))).await;
    let kept = publish(&publisher, &topic, numbered(0, 5)).await;
    member.until(|m| m.records.len() == 5).await;
    member.commit_all().await;
    let () = server.command(&["SAVE"]);
    let lost = publish(&publisher, &topic, numbered(5, 10)).await;
    member.until(|m| m.records.len() == 10).await;
    let (ack, done) = (member.ack.clone(), member.done(0));
    server.kill();
    // On its way while the server is away: it is the first that comes to the next run.
    let commit = tokio::spawn(async move { ack.commit(vec![done]).await.remove(0) });
    server.restart();
    assert_eq!(in_time(commit).await.unwrap().unwrap_err(), ErrorKind::Fenced);
    let last = native_groups(&server.url(), &topic).remove(0).1;
    assert_eq!(last, bus_core::position::format(kept[4].position.unwrap()));
    member.until(|m| !losses(m).is_empty()).await;
    let range = (kept[4].position.unwrap() + 1, lost[4].position.unwrap() + 1);
    assert_eq!(losses(&member), [range]);
    member.subscriber.close().await.unwrap();
}
