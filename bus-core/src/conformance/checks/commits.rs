//! The driver's commits: fenced, never going back, outputs with their own shard.

use crate::{
    Bus, Done, Error, ErrorKind, Message, Start,
    conformance::{
        Failure, Lab, Proof,
        driver::{Gain, Seat, done},
        lab::Feed,
        member::payloads,
        work::unkeyed,
    },
};
use bytes::Bytes;
use std::collections::BTreeMap;

/// A topic of four partitions with five records each, and who owns them all, with the positions behind each record.
struct Owned {
    bus: Bus,
    topic: Feed,
    group: String,
    seat: Seat,
    gains: Vec<Gain>,
    behind: Vec<Vec<u128>>,
}

async fn owned(lab: &Lab) -> Result<Owned, Failure> {
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
async fn left(lab: &Lab, bus: &Bus, group: &str) -> Result<BTreeMap<u32, u64>, Failure> {
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

pub(crate) async fn a_position_never_goes_back(lab: &Lab) -> Proof {
    let mut o = owned(lab).await?;
    let shard = o.gains[0].shard;
    o.seat.store(done(shard, o.behind[0][2])).await?;
    o.seat
        .refused("a commit below the stored position", done(shard, o.behind[0][0]))
        .await?;
    ensure_eq!(
        left(lab, &o.bus, &o.group).await?.get(&0),
        Some(&2),
        "records behind the position"
    );
    // The same again is harmless, and so is going on.
    o.seat.store(done(shard, o.behind[0][2])).await?;
    o.seat.store(done(shard, o.behind[0][3])).await?;
    ensure_eq!(
        left(lab, &o.bus, &o.group).await?.get(&0),
        Some(&1),
        "records behind the position"
    );
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

pub(crate) async fn notes_come_back_as_they_were(lab: &Lab) -> Proof {
    let mut o = owned(lab).await?;
    let limit = o.bus.backend().limits().notes;
    ensure!(
        limit >= 1000,
        "notes of {limit} bytes are too few for the ledger of a window"
    );
    // Any bytes, and as many as there may be.
    let full: Vec<u8> = (0..limit)
        .map(|n| (n as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let notes = [
        Bytes::from(full),
        Bytes::from_static(b"\0"),
        Bytes::from_static(b"old"),
        Bytes::new(),
    ];
    for (gain, notes) in o.gains.iter().zip(&notes) {
        let next = o.behind[gain.shard.partition as usize % 4][1];
        o.seat
            .store(Done {
                notes: notes.clone(),
                ..done(gain.shard, next)
            })
            .await?;
    }
    // Newer notes take the place of older ones at the same position.
    let (last, next) = (o.gains[2].shard, o.behind[2][1]);
    o.seat
        .store(Done {
            notes: Bytes::from_static(b"new"),
            ..done(last, next)
        })
        .await?;
    o.seat.close().await?;
    let mut seat = lab.seat(&lab.backend().await?, o.topic.name(), &o.group).await?;
    for (gain, behind) in seat.gained(4).await?.iter().zip(&o.behind) {
        let partition = gain.shard.partition;
        let expected = if partition == 2 {
            &b"new"[..]
        } else {
            &notes[partition as usize % 4]
        };
        ensure_eq!(gain.next, behind[1], "the position of partition {partition}");
        ensure!(
            *gain.notes == *expected,
            "the notes of partition {partition} changed: {:?}",
            gain.notes
        );
        ensure_eq!(&*gain.topic, o.topic.name(), "the topic's name");
        // Whoever gives them up without a commit changes nothing.
    }
    Ok(())
}

pub(crate) async fn a_reset_leaves_no_notes(lab: &Lab) -> Proof {
    let mut o = owned(lab).await?;
    for gain in &o.gains {
        // At the position that the reset goes to, so that only the reset itself can be the reason to drop them.
        o.seat
            .store(Done {
                notes: Bytes::from_static(b"stale"),
                ..done(gain.shard, gain.next)
            })
            .await?;
    }
    o.seat.close().await?;
    let admin = o.bus.admin();
    lab.poll("a reset after the last member left", || async {
        match admin.reset(&o.group, o.topic.name(), Start::Earliest).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(Failure::from(error)),
        }
    })
    .await?;
    let mut seat = lab.seat(&lab.backend().await?, o.topic.name(), &o.group).await?;
    for gain in seat.gained(4).await? {
        ensure!(gain.notes.is_empty(), "notes survived a reset: {:?}", gain.notes);
        let partition = gain.shard.partition;
        ensure!(
            gain.next < o.behind[partition as usize % 4][0],
            "partition {partition} is not at its beginning"
        );
    }
    Ok(())
}

pub(crate) async fn a_seek_begins_a_new_epoch(lab: &Lab) -> Proof {
    let mut o = owned(lab).await?;
    let old = o.gains[2].shard;
    o.seat
        .store(Done {
            notes: Bytes::from_static(b"old"),
            ..done(old, o.behind[2][3])
        })
        .await?;
    let to = Start::Positions([(2, o.behind[2][0])].into());
    lab.within("a seek", o.seat.subscriber.seek(old, to)).await??;
    o.seat.lost(old).await?;
    let gain = o.seat.gained(1).await?.remove(0);
    ensure_eq!(
        (gain.shard.topic, gain.shard.partition),
        (old.topic, 2),
        "the shard that is gained again"
    );
    ensure!(
        gain.shard.epoch > old.epoch,
        "the epoch went from {} to {}",
        old.epoch,
        gain.shard.epoch
    );
    ensure_eq!(gain.next, o.behind[2][0], "the position it is gained at");
    ensure!(
        gain.notes.is_empty(),
        "notes of another position came along: {:?}",
        gain.notes
    );
    let error = o
        .seat
        .refused("a commit of the epoch before", done(old, o.behind[2][4]))
        .await?;
    ensure_eq!(error.kind(), ErrorKind::Fenced, "a commit of the epoch before");
    let records = o.seat.records(4).await?;
    let seen: Vec<_> = records
        .iter()
        .map(|(shard, record)| (*shard, record.position() + 1))
        .collect();
    let expected: Vec<_> = o.behind[2][1..]
        .iter()
        .map(|behind| (gain.shard, *behind))
        .collect();
    ensure_eq!(seen, expected, "the records from there");
    ensure_eq!(
        left(lab, &o.bus, &o.group).await?.get(&2),
        Some(&4),
        "records behind the stored position"
    );
    o.seat.store(done(gain.shard, o.behind[2][4])).await
}
