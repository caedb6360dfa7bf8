//! Resets: an administrator moves a group, and nothing of before holds it back.

use crate::{
    Delivery, Done, ErrorKind, Start,
    conformance::{
        Lab, Proof,
        checks::commits::owned,
        driver::done,
        member::payloads,
        work::{id_of, names, unkeyed},
    },
};
use bytes::Bytes;
use std::time::Duration;

pub(crate) async fn a_reset_drops_notes(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    let sent = unkeyed("m", 4, 40);
    lab.store(&bus, topic.name(), sent.clone()).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    let mut held = Vec::new();
    for delivery in lab.take(&mut reader, 40).await? {
        // The first of each partition stays out, so the position stays and all the rest is in notes.
        match id_of(delivery.payload()).as_ref() {
            "m:0" | "m:1" | "m:2" | "m:3" => held.push(delivery),
            _ => delivery.ack(),
        }
    }
    lab.within("draining", reader.drain(Duration::ZERO)).await??;
    drop(held);
    lab.within(
        "a reset",
        bus.admin().reset(&group, topic.name(), Start::Earliest),
    )
    .await??;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    let rest = lab.rest(&bus, &topic, &mut reader).await?;
    ensure_eq!(
        payloads(&rest),
        names(&sent),
        "what follows a reset to the beginning"
    );
    Ok(())
}

pub(crate) async fn unreadable_notes_mean_redelivery(lab: &Lab) -> Proof {
    let mut o = owned(lab).await?;
    // Of no version, of a later version, cut short, and of another library.
    let notes = [
        Bytes::from_static(&[0xff; 40]),
        Bytes::from_static(&[200, 0, 1, 0, 1, 2, 9, 0]),
        Bytes::from_static(&[1]),
        Bytes::from_static(b"{\"offset\": 7}"),
    ];
    for (gain, notes) in o.gains.iter().zip(notes) {
        let next = o.behind[gain.shard.partition as usize % 4][0];
        let done = done(gain.shard, next);
        o.seat.store(Done { notes, ..done }).await?;
    }
    o.seat.close().await?;
    let mut reader = lab.join(lab.subscribe(&o.bus, &o.topic, &o.group)).await?;
    let rest = lab.rest(&o.bus, &o.topic, &mut reader).await?;
    ensure_eq!(
        payloads(&rest),
        names(&unkeyed("m", 4, 20)[4..]),
        "what follows positions whose notes cannot be read"
    );
    Ok(())
}

pub(crate) async fn a_reset_moves_a_group(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    let sent = unkeyed("m", 4, 20);
    lab.store(&bus, topic.name(), sent.clone()).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    lab.each(&mut reader, 20, |_| Ok(())).await?;
    let reset = lab
        .within(
            "a reset",
            bus.admin().reset(&group, topic.name(), Start::Earliest),
        )
        .await?;
    ensure_eq!(
        reset.map_err(|e| e.kind()),
        Err(ErrorKind::Conflict),
        "a reset with live members"
    );
    lab.within("closing", reader.close()).await??;
    lab.within(
        "a reset",
        bus.admin().reset(&group, topic.name(), Start::Earliest),
    )
    .await??;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    let rest = lab.rest(&bus, &topic, &mut reader).await?;
    ensure_eq!(
        payloads(&rest),
        names(&sent),
        "what follows a reset to the beginning"
    );
    rest.into_iter().for_each(Delivery::ack);
    lab.within("closing", reader.close()).await??;
    lab.store(&bus, topic.name(), unkeyed("skipped", 4, 20)).await?;
    lab.within("a reset", bus.admin().reset(&group, topic.name(), Start::Latest))
        .await??;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    let rest = lab.rest(&bus, &topic, &mut reader).await?;
    ensure!(
        rest.is_empty(),
        "what follows a reset to the end: {:?}",
        payloads(&rest)
    );
    Ok(())
}
