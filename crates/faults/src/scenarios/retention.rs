//! Records are removed beyond the position of a group that is stopped, or that does not keep up: it is told exactly
//! which ones. The policy to stop ends there, naming the range, each time; the policy to go on misses nothing else.

use crate::{
    foreign::Foreign,
    loss,
    server::Server,
    stage::{PARTITIONS, Stage},
    test::{Numbers, Test, until},
};
use bus::{Bytes, ErrorKind, Raw, Retry, Topic};
use bus_core::{
    conformance::{Failure, Id, Place, What},
    position::format,
};
use rustix::process::Signal;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::{Duration, Instant},
};

/// Positions from the first to the second one, which is excluded.
type Range = (u128, u128);

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let mut stage = Stage::open(test, &server).await?;
    stage.tune_consume = |role| role.go_on = true;
    stage.cast(400).await?;
    // A group that has no position yet misses nothing.
    stage.all_begun().await?;
    let (mut stopped, mut slow, mut ranges) = (0, 0, 0);
    let mut turns = test.turns(500..=1_500);
    while stopped == 0 || slow == 0 || turns.next().await {
        stage.look()?;
        let from = Instant::now();
        if stopped > slow {
            too_slow(test, &mut stage).await?;
            // Long enough to be thrown out, where the machine is busy.
            stage.may_lose(None, from);
            slow += 1;
        } else {
            ranges += passed(test, &mut stage).await?;
            stopped += 1;
        }
    }
    let mut numbers = stage.finish().await?;
    let told = told(&stage)?;
    let unread: BTreeSet<Place> = stage.unread.iter().map(|l| l.place).collect();
    let within = |place: &&Place| {
        told.iter()
            .any(|(p, (from, to))| *p == place.partition && (*from..*to).contains(&place.position))
    };
    // What was settled beyond the position lies in the range too, and is not missing.
    let evidence = stage.evidence()?;
    let acked = evidence
        .handled
        .iter()
        .filter(|h| matches!(h.what, What::Acked { .. }));
    let acked: HashSet<&Id> = acked.map(|h| &h.id).collect();
    let missing = stage
        .known
        .values()
        .filter(|l| !acked.contains(&l.id))
        .map(|l| &l.place);
    let named: BTreeSet<Place> = missing.filter(within).copied().collect();
    if let Some(place) = unread.symmetric_difference(&named).next() {
        let how = if unread.contains(place) {
            "was not told"
        } else {
            "was read"
        };
        return Err(Failure::new(format_args!(
            "{} records were removed unread and {} named as lost; the one at {place:?} {how}; told: {told:?}",
            unread.len(),
            named.len()
        )));
    }
    numbers.add("times stopped", stopped);
    numbers.add("times slow", slow);
    numbers.add("ranges of who was stopped", ranges);
    numbers.add("told", told.len());
    numbers.add("records in them", named.len());
    Ok(numbers)
}

/// The group is away while its position is passed in some partitions. Returns in how many.
async fn passed(test: &Test, stage: &mut Stage<'_>) -> Result<usize, Failure> {
    stage.end(stage.members()).await?;
    let before = told(stage)?.len();
    let at = stage.positions().await?;
    tokio::time::sleep(Duration::from_millis(test.random(1_000..=2_000))).await;
    stage.remember().await?;
    let mut cuts = BTreeMap::new();
    let mut lost = BTreeMap::new();
    let first = test.random(0..=u64::from(PARTITIONS) - 1) as u32;
    for partition in (0..PARTITIONS).filter(|p| *p == first || test.random(0..=1) == 1) {
        let next = at.get(&partition).copied().unwrap_or(0);
        let waiting = in_log(stage, partition)
            .filter(|p| *p >= next)
            .collect::<Vec<_>>();
        if waiting.len() < 2 {
            return Err(Failure::new(format_args!(
                "nothing waits in partition {partition}: this proves nothing"
            )));
        }
        // The first that stays is not the first that waits.
        let stays = waiting[test.random(1..=waiting.len() as u64 - 1) as usize];
        cuts.insert(partition, stays);
        lost.insert(partition, (next, stays));
    }
    trim(stage, &cuts).await?;
    // Who comes next stops at the same place.
    for _ in 0..2 {
        stops(stage, &lost).await?;
    }
    let still = stage.positions().await?;
    if let Some((partition, _)) = lost.iter().find(|(p, (next, _))| still.get(*p) != Some(next)) {
        return Err(Failure::new(format_args!(
            "who stopped before what is missing in partition {partition} moved the position: {at:?}, {still:?}"
        )));
    }
    for _ in 0..3 {
        stage.consume()?;
    }
    let expected: BTreeSet<_> = lost.iter().map(|(p, range)| (*p, *range)).collect();
    until("the loss is told", Duration::from_secs(60), || async {
        let told = told(stage).map_err(|e| e.to_string())?;
        let now: BTreeSet<_> = told[before.min(told.len())..].iter().copied().collect();
        (now == expected && told.len() - before == expected.len())
            .then_some(())
            .ok_or_else(|| format!("{now:?} instead of {expected:?}"))
    })
    .await?;
    stage.all_own().await?;
    Ok(lost.len())
}

