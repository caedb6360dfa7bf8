//! Retention that overtook a group: told, exactly, and never passed in silence.

use super::commits::{Owned, owned};
use crate::{
    Error, ErrorKind, Event, LossPolicy, Start,
    conformance::{
        Failure, Lab, Proof,
        driver::{MUCH, done, records_of},
        member::payloads,
    },
};
use std::collections::BTreeMap;

/// Four partitions with five records each; the group has settled two of each, and left. Then retention took nothing of
/// partition 0, a part of what was unread in 1, everything in 2, and what was settled in 3.
async fn overtaken(lab: &Lab) -> Result<Owned, Failure> {
    let mut o = owned(lab).await?;
    let all = o
        .gains
        .iter()
        .map(|g| done(g.shard, o.behind[g.shard.partition as usize][1]));
    for result in o.seat.commit(all.collect()).await? {
        result?;
    }
    o.seat.close().await?;
    for (partition, record) in [(1, 3), (2, 4), (3, 1)] {
        let before = o.behind[partition][record];
        let trimming = lab.harness().trim(o.topic.name(), partition as u32, before);
        lab.within("trimming", trimming).await??;
    }
    Ok(o)
}

pub(crate) async fn what_retention_took_is_told(lab: &Lab) -> Proof {
    let o = overtaken(lab).await?;
    let ends = lab
        .within("the ends", o.bus.admin().positions(o.topic.name(), Start::Latest))
        .await??;
    let mut seat = lab.seat(&lab.backend().await?, o.topic.name(), &o.group).await?;
    let gains = seat.gained(4).await?;
    for (gain, behind) in gains.iter().zip(&o.behind) {
        let partition = gain.shard.partition;
        ensure_eq!(
            gain.next,
            behind[1],
            "the stored position of partition {partition}"
        );
    }
    let (mut lost, mut seen) = (BTreeMap::new(), BTreeMap::<u32, Vec<u128>>::new());
    let mut take = |event: &Event| match event {
        Event::DataLoss { shard, from, to } => {
            let before = lost.insert(shard.partition, (*from, *to));
            Some(before.map_or(0, |_| 100))
        }
        event => records_of(event).map(|records| {
            for (shard, record) in &records {
                seen.entry(shard.partition).or_default().push(record.position());
            }
            records.len()
        }),
    };
    let mut count = 0;
    let mut told = 0;
    while count < 7 || told < 2 {
        let what = format!("the loss of two partitions and 7 records, after {told} and {count}");
        match seat.find(MUCH, &what, &mut take).await? {
            0 => told += 1,
            100 => return Err(Failure::new("a loss was told twice")),
            records => count += records,
        }
    }
    let end = ends.iter().find(|(p, _)| *p == 2).map_or(0, |(_, end)| *end);
    let expected = BTreeMap::from([
        (1, (o.behind[1][1], o.behind[1][4] - 1)),
        (2, (o.behind[2][1], end)),
    ]);
    ensure_eq!(lost, expected, "what was lost, by partition");
    let kept = |p: usize, from: usize| o.behind[p][from..].iter().map(|b| b - 1).collect::<Vec<_>>();
    let expected = BTreeMap::from([(0, kept(0, 2)), (1, kept(1, 4)), (3, kept(3, 2))]);
    ensure_eq!(seen, expected, "what was read, by partition");
    seat.close().await
}

pub(crate) async fn data_loss_stops_or_goes_on(lab: &Lab) -> Proof {
    let o = overtaken(lab).await?;
    // Stopping is no passing: whoever comes next stops at the same place.
    for turn in 0..2 {
        let mut reader = lab.join(lab.subscribe(&o.bus, &o.topic, &o.group)).await?;
        // Held to the end: what is dropped before would wait for its retry, and come after the rest.
        let mut held = Vec::new();
        let error: Error = loop {
            match lab.within_time(lab.takeover(), "a loss", reader.next()).await? {
                Some(Err(error)) => break error,
                // What lies before any loss.
                Some(Ok(delivery)) => {
                    ensure!(
                        delivery.partition() != 1 && delivery.partition() != 2,
                        "{delivery:?} came from behind what was lost, and nobody was told"
                    );
                    held.push(delivery);
                }
                None => return Err(Failure::new("the subscription ended without an error")),
            }
        };
        ensure_eq!(error.kind(), ErrorKind::DataLoss, "the error of turn {turn}");
        let (text, partitions) = (
            error.to_string(),
            [1, 2].map(|p| format!("{}[{p}]", o.topic.name())),
        );
        ensure!(
            partitions.iter().any(|p| text.contains(p)),
            "the error does not say where: {text}"
        );
        let _ = lab
            .within("draining", reader.drain(std::time::Duration::ZERO))
            .await?;
    }
    let goes_on = lab
        .subscribe(&o.bus, &o.topic, &o.group)
        .on_data_loss(LossPolicy::GoOn);
    let mut reader = lab.join(goes_on).await?;
    let rest = lab.rest(&o.bus, &o.topic, &mut reader).await?;
    let mut expected: Vec<_> = [8, 12, 16, 17, 11, 15, 19].map(|n| format!("m:{n}")).to_vec();
    expected.sort();
    ensure_eq!(payloads(&rest), expected, "what follows what was lost");
    Ok(())
}
