//! Where reading begins, and what moves it.

use crate::{
    Bus, Delivery, ErrorKind, Message, Raw, Start, Subscription,
    conformance::{
        Failure, Lab, Proof,
        lab::Feed,
        member::payloads,
        work::{id_of, names, unkeyed},
    },
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    future::IntoFuture,
    time::{Duration, SystemTime},
};

pub(crate) async fn a_late_group_sees_history(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let sent = unkeyed("m", 4, 100);
    lab.store(&bus, topic.name(), sent.clone()).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    let rest = lab.rest(&bus, &topic, &mut reader).await?;
    ensure_eq!(
        payloads(&rest),
        names(&sent),
        "what a group sees that is made after the publish"
    );
    Ok(())
}

/// Waits until the group has a stored position in so many partitions: they are owned, and the start is fixed.
pub(crate) async fn owned(lab: &Lab, bus: &Bus, group: &str, partitions: usize) -> Proof {
    let admin = bus.admin();
    let has = || async {
        match admin.lag(group).await {
            Ok(lag) => Ok(lag.len() >= partitions),
            Err(error) if error.kind() == ErrorKind::GroupMissing => Ok(false),
            Err(error) => Err(Failure::from(error)),
        }
    };
    lab.poll(
        &format!("the group has a stored position in {partitions} partitions"),
        has,
    )
    .await
}

pub(crate) async fn latest_sees_what_comes_after(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&bus, topic.name(), unkeyed("old", 4, 20)).await?;
    let mut reader = lab
        .join(lab.subscribe(&bus, &topic, &group).start(Start::Latest))
        .await?;
    owned(lab, &bus, &group, 4).await?;
    let new = unkeyed("new", 4, 20);
    lab.store(&bus, topic.name(), new.clone()).await?;
    let rest = lab.rest(&bus, &topic, &mut reader).await?;
    ensure_eq!(
        payloads(&rest),
        names(&new),
        "what a group sees that began at the latest"
    );
    Ok(())
}

pub(crate) async fn a_latest_group_that_read_nothing_resumes(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&bus, topic.name(), unkeyed("old", 4, 20)).await?;
    let reader = lab
        .join(lab.subscribe(&bus, &topic, &group).start(Start::Latest))
        .await?;
    owned(lab, &bus, &group, 4).await?;
    lab.within("closing", reader.close()).await??;
    let between = unkeyed("between", 4, 20);
    lab.store(&bus, topic.name(), between.clone()).await?;
    let mut reader = lab
        .join(lab.subscribe(&bus, &topic, &group).start(Start::Latest))
        .await?;
    let rest = lab.rest(&bus, &topic, &mut reader).await?;
    ensure_eq!(payloads(&rest), names(&between), "what came in between");
    Ok(())
}

pub(crate) async fn a_known_group_resumes(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&bus, topic.name(), unkeyed("m", 4, 20)).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    lab.each(&mut reader, 20, |_| Ok(())).await?;
    lab.within("closing", reader.close()).await??;
    for (round, start) in [Start::Latest, Start::Earliest, Start::Stored]
        .into_iter()
        .enumerate()
    {
        let next = unkeyed(&format!("round{round}"), 4, 8);
        lab.store(&bus, topic.name(), next.clone()).await?;
        let what = format!("what comes to a known group that asks for {start:?}");
        let mut reader = lab.join(lab.subscribe(&bus, &topic, &group).start(start)).await?;
        let rest = lab.rest(&bus, &topic, &mut reader).await?;
        ensure_eq!(payloads(&rest), names(&next), "{what}");
        rest.into_iter().for_each(Delivery::ack);
        lab.within("closing", reader.close()).await??;
    }
    Ok(())
}

pub(crate) async fn without_a_stored_position_there_is_an_error(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    lab.store(&bus, topic.name(), unkeyed("m", 4, 4)).await?;
    let subscribing = lab
        .subscribe(&bus, &topic, &lab.group("g"))
        .start(Start::Stored)
        .into_future();
    // Who learns of its partitions only later says so later.
    let error = match lab.within("subscribing", subscribing).await? {
        Err(error) => error,
        Ok(mut reader) => match lab.within("an error", reader.next()).await? {
            Some(Err(error)) => error,
            other => return Err(Failure::new(format_args!("expected GroupMissing, got {other:?}"))),
        },
    };
    ensure_eq!(error.kind(), ErrorKind::GroupMissing, "the error");
    Ok(())
}

/// When the record was stored, as the backend says.
async fn stored_at(lab: &Lab, bus: &Bus, topic: &Feed) -> Result<Vec<(String, i64)>, Failure> {
    let mut reader = lab.join(bus.observe(topic)).await?;
    let all = lab.rest(bus, topic, &mut reader).await?;
    let time = |d: &Delivery<Bytes>| (id_of(d.payload()).to_string(), d.timestamp());
    Ok(all.iter().map(time).collect())
}