/// All members rest, for less than their session, while everything that is there is removed in some partitions.
async fn too_slow(test: &Test, stage: &mut Stage<'_>) -> Result<(), Failure> {
    // A move of partitions in the middle of it would bring again what is not there any more.
    until("each member owns some", Duration::from_secs(60), || async {
        let owners = stage.owners().await.map_err(|e| e.to_string())?;
        let settled = owners.len() == 3 && owners.values().all(|of| !of.is_empty());
        settled.then_some(()).ok_or_else(|| format!("{owners:?}"))
    })
    .await?;
    stage.remember().await?;
    reach(stage, &ends(stage)).await?;
    let members = stage.members();
    for member in &members {
        stage.actor(*member).signal(Signal::STOP)?;
    }
    tokio::time::sleep(Duration::from_millis(test.random(600..=1_200))).await;
    let removed = async {
        stage.remember().await?;
        let first = test.random(0..=u64::from(PARTITIONS) - 1) as u32;
        let mut cuts = ends(stage);
        cuts.retain(|p, _| *p == first || test.random(0..=1) == 1);
        trim(stage, &cuts).await.map(|()| cuts)
    }
    .await;
    for member in &members {
        stage.actor(*member).signal(Signal::CONT)?;
    }
    reach(stage, &removed?).await
}

/// The last position that is known of each partition.
fn ends(stage: &Stage<'_>) -> BTreeMap<u32, u128> {
    // In order, so that the last one stays.
    stage
        .known
        .keys()
        .map(|place| (place.partition, place.position))
        .collect()
}

/// Waits until the group is beyond these positions.
async fn reach(stage: &Stage<'_>, ends: &BTreeMap<u32, u128>) -> Result<(), Failure> {
    until("the group is there", Duration::from_secs(60), || async {
        let at = stage.positions().await.map_err(|e| e.to_string())?;
        let there = ends.iter().all(|(p, end)| at.get(p).is_some_and(|at| at > end));
        there.then_some(()).ok_or_else(|| format!("{at:?} of {ends:?}"))
    })
    .await
}

/// The policy to stop ends with an error that names one of these ranges, and hands nothing out from behind it.
async fn stops(stage: &Stage<'_>, lost: &BTreeMap<u32, Range>) -> Result<(), Failure> {
    let topic: Topic<Bytes, Raw> = Topic::named(stage.topic.clone());
    let retry = Retry::fixed(Duration::from_millis(50)).forever();
    let mut reader = stage
        .bus
        .subscribe(&topic, &stage.group)
        .retry(retry)
        .no_dead_letters()
        .await?;
    let limit = Duration::from_secs(60);
    let error = loop {
        let next = tokio::time::timeout(limit, reader.next()).await;
        match next.map_err(|_| Failure::new(format_args!("no loss was told within {limit:?}")))? {
            Some(Err(error)) => break error,
            Some(Ok(delivery)) => {
                let (partition, position) = (delivery.partition(), delivery.position());
                if lost.contains_key(&partition) {
                    return Err(Failure::new(format_args!(
                        "partition {partition} went on at {position} behind what is missing, and nobody was told"
                    )));
                }
            }
            None => return Err(Failure::new("the subscription ended without an error")),
        }
    };
    // The same again: what ended it.
    let _ = reader.drain(Duration::ZERO).await;
    let text = error.to_string();
    let names = |(partition, (from, to)): (&u32, &Range)| {
        let range = format!("positions {} to {}", format(*from), format(*to));
        text.contains(&format!(
            "{range} (the last one excluded) of {}[{partition}]",
            stage.topic
        ))
    };
    if error.kind() == ErrorKind::DataLoss && lost.iter().any(names) {
        return Ok(());
    }
    Err(Failure::new(format_args!(
        "{lost:?} is missing, and what ended it was: {error}"
    )))
}

/// Removes what lies before these positions, as other programs do it.
async fn trim(stage: &Stage<'_>, cuts: &BTreeMap<u32, u128>) -> Result<(), Failure> {
    let Some(redis) = stage.server.as_redis() else {
        let offsets = cuts.iter().map(|(p, at)| (*p, *at as i64)).collect();
        return Foreign::of(stage.server)?
            .delete_before(&stage.topic, &offsets)
            .await;
    };
    for (partition, at) in cuts {
        let key = format!("{}:{{{partition}}}", stage.topic);
        redis
            .ask(&["XTRIM", &key, "MINID", &format(*at)])
            .map_err(Failure::new)?;
    }
    Ok(())
}

/// What is known to have been in a partition, in order.
fn in_log(stage: &Stage<'_>, partition: u32) -> impl Iterator<Item = u128> {
    let all = stage
        .known
        .keys()
        .filter(move |place| place.partition == partition);
    all.map(|place| place.position)
}

/// The ranges that members were told of so far, in the order of the members.
fn told(stage: &Stage<'_>) -> Result<Vec<(u32, Range)>, Failure> {
    let mut told = Vec::new();
    for actor in &stage.actors {
        for line in loss::said(actor)
            .lines()
            .filter(|line| line.contains("were removed before they were read"))
        {
            let after = |mark: &str| line.split_once(mark).and_then(|(_, rest)| rest.split(' ').next());
            let position = |mark| after(mark).and_then(|text| bus_core::position::parse(text).ok());
            let partition = after("partition=").and_then(|text| text.parse().ok());
            match (partition, position("positions "), position(" to ")) {
                (Some(partition), Some(from), Some(to)) => told.push((partition, (from, to))),
                _ => return Err(Failure::new(format_args!("a loss without a range: {line}"))),
            }
        }
    }
    Ok(told)
}
