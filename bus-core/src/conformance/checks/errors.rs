//! Errors: typed by what the caller can do, and before anything is stored.

use crate::{
    Bus, Error, ErrorKind, Message, Start, Topic, TopicSpec,
    conformance::{Failure, Lab, Proof, lab::Feed, work::unkeyed},
};
use std::{
    future::IntoFuture,
    time::{Duration, Instant},
};

/// The kind of the error that this has to end with.
async fn refused<T, E: Into<Error>>(
    lab: &Lab,
    what: &str,
    call: impl Future<Output = Result<T, E>>,
) -> Result<ErrorKind, Failure> {
    match lab.within(what, call).await? {
        Ok(_) => Err(Failure::new(format_args!("{what} is not refused"))),
        Err(error) => Ok(error.into().kind()),
    }
}

pub(crate) async fn a_missing_topic_is_typed(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let missing: Feed = Topic::named(lab.name("missing"));
    let name = missing.name();
    let group = lab.group("g");
    let publish = lab
        .within(
            "publishing",
            bus.publish_message(name, Message::new("x")).into_future(),
        )
        .await?;
    let Err(unsent) = publish else {
        return Err(Failure::new(
            "a message was stored in a topic that does not exist",
        ));
    };
    ensure_eq!(unsent.error().kind(), ErrorKind::TopicMissing, "publishing to it");
    ensure!(
        !unsent.is_unknown(),
        "it is known that nothing was stored: {unsent}"
    );
    let with_dead_letters = bus.subscribe(&missing, &group).into_future();
    let calls = [
        (
            "subscribing",
            refused(lab, "subscribing", with_dead_letters).await?,
        ),
        (
            "joining",
            refused(
                lab,
                "joining",
                lab.subscribe(&bus, &missing, &group).into_future(),
            )
            .await?,
        ),
        (
            "observing",
            refused(lab, "observing", bus.observe(&missing).into_future()).await?,
        ),
        (
            "deleting",
            refused(lab, "deleting", bus.admin().delete(name)).await?,
        ),
        (
            "growing",
            refused(lab, "growing", bus.admin().grow(name, 8)).await?,
        ),
        (
            "positions",
            refused(lab, "positions", bus.admin().positions(name, Start::Earliest)).await?,
        ),
    ];
    for (what, kind) in calls {
        ensure_eq!(kind, ErrorKind::TopicMissing, "{what}");
    }
    nothing_was_made(lab, &bus).await
}

async fn nothing_was_made(lab: &Lab, bus: &Bus) -> Proof {
    let topics = lab.within("listing topics", bus.admin().topics()).await??;
    let ours: Vec<_> = topics
        .iter()
        .map(|t| &t.name)
        .filter(|name| name.starts_with(&lab.name("")))
        .collect();
    ensure!(ours.is_empty(), "created unasked: {ours:?}");
    Ok(())
}

pub(crate) async fn illegal_names_are_refused(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let long = "x".repeat(250);
    for bad in ["", ".", "..", "a b", "a/b", "ä", "a\n", "a:b", &long] {
        let good = TopicSpec::new(lab.name("good")).partitions(4);
        let both = [good.clone(), TopicSpec::new(bad).partitions(4)];
        let kind = refused(lab, "creating", bus.ensure_topics(both.clone())).await?;
        ensure_eq!(kind, ErrorKind::Invalid, "creating topic {bad:?}");
        let kind = refused(lab, "creating", bus.admin().create(&both)).await?;
        ensure_eq!(kind, ErrorKind::Invalid, "creating topic {bad:?} without the bus");
    }
    let none = TopicSpec::new(lab.name("none")).partitions(0);
    let kind = refused(lab, "creating", bus.ensure_topics([none])).await?;
    ensure_eq!(kind, ErrorKind::Invalid, "creating a topic without partitions");
    nothing_was_made(lab, &bus).await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let kind = refused(
        lab,
        "subscribing",
        bus.subscribe(&topic, "no group").into_future(),
    )
    .await?;
    ensure_eq!(kind, ErrorKind::Invalid, "subscribing as group `no group`");
    Ok(())
}

pub(crate) async fn what_is_too_large_is_refused(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let limit = bus.backend().limits().message;
    ensure!(
        limit >= 1_000_000,
        "a megabyte is promised, the limit is {limit} bytes"
    );
    let half = vec![b'x'; limit / 2];
    let large = [
        Message::new(vec![b'x'; limit + 1]),
        Message::new(half.clone())
            .keyed(half.clone())
            .header("h", "the sum counts"),
        Message::new(half.clone())
            .header("h", half)
            .header("n", "headers too"),
    ];
    for (number, message) in large.into_iter().enumerate() {
        let outcome = lab
            .within(
                "publishing",
                bus.publish_message(topic.name(), message).into_future(),
            )
            .await?;
        let Err(unsent) = outcome else {
            return Err(Failure::new(format_args!(
                "message {number}, over the limit of {limit} bytes, was stored"
            )));
        };
        ensure_eq!(unsent.error().kind(), ErrorKind::TooLarge, "message {number}");
        ensure!(
            !unsent.is_unknown(),
            "it is known that nothing was stored: {unsent}"
        );
    }
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    let rest = lab.rest(&bus, &topic, &mut reader).await?;
    ensure!(
        rest.is_empty(),
        "{} messages over the limit were stored",
        rest.len()
    );
    Ok(())
}

