//! Groups, topics and members: who gets what, while members come and go.

use crate::{
    ErrorKind, Topic,
    conformance::{
        Failure, History, Lab, Proof, checkers,
        checks::commits::left,
        lab::Feed,
        member::Act,
        work::{id_of, keyed, messages},
    },
};
use futures_util::future::{join_all, try_join_all};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

pub(crate) async fn every_group_gets_all(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let sent = messages(10, 200);
    let half = sent.len() / 2;
    lab.store(&bus, topic.name(), sent[..half].to_vec()).await?;
    let mut readers = Vec::new();
    for number in 0..3 {
        readers.push(
            lab.join(lab.subscribe(&bus, &topic, &lab.group(&format!("g{number}"))))
                .await?,
        );
    }
    lab.store(&bus, topic.name(), sent[half..].to_vec()).await?;
    let mut expected: Vec<_> = sent.iter().map(|m| id_of(m.payload.as_deref())).collect();
    expected.sort();
    for (number, reader) in readers.iter_mut().enumerate() {
        let mut seen = Vec::new();
        lab.each(reader, 200, |d| {
            seen.push(id_of(d.payload()));
            Ok(())
        })
        .await
        .map_err(|f| f.context(format_args!("group {number}")))?;
        seen.sort();
        ensure!(
            seen == expected,
            "group {number} got other messages than were published"
        );
    }
    Ok(())
}

pub(crate) async fn topics_are_apart(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let group = lab.group("g");
    let (left, right) = (
        lab.topic(&bus, "left", 4).await?,
        lab.topic(&bus, "right", 4).await?,
    );
    for n in 0..50 {
        let (l, r) = (
            keyed("k", n).header("side", "left"),
            keyed("k", n).header("side", "right"),
        );
        lab.store_one(&bus, left.name(), l).await?;
        lab.store_one(&bus, right.name(), r).await?;
    }
    // One group reads both, apart from each other.
    for (topic, side) in [(left, "left"), (right, "right")] {
        let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
        let mut next = 0;
        lab.each(&mut reader, 50, |d| {
            ensure_eq!(
                d.headers().text("side"),
                Some(side),
                "the topic it was published to"
            );
            ensure_eq!(&*id_of(d.payload()), format!("k:{next}"), "the message");
            next += 1;
            Ok(())
        })
        .await?;
        ensure!(
            lab.rest(&bus, &topic, &mut reader).await?.is_empty(),
            "more than was published to {side}"
        );
        lab.within("closing", reader.close()).await??;
    }
    Ok(())
}

pub(crate) async fn twenty_topics_at_once(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topics: Vec<_> = (0..20)
        .map(|n| Topic::named(lab.name(&format!("t{n}"))).partitions(4))
        .collect();
    lab.create(&bus, topics.iter().map(Topic::spec)).await?;
    let group = lab.group("g");
    // Four subscriptions of five topics each.
    let read = async |five: &[Feed]| {
        let first = lab.subscribe(&bus, &five[0], &format!("{group}.{}", five[0].name()));
        let mut reader = lab
            .join(five[1..].iter().fold(first, |s, topic| s.and(topic)))
            .await?;
        let mut next: HashMap<String, usize> = HashMap::new();
        lab.each(&mut reader, 250, |d| {
            let next = next.entry(d.topic().to_owned()).or_default();
            ensure_eq!(
                &*id_of(d.payload()),
                format!("{}:{next}", d.topic()),
                "the next of topic {}",
                d.topic()
            );
            *next += 1;
            Ok(())
        })
        .await?;
        ensure_eq!(next.len(), 5, "topics that something came from");
        lab.within("closing", reader.close())
            .await?
            .map_err(Failure::from)
    };
    let publish = async |topic: &Feed| {
        for n in 0..50 {
            lab.store_one(&bus, topic.name(), keyed(topic.name(), n)).await?;
        }
        Ok(())
    };
    let (published, seen) = tokio::join!(
        try_join_all(topics.iter().map(publish)),
        try_join_all(topics.chunks(5).map(read))
    );
    published.and(seen).map(drop)
}

pub(crate) async fn every_member_gets_work(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    let steady = lab.publish_steadily(&bus, topic.name(), &history, 16);
    let mut members = Vec::new();
    for number in 0..4 {
        let ack = |_| async { Act::Ack };
        members.push(
            lab.member(lab.subscribe(&bus, &topic, &group), (number, 4), &history, ack)
                .await?,
        );
    }
    // Something always happens here, so it is the number of messages that ends the wait for an idle member.
    let working = |h: &History| (0..4).all(|member| h.acks_of(member) > 0);
    let all = lab
        .within_time(
            lab.patience() * 2,
            "work for every member",
            history.reaches(working),
        )
        .await;
    let idle: Vec<_> = (0..4).filter(|member| history.acks_of(*member) == 0).collect();
    all.map_err(|f| f.context(format_args!("members {idle:?} have nothing to do")))?;
    steady.stop().await?;
    let done = |h: &History| h.tally().acked == h.tally().published;
    lab.until(&history, "everything is acknowledged", done).await?;
    for closed in join_all(members.into_iter().map(|member| member.close(lab))).await {
        closed?;
    }
    checkers::all(&history.happenings())
}

