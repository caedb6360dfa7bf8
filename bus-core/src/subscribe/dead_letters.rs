//! Topics for messages that were given up.

use super::{
    JOIN,
    naming::{DERIVED, dead_letter_topic},
};
use crate::{Admin, Error, ErrorKind, Name, Result, Start, TopicSpec, flow::DeadLetter, topic::PARKED};
use std::{collections::HashSet, fmt, sync::Arc};

/// Where messages go that were given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// `<topic>.<group>.dlq`.
    Derived,
    /// A name, or a template of one.
    To(Name),
    Nowhere,
}

/// Makes sure that dead-letter topics exist before the first record, so that giving a message up cannot fail for
/// their absence.
#[derive(Clone)]
pub(crate) struct DeadLetters {
    admin: Arc<dyn Admin>,
    group: Option<Name>,
    kept: Kept,
    /// Where those go instead that were given up for one of these reasons.
    by_reason: Vec<(Name, Name)>,
    create: bool,
}

impl DeadLetters {
    pub(crate) fn new(
        admin: Arc<dyn Admin>,
        group: Option<Name>,
        kept: Kept,
        by_reason: Vec<(Name, Name)>,
        create: bool,
    ) -> Self {
        Self {
            admin,
            group,
            kept,
            by_reason,
            create,
        }
    }
    /// Where the dead letters of these topics go and are parked: such a topic is no origin of this subscription, whatever
    /// its name.
    pub(crate) fn targets(&self, topics: &[TopicSpec]) -> HashSet<Name> {
        let Some(group) = &self.group else {
            return HashSet::new();
        };
        let templates = self.templates();
        let of = |topic: &TopicSpec| {
            let topic = topic.name.clone();
            let names = templates.iter().map(move |t| dead_letter_topic(t, &topic, group));
            let parked = |name: Name| [format!("{name}{PARKED}").into(), name];
            names.flatten().flat_map(parked).collect::<Vec<_>>()
        };
        topics.iter().flat_map(of).collect()
    }
    fn templates(&self) -> Vec<&str> {
        let general = match &self.kept {
            Kept::Derived => Some(DERIVED),
            Kept::To(template) => Some(&**template),
            Kept::Nowhere => return Vec::new(),
        };
        let own = self.by_reason.iter().map(|(_, template)| &**template);
        general.into_iter().chain(own).collect()
    }
    /// For each of these topics, where its dead letters go; `None`: nowhere.
    pub(crate) async fn of(&self, topics: &[TopicSpec]) -> Result<Vec<Option<DeadLetter>>> {
        let group = self.group.as_ref().filter(|_| self.kept != Kept::Nowhere);
        let Some(group) = group.filter(|_| !topics.is_empty()) else {
            return Ok(vec![None; topics.len()]);
        };
        let names = self.names(topics, group)?;
        let known = crate::again(JOIN, || self.admin.topics()).await?;
        let partitions = |name: &str| known.iter().find(|t| &*t.name == name).map(|t| t.partitions);
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for (origin, names) in topics.iter().zip(names) {
            let count = match partitions(&origin.name) {
                Some(count) => count,
                None => self.admin.positions(&origin.name, Start::Earliest).await?.len() as u32,
            };
            let mut letters = names.into_iter().map(|topic| {
                let there = partitions(&topic);
                if there.is_none() && missing.iter().all(|m: &TopicSpec| m.name != topic) {
                    missing.push(TopicSpec::new(topic.clone()).partitions(count));
                }
                DeadLetter {
                    topic,
                    partitions: there.unwrap_or(count),
                    by_reason: Vec::new(),
                }
            });
            let general = letters.next();
            let reasons = self.by_reason.iter().map(|(reason, _)| reason.clone());
            let by_reason = reasons.zip(letters).collect();
            found.push(general.map(|general| DeadLetter { by_reason, ..general }));
        }
        if let (Some(first), false) = (missing.first(), self.create) {
            let text = format!(
                "dead-letter topic `{}` does not exist; create it with `bus topics create {} --partitions {}`",
                first.name, first.name, first.partitions
            );
            return Err(Error::new(ErrorKind::TopicMissing, text));
        }
        if !missing.is_empty() {
            crate::again(JOIN, || self.admin.create(&missing)).await?;
        }
        Ok(found)
    }
    /// The topics of the dead letters of each of these: the general one, and those of the reasons.
    fn names(&self, topics: &[TopicSpec], group: &str) -> Result<Vec<Vec<Name>>> {
        let templates = self.templates();
        let of = |origin: &TopicSpec| {
            let names = templates
                .iter()
                .map(|t| dead_letter_topic(t, &origin.name, group));
            names.collect::<Result<Vec<_>>>()
        };
        let names = topics.iter().map(of).collect::<Result<Vec<_>>>()?;
        for (origin, names) in topics.iter().zip(&names) {
            if let Some(same) = topics.iter().find(|t| names.contains(&t.name)) {
                return Err(Error::invalid(format!(
                    "dead letters of `{}` would go to `{}`, which this subscription reads: they would come back for ever; name another topic",
                    origin.name, same.name
                )));
            }
        }
        Ok(names)
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters")
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}