pub(crate) async fn a_topic_deleted_under_a_consumer_ends_it(lab: &Lab) -> Proof {
    let (bus, other) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&bus, "t", 4).await?;
    lab.store(&bus, topic.name(), unkeyed("m", 4, 8)).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    lab.each(&mut reader, 8, |_| Ok(())).await?;
    lab.within("deleting", other.admin().delete(topic.name()))
        .await??;
    let deadline = Instant::now() + lab.takeover();
    let error = loop {
        match lab
            .within("the end of a subscription whose topic is gone", reader.next())
            .await?
        {
            Some(Err(error)) => break error,
            None => return Err(Failure::new("the subscription ended without an error")),
            Some(Ok(delivery)) => {
                ensure!(
                    Instant::now() < deadline,
                    "{delivery:?} came from a topic that is gone"
                );
            }
        }
    };
    ensure_eq!(error.kind(), ErrorKind::TopicMissing, "the error");
    // It is over: a topic of the same name is another topic.
    lab.poll("the topic can be made anew", || async {
        let spec = topic.spec();
        Ok(other.ensure_topics([spec]).await.is_ok())
    })
    .await?;
    let next = lab.within("the end", reader.next()).await?;
    ensure!(next.is_none(), "{next:?} came after the end");
    // What ended it is all that a drain can say.
    let _ = lab.within("draining", reader.drain(Duration::ZERO)).await?;
    Ok(())
}

pub(crate) async fn administration_is_typed(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let (admin, name, group) = (bus.admin(), topic.name(), lab.group("g"));
    // What is there already is left as it is.
    lab.create(&bus, [TopicSpec::new(name).partitions(7)]).await?;
    let found = lab.within("listing topics", admin.topics()).await??;
    let partitions = found.iter().find(|t| &*t.name == name).map(|t| t.partitions);
    ensure_eq!(
        partitions,
        Some(4),
        "partitions of a topic that was ensured again with 7"
    );
    let calls = [
        (
            refused(lab, "shrinking", admin.grow(name, 2)).await?,
            ErrorKind::Invalid,
        ),
        (
            refused(lab, "a missing group", admin.group(&group)).await?,
            ErrorKind::GroupMissing,
        ),
        (
            refused(lab, "deleting a missing group", admin.delete_group(&group)).await?,
            ErrorKind::GroupMissing,
        ),
    ];
    for (number, (kind, expected)) in calls.into_iter().enumerate() {
        ensure_eq!(kind, expected, "refusal number {number}");
    }
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    lab.store(&bus, name, unkeyed("m", 4, 4)).await?;
    lab.each(&mut reader, 4, |_| Ok(())).await?;
    lab.within("a flush", reader.flush()).await??;
    let kind = refused(lab, "deleting a live group", admin.delete_group(&group)).await?;
    ensure_eq!(kind, ErrorKind::Conflict, "deleting a group with live members");
    let spec = lab.within("the group", admin.group(&group)).await??;
    let owned: usize = spec.members.iter().map(|m| m.partitions.len()).sum();
    ensure_eq!(
        (spec.members.len(), owned),
        (1, 4),
        "members and their partitions"
    );
    let lag = lab.within("the lag", admin.lag(&group)).await??;
    ensure_eq!(lag.len(), 4, "partitions with a position");
    ensure!(
        lag.iter().all(|l| l.behind == 0 && &*l.topic == name),
        "all is acknowledged, and the lag is {lag:?}"
    );
    lab.store(&bus, name, unkeyed("n", 1, 3)).await?;
    let behind: u64 = lab
        .within("the lag", admin.lag(&group))
        .await??
        .iter()
        .map(|l| l.behind)
        .sum();
    ensure!(behind <= 3, "3 messages were published, {behind} are behind");
    lab.within("closing", reader.close()).await??;
    lab.poll("a group without members is gone when it is deleted", || async {
        // Somebody may have to notice first that its last member left.
        match admin.delete_group(&group).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(Failure::from(error)),
        }
    })
    .await?;
    let groups = lab.within("the groups", admin.groups()).await??;
    ensure!(
        groups.iter().all(|g| **g != *group),
        "a group that was deleted is listed"
    );
    Ok(())
}
