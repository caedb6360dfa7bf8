//! Where a start lies.

use super::Requests;
use crate::{
    error,
    native::{Code, List, Offset},
};
use bus_core::{Error, ErrorKind, Name, Result, Start};
use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

/// A topic and a partition.
pub(crate) type Place = (Name, u32);

/// What `ListOffsets` takes for the ends of a partition.
pub(crate) const END: i64 = -1;
pub(crate) const BEGINNING: i64 = -2;

/// A start as `ListOffsets` takes it, or the position itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spec {
    Ask(i64),
    At(i64),
}

impl Spec {
    /// # Errors
    /// `GroupMissing` for `Start::Stored`, which says nothing about a partition without a stored position; `Invalid`
    /// for a position that Kafka cannot have.
    pub(crate) fn of(start: &Start, partition: u32) -> Result<Self> {
        Ok(match start {
            Start::Earliest => Self::Ask(BEGINNING),
            Start::Latest => Self::Ask(END),
            Start::Time(time) => Self::Ask(millis(*time)),
            Start::Positions(positions) => match positions.get(&partition) {
                None => Self::Ask(BEGINNING),
                Some(position) => Self::At(i64::try_from(*position).map_err(|_| {
                    Error::invalid(format!(
                        "position {position} of partition {partition} is no kafka offset"
                    ))
                })?),
            },
            Start::Stored => {
                return Err(Error::new(
                    ErrorKind::GroupMissing,
                    format!("no stored position for partition {partition}, and the start is `Stored`"),
                ));
            }
            other => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("start {other:?} on kafka"),
                ));
            }
        })
    }
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Requests {
    pub(super) async fn positions(&self, topic: &str, at: &Start) -> Result<Vec<(u32, u128)>> {
        let partitions = self.partitions(topic).await?;
        let name = Name::from(topic);
        let mut specs = Vec::new();
        for partition in 0..partitions {
            specs.push(((name.clone(), partition), Spec::of(at, partition)?));
        }
        let found = self.resolve(&specs).await?;
        Ok((0..partitions)
            .filter_map(|p| Some((p, u128::try_from(*found.get(&(name.clone(), p))?).ok()?)))
            .collect())
    }

    /// Where all of these lie. Leaders that are being elected are asked again until the timeout.
    pub(crate) async fn resolve(&self, specs: &[(Place, Spec)]) -> Result<HashMap<Place, i64>> {
        let deadline = Instant::now() + self.timeout;
        let mut lookup = Lookup::new(specs.iter().cloned());
        while let Some(list) = lookup.list() {
            let Some(code) = lookup.merge(self.offsets(&list).await?) else {
                continue;
            };
            let error = error::of_code(format_args!("finding positions at {}", self.brokers), code);
            if !error.is_transient() && code != Code::UNKNOWN_TOPIC_OR_PART || Instant::now() >= deadline {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(lookup.found)
    }

    async fn offsets(&self, list: &List) -> Result<Vec<Offset>> {
        let timeout = self.timeout;
        self.ask(
            |client, queue, tag| {
                client.list_offsets(list, queue, tag, timeout);
                Ok(())
            },
            |event| match event.failure() {
                Some(failure) => Err(failure),
                None => Ok(event.offsets()),
            },
        )
        .await?
        .map_err(|failure| self.failed("finding positions", &failure))
    }
}

/// Positions that are being looked up, in as many rounds as it takes.
#[derive(Debug)]
pub(crate) struct Lookup {
    open: Vec<(Place, i64)>,
    pub(crate) found: HashMap<Place, i64>,
}

impl Lookup {
    pub(crate) fn new(specs: impl IntoIterator<Item = (Place, Spec)>) -> Self {
        let (mut open, mut found) = (Vec::new(), HashMap::new());
        for (place, spec) in specs {
            match spec {
                Spec::At(offset) => {
                    found.insert(place, offset);
                }
                Spec::Ask(spec) => open.push((place, spec)),
            }
        }
        Self { open, found }
    }
    /// What to ask next; `None`: everything is found.
    pub(crate) fn list(&self) -> Option<List> {
        if self.open.is_empty() {
            return None;
        }
        let mut list = List::new();
        for ((topic, partition), spec) in &self.open {
            list.add(topic, *partition, *spec);
        }
        Some(list)
    }
    /// Takes answers in; the code of one that failed, if one did.
    pub(crate) fn merge(&mut self, answers: Vec<Offset>) -> Option<Code> {
        let mut failed = None;
        for answer in answers {
            let place = (Name::from(answer.topic), answer.partition);
            let Some(at) = self.open.iter().position(|(p, _)| *p == place) else {
                continue;
            };
            if !answer.code.is_ok() {
                failed = Some(answer.code);
            } else if answer.offset < 0 && self.open[at].1 >= 0 {
                // No record is that young: behind the newest.
                self.open[at].1 = END;
            } else {
                self.open.swap_remove(at);
                self.found.insert(place, answer.offset.max(0));
            }
        }
        failed
    }
}