pub(crate) async fn a_time_is_a_start(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    lab.store(&bus, topic.name(), unkeyed("old", 4, 8)).await?;
    let newest = stored_at(lab, &bus, &topic)
        .await?
        .iter()
        .map(|(_, time)| *time)
        .max()
        .unwrap_or_default();
    // The clock of the server has to have moved on; every look at it leaves markers behind.
    let later = || async {
        let looks = stored_at(lab, &bus, &topic).await?;
        Ok(looks.iter().any(|(_, time)| *time > newest + 1))
    };
    lab.poll("the server's clock moves on", later).await?;
    lab.store(&bus, topic.name(), unkeyed("new", 4, 8)).await?;
    let all = stored_at(lab, &bus, &topic).await?;
    let first = all
        .iter()
        .filter(|(name, _)| name.starts_with("new"))
        .map(|(_, time)| *time)
        .min();
    let from = first.unwrap_or_default();
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(from).unwrap_or_default());
    let mut reader = lab
        .join(
            lab.subscribe(&bus, &topic, &lab.group("g"))
                .start(Start::Time(time)),
        )
        .await?;
    let rest = lab.rest(&bus, &topic, &mut reader).await?;
    let seen = payloads(&rest);
    for (name, time) in all {
        let expected = time >= from;
        ensure_eq!(
            seen.contains(&name),
            expected,
            "whether {name}, stored at {time}, is seen by who starts at {from}"
        );
    }
    Ok(())
}

pub(crate) async fn positions_are_a_start(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    lab.store(&bus, topic.name(), unkeyed("m", 4, 16)).await?;
    let mut reader = lab.join(bus.observe(&topic)).await?;
    let mut positions = BTreeMap::new();
    for delivery in lab.take(&mut reader, 16).await? {
        // Partition 0 begins at its third record; 1 behind its last; 2 and 3 are not listed.
        match id_of(delivery.payload()).as_ref() {
            "m:8" => drop(positions.insert(0, delivery.position())),
            "m:13" => drop(positions.insert(1, delivery.position() + 1)),
            _ => {}
        }
    }
    let start = Start::Positions(positions);
    let mut reader = lab
        .join(lab.subscribe(&bus, &topic, &lab.group("g")).start(start))
        .await?;
    let rest = lab.rest(&bus, &topic, &mut reader).await?;
    let mut expected: Vec<_> = [8, 12, 2, 6, 10, 14, 3, 7, 11, 15]
        .map(|n| format!("m:{n}"))
        .to_vec();
    expected.sort();
    ensure_eq!(payloads(&rest), expected, "what follows the positions");
    Ok(())
}

pub(crate) async fn added_partitions_are_read_from_their_start(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    let latest = || lab.subscribe(&bus, &topic, &group).start(Start::Latest);
    let mut reader = lab.join(latest()).await?;
    owned(lab, &bus, &group, 4).await?;
    grown_holds(lab, &topic, 4).await?;
    reads(lab, &mut reader, 4).await?;
    // Once more with nobody there, so that it is stored for certain before the partitions are owned.
    lab.within("closing", reader.close()).await??;
    grown_holds(lab, &topic, 6).await?;
    let mut reader = lab.join(latest()).await?;
    reads(lab, &mut reader, 6).await
}

/// Adds two partitions behind the first `before`, and stores a message in each.
async fn grown_holds(lab: &Lab, topic: &Feed, before: u32) -> Proof {
    let other = lab.bus().await?;
    lab.within("growing", other.admin().grow(topic.name(), before + 2))
        .await??;
    // A handle that knows nothing of the topic as it was.
    let fresh = lab.bus().await?;
    let early = [before, before + 1].map(|p| Message::new(format!("early:{p}")).to_partition(p));
    lab.store(&fresh, topic.name(), early.to_vec()).await?;
    Ok(())
}

async fn reads(lab: &Lab, reader: &mut Subscription<Bytes, Raw>, before: u32) -> Proof {
    let mut seen = Vec::new();
    lab.each(reader, 2, |d| {
        seen.push((d.partition(), id_of(d.payload()).to_string()));
        Ok(())
    })
    .await?;
    seen.sort();
    let early = [before, before + 1].map(|p| (p, format!("early:{p}")));
    ensure_eq!(seen, early, "what the new partitions held");
    Ok(())
}

pub(crate) async fn observers_see_all_and_leave_no_trace(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    lab.store(&first, topic.name(), unkeyed("old", 4, 8)).await?;
    let mut all = lab.join(first.observe(&topic)).await?;
    let mut new = lab.join(second.observe(&topic).start(Start::Latest)).await?;
    let mut part = lab.join(second.observe(&topic).partitions([1, 3])).await?;
    // No wait between: what is stored after the subscription began is seen.
    lab.store(&first, topic.name(), unkeyed("new", 4, 8)).await?;
    let both = [unkeyed("old", 4, 8), unkeyed("new", 4, 8)].concat();
    let mut seen: Vec<_> = lab.take(&mut all, 16).await?;
    ensure_eq!(
        payloads(&seen),
        names(&both),
        "what an observer sees from the beginning"
    );
    seen.drain(..).for_each(Delivery::ack);
    let seen = lab.take(&mut part, 8).await?;
    ensure!(
        seen.iter().all(|d| d.partition() % 2 == 1),
        "an observer of two partitions sees others"
    );
    let seen = lab.rest(&first, &topic, &mut new).await?;
    ensure_eq!(
        payloads(&seen),
        names(&unkeyed("new", 4, 8)),
        "what an observer sees from the end"
    );
    for reader in [all, new, part] {
        lab.within("draining", reader.drain(Duration::ZERO)).await??;
    }
    let groups = lab.within("the groups", first.admin().groups()).await??;
    let ours: Vec<_> = groups.iter().filter(|g| g.starts_with(&lab.name(""))).collect();
    ensure!(ours.is_empty(), "observers left groups behind: {ours:?}");
    Ok(())
}
