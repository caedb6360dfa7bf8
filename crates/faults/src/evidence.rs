//! What all actors of a topic wrote down, merged.

use crate::{
    payload,
    record::{Base, Entry, Line, read},
};
use bus_core::conformance::{
    Failure, Happening, Id, Place, What,
    checkers::{Sent, Told},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    time::{Duration, Instant},
};

/// What all actors of a topic wrote down, in the order of the machine's clock.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// What was sent, key by key in its order.
    pub(crate) sent: Vec<Sent>,
    /// What consumers did.
    pub(crate) handled: Vec<Happening>,
    /// Who was told when that a partition is its own.
    pub(crate) gained: Vec<(Instant, u32, u32)>,
    /// When each message was handed to a publisher.
    pub(crate) intents: HashMap<Id, Instant>,
    /// Why actors could not go on.
    pub(crate) failures: Vec<String>,
    /// Reasons for messages that were not confirmed, and how often.
    pub(crate) unconfirmed: BTreeMap<String, usize>,
}

/// A record.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Of which actor.
    pub(crate) number: u32,
    pub(crate) path: PathBuf,
    /// Its last line may be torn.
    pub(crate) killed: bool,
}

impl Evidence {
    /// Reads what actors of this topic wrote.
    /// # Errors
    /// When a record cannot be read, or somebody got what nobody sent.
    pub(crate) fn gather(files: &[File], base: Base) -> Result<Self, Failure> {
        let mut evidence = Self::default();
        let mut told: HashMap<Id, usize> = HashMap::new();
        let mut handled: Vec<(u32, Happening)> = Vec::new();
        for file in files {
            for line in read(&file.path, file.killed)? {
                if let Some(happening) = evidence.take(file.number, line, base, &mut told)? {
                    handled.push((file.number, happening));
                }
            }
        }
        handled.sort_by_key(|(_, h)| h.at);
        // A member to which a message did not come last has no say in whether it is out.
        let mut last: HashMap<Id, u32> = HashMap::new();
        handled.retain(|(member, h)| match h.what {
            What::Delivered { .. } => {
                last.insert(h.id.clone(), *member);
                true
            }
            What::Nacked { .. } | What::Returned => last.get(&h.id) == Some(member),
            _ => true,
        });
        evidence.handled = handled.into_iter().map(|(_, h)| h).collect();
        Ok(evidence)
    }
    /// The longest time between two moments in which nothing of these keys was acknowledged in some partition.
    pub(crate) fn stall(&self, from: Instant, until: Instant, of: impl Fn(&str) -> bool) -> Duration {
        let mut partition: HashMap<&Id, u32> = HashMap::new();
        let mut last: HashMap<u32, Instant> = HashMap::new();
        let mut longest = Duration::ZERO;
        for h in self.handled.iter().filter(|h| h.key.as_deref().is_some_and(&of)) {
            if let Some(place) = h.place {
                partition.insert(&h.id, place.partition);
                last.entry(place.partition).or_insert(from);
            }
            if let (What::Acked { .. }, Some(partition)) = (h.what, partition.get(&h.id))
                && let at @ Some(_) = Some(h.at).filter(|at| (from..until).contains(at))
                && let Some(before) = last.insert(*partition, at.unwrap_or(from))
            {
                longest = longest.max(h.at.saturating_duration_since(before));
            }
        }
        last.values()
            .map(|at| until.saturating_duration_since(*at))
            .chain([longest])
            .max()
            .unwrap_or(longest)
    }
    /// How many messages came more than once.
    pub(crate) fn repeats(&self) -> usize {
        let (mut seen, mut again) = (HashSet::new(), HashSet::new());
        for h in self
            .handled
            .iter()
            .filter(|h| matches!(h.what, What::Delivered { .. }))
        {
            if !seen.insert(&h.id) {
                again.insert(&h.id);
            }
        }
        again.len()
    }
    /// What a consumer's line says; what a publisher's says is kept.
    fn take(
        &mut self,
        member: u32,
        line: Line,
        base: Base,
        told: &mut HashMap<Id, usize>,
    ) -> Result<Option<Happening>, Failure> {
        let at = base.instant(line.at);
        let mut settle = |id: &str, how: Told| {
            if let Some(sent) = told.get(id).and_then(|at| self.sent.get_mut(*at)) {
                sent.told = how;
            }
        };
        let (id, place, what) = match line.what {
            Entry::Intent { id } => {
                let id = Id::from(id);
                told.insert(id.clone(), self.sent.len());
                self.intents.insert(id.clone(), at);
                let key = Some(payload::key(&id).into());
                self.sent.push(Sent {
                    id,
                    key,
                    told: Told::Unknown,
                });
                return Ok(None);
            }
            Entry::Stored { id } => {
                settle(&id, Told::Stored);
                return Ok(None);
            }
            Entry::Unknown { why, .. } => {
                *self.unconfirmed.entry(why).or_default() += 1;
                return Ok(None);
            }
            Entry::NotStored { id, why } => {
                settle(&id, Told::NotStored);
                *self.unconfirmed.entry(why).or_default() += 1;
                return Ok(None);
            }
            Entry::Got {
                id,
                partition,
                position,
                attempt,
            } => {
                let position = position.parse().map_err(Failure::new)?;
                (
                    id,
                    Some(Place { partition, position }),
                    What::Delivered { member, attempt },
                )
            }
            Entry::Acked { id } => (id, None, What::Acked { member }),
            Entry::Nacked { id, until } => (
                id,
                None,
                What::Nacked {
                    until: base.instant(until),
                },
            ),
            Entry::Returned { id } => (id, None, What::Returned),
            Entry::Garbage { what } => {
                return Err(Failure::new(format_args!("member {member} got garbage: {what}")));
            }
            Entry::Failed { why } => {
                self.failures.push(format!("actor {member}: {why}"));
                return Ok(None);
            }
            Entry::Gained { partition } => {
                self.gained.push((at, member, partition));
                return Ok(None);
            }
            Entry::Note { .. } | Entry::Loss { .. } => return Ok(None),
        };
        let key = Some(payload::key(&id).into());
        Ok(Some(Happening {
            at,
            id: id.into(),
            key,
            place,
            what,
        }))
    }
}
