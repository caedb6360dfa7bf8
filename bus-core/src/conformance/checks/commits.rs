//! The driver's commits: fenced, never going back, outputs with their own shard.

use crate::{
    Bus, Done, Error, ErrorKind, Message,
    conformance::{
        Failure, Lab, Proof,
        driver::{Gain, Seat, done},
        lab::Feed,
        member::payloads,
        work::unkeyed,
    },
};
use std::collections::BTreeMap;

/// A topic of four partitions with five records each, and who owns them all, with the positions behind each record.
#[derive(Debug)]
pub(crate) struct Owned {
    pub(crate) bus: Bus,
    pub(crate) topic: Feed,
    pub(crate) group: String,
    pub(crate) seat: Seat,
    pub(crate) gains: Vec<Gain>,
    pub(crate) behind: Vec<Vec<u128>>,
}

pub(crate) async fn owned(lab: &Lab) -> Result<Owned, Failure> {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&bus, topic.name(), unkeyed("m", 4, 20)).await?;
    let mut seat = lab.seat(&lab.backend().await?, topic.name(), &group).await?;
    let gains = seat.gained(4).await?;
    let mut behind = vec![Vec::new(); 4];
    for (shard, record) in seat.records(20).await? {
        behind[shard.partition as usize % 4].push(record.position() + 1);
    }
    ensure!(
        behind.iter().all(|b| b.len() == 5),
        "records by partition: {behind:?}"
    );
    Ok(Owned {
        bus,
        topic,
        group,
        seat,
        gains,
        behind,
    })
}

/// How many records are behind the group's position, by partition.
pub(crate) async fn left(lab: &Lab, bus: &Bus, group: &str) -> Result<BTreeMap<u32, u64>, Failure> {
    let lag = lab.within("the lag", bus.admin().lag(group)).await??;
    Ok(lag.iter().map(|lag| (lag.partition, lag.behind)).collect())
}

fn kind(result: &crate::Result<()>) -> Option<ErrorKind> {
    result.as_ref().err().map(Error::kind)
}

pub(crate) async fn a_released_shard_is_fenced(lab: &Lab) -> Proof {
    let mut o = owned(lab).await?;
    let stale = o.gains[1].shard;
    lab.within("releasing", o.seat.ack.release(stale)).await??;
    o.seat.lost(stale).await?;
    let both = vec![
        done(stale, o.behind[1][4]),
        done(o.gains[2].shard, o.behind[2][1]),
    ];
    let results = o.seat.commit(both).await?;
    ensure_eq!(
        kind(&results[0]),
        Some(ErrorKind::Fenced),
        "a commit of a shard that was released"
    );
    ensure_eq!(
        kind(&results[1]),
        None,
        "a commit of its neighbour in the same call"
    );
    let left = left(lab, &o.bus, &o.group).await?;
    ensure_eq!(
        (left.get(&1), left.get(&2)),
        (Some(&5), Some(&3)),
        "records behind the position"
    );
    Ok(())
}

pub(crate) async fn a_former_owner_is_fenced(lab: &Lab) -> Proof {
    let o = owned(lab).await?;
    let Owned {
        bus,
        topic,
        group,
        seat,
        gains,
        behind,
    } = o;
    let Seat { subscriber, ack, .. } = seat;
    // As a process that froze and wakes: its membership ends, its handlers go on.
    drop(subscriber);
    let mut next = lab.seat(&lab.backend().await?, topic.name(), &group).await?;
    let new = next.gained(4).await?;
    next.store(done(new[0].shard, behind[0][0])).await?;
    let late = gains
        .iter()
        .map(|g| done(g.shard, behind[g.shard.partition as usize % 4][3]))
        .collect();
    let results = lab.within("a late commit", ack.commit(late)).await?;
    for (partition, result) in results.iter().enumerate() {
        let kind = kind(result);
        let refused = matches!(kind, Some(ErrorKind::Fenced | ErrorKind::Closed));
        ensure!(
            refused,
            "a former owner's commit of partition {partition}: expected Fenced, got {result:?}"
        );
    }
    next.store(done(new[1].shard, behind[1][0])).await?;
    let lag = lab.within("the lag", bus.admin().lag(&group)).await??;
    let stored: Vec<_> = lag.iter().map(|lag| (lag.partition, lag.position)).collect();
    let expected = [
        (0, behind[0][0]),
        (1, behind[1][0]),
        (2, new[2].next),
        (3, new[3].next),
    ];
    ensure_eq!(stored, expected, "the stored positions, by partition");
    Ok(())
}

pub(crate) async fn fenced_outputs_are_refused_and_others_stored(lab: &Lab) -> Proof {
    let mut o = owned(lab).await?;
    let outputs = lab.topic(&o.bus, "outputs", 4).await?;
    let stale = o.gains[1].shard;
    lab.within("releasing", o.seat.ack.release(stale)).await??;
    o.seat.lost(stale).await?;
    let with_output = |shard, next, text: &'static str| Done {
        outputs: vec![(
            outputs.name().into(),
            Message::new(text).keyed(text).header("h", "v"),
        )],
        ..done(shard, next)
    };
    let commit = vec![
        with_output(o.gains[0].shard, o.behind[0][0], "left"),
        with_output(stale, o.behind[1][0], "stale"),
        with_output(o.gains[2].shard, o.behind[2][0], "right"),
    ];
    let results = o.seat.commit(commit).await?;
    let kinds: Vec<_> = results.iter().map(kind).collect();
    ensure_eq!(kinds, [None, Some(ErrorKind::Fenced), None], "the answers");
    let mut reader = lab.join(o.bus.observe(&outputs)).await?;
    let seen = lab.rest(&o.bus, &outputs, &mut reader).await?;
    ensure_eq!(payloads(&seen), ["left", "right"], "the outputs that were stored");
    let unaltered = seen
        .iter()
        .all(|d| d.key() == d.payload() && d.headers().text("h") == Some("v"));
    ensure!(unaltered, "keys or headers of outputs changed: {seen:?}");
    Ok(())
}

pub(crate) async fn a_missing_output_topic_stores_nothing(lab: &Lab) -> Proof {
    let mut o = owned(lab).await?;
    let missing = lab.name("missing");
    let lost = Done {
        outputs: vec![(missing.as_str().into(), Message::new("x"))],
        ..done(o.gains[0].shard, o.behind[0][2])
    };
    let results = o
        .seat
        .commit(vec![lost, done(o.gains[3].shard, o.behind[3][2])])
        .await?;
    let kinds: Vec<_> = results.iter().map(kind).collect();
    ensure_eq!(kinds, [Some(ErrorKind::TopicMissing), None], "the answers");
    let left = left(lab, &o.bus, &o.group).await?;
    ensure_eq!(
        (left.get(&0), left.get(&3)),
        (Some(&5), Some(&2)),
        "records behind the position"
    );
    let topics = lab.within("listing topics", o.bus.admin().topics()).await??;
    ensure!(
        topics.iter().all(|t| *t.name != *missing),
        "the missing topic was created"
    );
    Ok(())
}