pub(crate) async fn a_member_joins_mid_stream(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    let ack = |_| async { Act::Ack };
    let one = lab
        .member(lab.subscribe(&first, &topic, &group), (0, 4), &history, ack)
        .await?;
    let steady = lab.publish_steadily(&first, topic.name(), &history, 20);
    lab.until(&history, "200 messages are acknowledged", |h| {
        h.tally().acked >= 200
    })
    .await?;
    let two = lab
        .member(lab.subscribe(&second, &topic, &group), (1, 4), &history, ack)
        .await?;
    let joined = |h: &History| h.acks_of(1) >= 200;
    let what = "200 acks of the member that joined";
    lab.within_time(lab.patience() * 2, what, history.reaches(joined))
        .await?;
    steady.stop().await?;
    let done = |h: &History| h.tally().acked == h.tally().published;
    lab.until(&history, "everything is acknowledged", done).await?;
    one.close(lab).await?;
    two.close(lab).await?;
    checkers::all(&history.happenings())
}

pub(crate) async fn partitions_move_while_handlers_run(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 6).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    let joins = |bus, number| {
        let slow = |_| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Act::Ack
        };
        lab.member(lab.subscribe(bus, &topic, &group), (number, 16), &history, slow)
    };
    let steady = lab.publish_steadily(&first, topic.name(), &history, 30);
    let one = joins(&first, 0).await?;
    let goes_on = async |members: &[u32]| {
        let before = members
            .iter()
            .map(|m| (*m, history.acks_of(*m)))
            .collect::<Vec<_>>();
        let all = |h: &History| before.iter().all(|(m, acks)| h.acks_of(*m) >= acks + 30);
        let what = format!("30 more acks of each of the members {members:?}");
        lab.within_time(lab.patience() * 2, what, history.reaches(all))
            .await
    };
    goes_on(&[0]).await?;
    let two = joins(&second, 1).await?;
    goes_on(&[0, 1]).await?;
    let three = joins(&first, 2).await?;
    goes_on(&[0, 1, 2]).await?;
    one.close(lab).await?;
    goes_on(&[1, 2]).await?;
    steady.stop().await?;
    let done = |h: &History| h.tally().acked == h.tally().published;
    lab.until(&history, "everything is acknowledged", done).await?;
    two.close(lab).await?;
    three.close(lab).await?;
    checkers::all(&history.happenings())
}

pub(crate) async fn a_live_group_is_not_deleted(lab: &Lab) -> Proof {
    let (bus, other) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&bus, "t", 4).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    let joins = |number| {
        let ack = |_| async { Act::Ack };
        lab.member(lab.subscribe(&bus, &topic, &group), (number, 4), &history, ack)
    };
    let member = joins(0).await?;
    let all = messages(20, 400);
    let done = |h: &History| h.tally().acked == h.tally().published;
    lab.publish(&other, topic.name(), &history, all[..200].to_vec())
        .await?;
    lab.until(&history, "200 messages are acknowledged", done).await?;
    let first: HashSet<_> = history.happenings().into_iter().map(|h| h.id).collect();
    let stored = || async { Ok(left(lab, &other, &group).await?.values().sum::<u64>() == 0) };
    lab.poll("all of it is stored", stored).await?;
    let refused = lab.within("deleting", other.admin().delete_group(&group)).await?;
    let kind = refused.map_err(|e| e.kind());
    ensure_eq!(
        kind,
        Err(ErrorKind::Conflict),
        "deleting a group with live members"
    );
    // By a tool that asks nobody, where the server lets it. The members go on where they were or are told, and so does
    // who comes next: nothing begins anew in silence.
    let destroying = lab.harness().destroy(&group, topic.name());
    let destroyed = match lab.within("destroying", destroying).await? {
        Err(error) if error.kind() == ErrorKind::Conflict => false,
        other => other.map(|()| true)?,
    };
    lab.publish(&other, topic.name(), &history, all[200..300].to_vec())
        .await?;
    let over = |h: &History| done(h) || h.failure().is_some();
    lab.within_time(
        lab.takeover(),
        "a word of the group, or its work",
        history.reaches(over),
    )
    .await?;
    match history.forgive() {
        Some(why) => ensure!(
            destroyed && why.contains("GroupMissing"),
            "the member of a group that is gone ends with {why}"
        ),
        None => member.close(lab).await?,
    }
    if destroyed {
        // And once more with nobody there.
        lab.within("destroying", lab.harness().destroy(&group, topic.name()))
            .await??;
    }
    let last = joins(1).await?;
    lab.publish(&other, topic.name(), &history, all[300..].to_vec())
        .await?;
    lab.until(&history, "400 messages are acknowledged", done).await?;
    last.close(lab).await?;
    let happenings = history.happenings();
    if !destroyed {
        return checkers::all(&happenings);
    }
    // What was acknowledged and not stored when the group was destroyed may come again, and only that.
    let stored: Vec<_> = happenings
        .iter()
        .filter(|h| first.contains(&h.id))
        .cloned()
        .collect();
    checkers::duplicated(&stored)?;
    checkers::after_crashes(&happenings)
}
