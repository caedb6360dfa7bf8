//! What a server lost that it had confirmed: taken out of the evidence, so that everything else is checked as ever, and
//! held against what was told to those who published and read it.

use crate::{
    cast::Actor,
    evidence::Evidence,
    observer::Logged,
    payload,
    record::{self, Entry},
    stage::PARTITIONS,
};
use bus::partition::Partitioner;
use bus_core::conformance::{
    Failure, Id, Place, What,
    checkers::{Sent, Told},
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What a server lost.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    /// Messages that were confirmed and are not in the log, by the number of their publisher.
    pub(crate) confirmed: BTreeMap<u32, Vec<Id>>,
    /// The places of messages that consumers got and that are not in the log any more, by consumer.
    pub(crate) handled: BTreeMap<u32, BTreeSet<Place>>,
    places: HashMap<Place, Id>,
}

impl Lost {
    /// Takes what is not in the log out of the evidence.
    pub(crate) fn take(evidence: &mut Evidence, log: &[Logged]) -> Self {
        let kept: HashSet<&Id> = log.iter().map(|l| &l.id).collect();
        let mut lost = Self::default();
        for sent in &mut evidence.sent {
            if sent.told == Told::Stored && !kept.contains(&sent.id) {
                lost.confirmed
                    .entry(publisher(sent))
                    .or_default()
                    .push(sent.id.clone());
                sent.told = Told::Unknown;
            }
        }
        evidence.handled.retain(|h| {
            if let (What::Delivered { member, .. }, Some(place), false) =
                (h.what, h.place, kept.contains(&h.id))
            {
                lost.handled.entry(member).or_default().insert(place);
                lost.places.insert(place, h.id.clone());
            }
            kept.contains(&h.id)
        });
        lost
    }

    pub(crate) fn count(&self) -> usize {
        self.confirmed.values().map(Vec::len).sum()
    }

    /// Every publisher whose confirmed messages are gone was told, for each of them, after it was sent; of every partition
    /// of which consumers had read what is gone, one that is alive was told.
    /// # Errors
    /// Who was not told.
    pub(crate) fn was_told(&self, actors: &[Actor]) -> Result<(), Failure> {
        for (number, ids) in &self.confirmed {
            let actor = actors.iter().find(|a| a.spec.number == *number);
            let actor = actor.ok_or_else(|| Failure::new(format_args!("nobody is publisher {number}")))?;
            let (mut sent, mut told) = (HashMap::new(), HashMap::new());
            for line in record::read(&actor.spec.record, actor.killed.is_some())? {
                match line.what {
                    Entry::Intent { id } => drop(sent.insert(id, line.at)),
                    Entry::NotStored { why, .. } => {
                        let partition = why.split("lost records of partition ").nth(1);
                        let partition =
                            partition.and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
                        told.extend(partition.map(|partition| (partition, line.at)));
                    }
                    _ => {}
                }
            }
            for id in ids {
                let partition = partition(id);
                if told.get(&partition) < sent.get(&**id) {
                    let text = format!(
                        "publisher {number}: {id} of partition {partition} was confirmed and is gone, and nobody told it"
                    );
                    return Err(Failure::new(text));
                }
            }
        }
        let mut told: BTreeSet<u32> = BTreeSet::new();
        for actor in actors.iter().filter(|a| a.killed.is_none()) {
            for line in record::read(&actor.spec.record, false)? {
                if let Entry::Loss { partition } = line.what {
                    told.insert(partition);
                }
            }
        }
        let had = self.handled.values().flatten().map(|place| place.partition);
        match had.collect::<BTreeSet<_>>().difference(&told).next() {
            None => {}
            Some(partition) => {
                return Err(Failure::new(format_args!(
                    "consumers had got messages of partition {partition} that are gone, and nobody told them"
                )));
            }
        }
        Ok(())
    }

    /// No position of what was lost was given out again.
    /// # Errors
    /// The message that has it now.
    pub(crate) fn was_given_out_once(&self, log: &[Logged]) -> Result<(), Failure> {
        let again = |l: &&Logged| self.places.get(&l.place).is_some_and(|id| *id != l.id);
        match log.iter().find(again) {
            Some(twice) => Err(Failure::new(format_args!(
                "a position was given out twice: {twice:?}"
            ))),
            None => Ok(()),
        }
    }
}

/// `p7-12:3` is of publisher 7.
fn publisher(sent: &Sent) -> u32 {
    let number = sent.id.strip_prefix('p').and_then(|rest| rest.split('-').next());
    number.and_then(|n| n.parse().ok()).unwrap_or(u32::MAX)
}

fn partition(id: &Id) -> u32 {
    Partitioner::Murmur2.partition(payload::key(id).as_bytes(), PARTITIONS)
}

/// What an actor wrote to its log, without colours.
pub(crate) fn said(actor: &Actor) -> String {
    let text = std::fs::read_to_string(actor.spec.record.with_extension("err")).unwrap_or_default();
    let mut parts = text.split('\u{1b}');
    let plain = parts.next().unwrap_or_default().to_owned();
    parts.fold(plain, |plain, part| {
        plain + part.split_once('m').map_or("", |(_, rest)| rest)
    })
}
