//! The driver's positions and the notes beside them.

use crate::{
    Done, ErrorKind, Start,
    conformance::{
        Failure, Lab, Proof,
        checks::commits::{left, owned},
        driver::done,
    },
};
use bytes::Bytes;

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
