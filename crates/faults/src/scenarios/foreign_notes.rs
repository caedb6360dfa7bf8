//! The metadata of a stopped group's stored offsets is overwritten: with garbage, with another version's, with another
//! library's. It counts as empty: what was settled beyond the position comes again, and nothing is skipped.

use crate::{
    actor::mended,
    foreign::Foreign,
    server::Server,
    stage::{PARTITIONS, Stage},
    test::{Numbers, Test, until},
};
use bus_core::conformance::{Failure, Id, What};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::{Duration, Instant},
};

/// Kinds of metadata that are not ours, see [`other`].
const KINDS: u64 = 9;
/// As many messages at least are settled beyond the position of each partition when the group stops.
const BEYOND: usize = 20;

pub(crate) async fn run(test: &Test) -> Result<Numbers, Failure> {
    let server = Server::start(test).await?;
    let foreign = Foreign::of(&server)?;
    let mut stage = Stage::open(test, &server).await?;
    stage.cast(400).await?;
    let (mut rounds, mut overwritten, mut again, mut kept) = (0, 0, 0, 0);
    let mut turns = test.turns(500..=1_500);
    while rounds == 0 || turns.next().await {
        stage.look()?;
        let from = Instant::now();
        // A message in each partition that fails until it is mended holds the position while others are settled.
        for partition in 0..PARTITIONS {
            let key = stage.key_in(partition, &format!("mend-{rounds}"));
            stage.send(&key, 1).await?;
        }
        until("messages are settled beyond", Duration::from_secs(30), || async {
            let beyond = beyond(&stage, rounds).map_err(|e| e.to_string())?;
            let enough = beyond.len() == PARTITIONS as usize && beyond.values().all(|b| b.len() >= BEYOND);
            enough.then_some(()).ok_or_else(|| format!("{beyond:?}"))
        })
        .await?;
        stage.end(stage.members()).await?;
        let beyond = beyond(&stage, rounds)?;
        let mut stored = foreign.stored(&stage.group, &stage.topic)?;
        if stored.len() != PARTITIONS as usize || stored.values().any(|(_, notes)| notes.is_empty()) {
            let text = format!("no notes were stored, although a message is not settled: {stored:?}");
            return Err(Failure::new(text));
        }
        // One partition keeps its notes: there nothing comes again.
        let spared = test.random(0..=u64::from(PARTITIONS) - 1) as u32;
        let own = stored.remove(&spared).unwrap_or_default();
        for of in stored.values_mut() {
            of.1 = other(test, test.random(0..=KINDS - 1), of, &own);
            overwritten += 1;
        }
        foreign.store(&stage.group, &stage.topic, &stored)?;
        if let Some((partition, seen)) = stored.iter().find(|(p, s)| {
            foreign
                .stored(&stage.group, &stage.topic)
                .is_ok_and(|now| now.get(p) != Some(s))
        }) {
            return Err(Failure::new(format_args!(
                "{seen:?} was not stored for partition {partition}"
            )));
        }
        std::fs::write(mended(&test.dir, rounds), "").map_err(Failure::new)?;
        let since = Instant::now();
        for _ in 0..3 {
            stage.consume()?;
        }
        let due: HashSet<&Id> = beyond
            .iter()
            .filter(|(p, _)| **p != spared)
            .flat_map(|(_, ids)| ids)
            .collect();
        until(
            "what was settled beyond comes again",
            Duration::from_secs(60),
            || async {
                let came = came_since(&stage, since).map_err(|e| e.to_string())?;
                let missing: Vec<_> = due.iter().filter(|id| !came.contains(**id)).collect();
                missing.is_empty().then_some(()).ok_or_else(|| {
                    format!(
                        "{} of {} did not, such as {:?}",
                        missing.len(),
                        due.len(),
                        missing.first()
                    )
                })
            },
        )
        .await
        .map_err(|e| e.context(format_args!("with {stored:?}")))?;
        stage.all_own().await?;
        let came = came_since(&stage, since)?;
        let own = beyond.get(&spared).into_iter().flatten();
        let (twice, once): (Vec<_>, Vec<_>) = own.partition(|id| came.contains(*id));
        if let Some(id) = twice.first() {
            return Err(Failure::new(format_args!(
                "{} messages of partition {spared} came again although its notes are its own, such as {id:?}",
                twice.len()
            )));
        }
        (again, kept) = (again + due.len(), kept + once.len());
        // What comes again is explained by this: acknowledged, and then as if it had not been stored.
        stage.may_lose(None, from);
        rounds += 1;
    }
    let mut numbers = stage.finish().await?;
    numbers.add("rounds", rounds);
    numbers.add("notes overwritten", overwritten);
    numbers.add("settled beyond them and came again", again);
    numbers.add("settled beyond the others", kept);
    Ok(numbers)
}

