//! Topics for messages that were given up.

use super::JOIN;
use crate::{Admin, Error, ErrorKind, Name, Result, Start, TopicSpec, flow::DeadLetter, topic::check_name};
use std::{fmt, sync::Arc};

/// Where messages go that were given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// `<topic>.<group>.dlq`.
    Derived,
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
    create: bool,
}

impl DeadLetters {
    pub(crate) fn new(admin: Arc<dyn Admin>, group: Option<Name>, kept: Kept, create: bool) -> Self {
        Self {
            admin,
            group,
            kept,
            create,
        }
    }
    /// The topic that is no origin of this subscription, whatever its name.
    pub(crate) fn target(&self) -> Option<&str> {
        match &self.kept {
            Kept::To(topic) => Some(topic),
            _ => None,
        }
    }
    /// For each of these topics, where its dead letters go; `None`: nowhere.
    pub(crate) async fn of(&self, topics: &[TopicSpec]) -> Result<Vec<Option<DeadLetter>>> {
        let group = self.group.as_ref().filter(|_| self.kept != Kept::Nowhere);
        let Some(group) = group.filter(|_| !topics.is_empty()) else {
            return Ok(vec![None; topics.len()]);
        };
        let known = crate::again(JOIN, || self.admin.topics()).await?;
        let partitions = |name: &str| known.iter().find(|t| &*t.name == name).map(|t| t.partitions);
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for origin in topics {
            let count = match partitions(&origin.name) {
                Some(count) => count,
                None => self.admin.positions(&origin.name, Start::Earliest).await?.len() as u32,
            };
            let topic = match &self.kept {
                Kept::To(topic) => topic.clone(),
                _ => format!("{}.{group}.dlq", origin.name).into(),
            };
            check_name(&topic).map_err(|e| e.context("dead-letter topic"))?;
            let there = partitions(&topic);
            if there.is_none() {
                missing.push(TopicSpec::new(topic.clone()).partitions(count));
            }
            found.push(Some(DeadLetter {
                topic,
                partitions: there.unwrap_or(count),
            }));
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
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters")
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}
