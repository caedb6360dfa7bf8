//! Outcomes of a batch that went several ways, in the order in which its messages were given.

use crate::{Outcome, Pending, Unsent};

type Result<T = Outcome> = std::result::Result<T, Unsent>;

/// A batch that is taken apart.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    count: usize,
    known: Vec<(usize, Unsent)>,
    parts: Vec<(Vec<usize>, Pending)>,
}

impl Merge {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            count,
            ..Self::default()
        }
    }
    /// This message is not published.
    pub(crate) fn refuse(&mut self, at: usize, why: Unsent) {
        self.known.push((at, why));
    }
    /// The messages at these places are on their way.
    pub(crate) fn part(&mut self, places: Vec<usize>, pending: Pending) {
        self.parts.push((places, pending));
    }
    pub(crate) fn into_pending(mut self) -> Pending {
        if self.known.is_empty()
            && self.parts.len() == 1
            && let Some((_, pending)) = self.parts.pop()
        {
            return pending;
        }
        Pending::new(async move {
            let mut outcomes: Vec<Option<Result>> = Vec::new();
            outcomes.resize_with(self.count, || None);
            for (at, why) in self.known {
                outcomes[at] = Some(Err(why));
            }
            for (places, pending) in self.parts {
                for (at, outcome) in places.into_iter().zip(pending.await) {
                    outcomes[at] = Some(outcome);
                }
            }
            let silent = || {
                Err(Unsent::unknown(crate::Error::new(
                    crate::ErrorKind::Other,
                    "the backend gave no outcome",
                )))
            };
            outcomes.into_iter().map(|o| o.unwrap_or_else(silent)).collect()
        })
    }
}