/// What was acknowledged in each partition behind this round's message that fails.
fn beyond(stage: &Stage<'_>, round: u64) -> Result<BTreeMap<u32, BTreeSet<Id>>, Failure> {
    let (holder, evidence) = (format!("mend-{round}-"), stage.evidence()?);
    let acked: HashSet<&Id> = evidence
        .handled
        .iter()
        .filter(|h| matches!(h.what, What::Acked { .. }))
        .map(|h| &h.id)
        .collect();
    let places = || evidence.handled.iter().filter_map(|h| Some((h, h.place?)));
    let held: BTreeMap<u32, u128> = places()
        .filter(|(h, _)| h.id.starts_with(&holder))
        .map(|(_, place)| (place.partition, place.position))
        .collect();
    let mut beyond: BTreeMap<u32, BTreeSet<Id>> = BTreeMap::new();
    for (h, place) in places() {
        if held
            .get(&place.partition)
            .is_some_and(|held| *held < place.position)
            && acked.contains(&h.id)
        {
            beyond.entry(place.partition).or_default().insert(h.id.clone());
        }
    }
    Ok(beyond)
}

/// What was delivered since then.
fn came_since(stage: &Stage<'_>, since: Instant) -> Result<HashSet<Id>, Failure> {
    let handled = stage.evidence()?.handled.into_iter();
    let delivered = handled.filter(|h| h.at > since && matches!(h.what, What::Delivered { .. }));
    Ok(delivered.map(|h| h.id).collect())
}

/// Metadata in the place of `notes` that is no notes of this position; `elsewhere` is another partition's.
fn other(test: &Test, kind: u64, (offset, notes): &(i64, String), elsewhere: &(i64, String)) -> String {
    let text = |letters: &[u8], length: u64| -> String {
        let letter = |_| letters[test.random(0..=letters.len() as u64 - 1) as usize] as char;
        (0..length).map(letter).collect()
    };
    let base64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let half = notes.len() / 2;
    match kind {
        // Other tools store none.
        0 => String::new(),
        // Bytes of no meaning, as many as a broker takes.
        1 => text(&(1..=127).collect::<Vec<u8>>(), test.random(1..=4_096)),
        // The mark of a later format, over notes that are valid.
        2 => notes.replacen("bus1.", "bus2.", 1),
        // Our mark, and a version of the notes that there is not: their first byte is 1, which begins with `AQ`.
        3 => match notes.rsplit_once('.') {
            Some((before, notes)) => format!("{before}.{}", notes.replacen('A', "B", 1)),
            None => String::new(),
        },
        // Our mark over bytes of no meaning. The first is 1 in one of 256.
        4 => format!("bus1.{}", text(base64, test.random(0..=200) * 4)),
        // Torn.
        5 => notes[..half].to_owned(),
        // True somewhere else.
        6 if elsewhere.0 != *offset => elsewhere.1.clone(),
        // A time and a base64 of Kafka Streams and of the Parallel Consumer, as they look.
        7 => format!("AgAA{}", text(base64, 16)),
        _ => format!("{{\"v\":{},\"state\":\"é\u{fffd}\"}}", test.random(0..=9)),
    }
}
